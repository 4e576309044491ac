// Receiving bodies, and dropping those that are refused.

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { LINGER_MS } from './connections.ts'
import type { HttpLimits } from './limits.ts'
import { ApiError, type Code } from './problem.ts'

/** Whether the request announces a body (RFC 9112 §6.3). */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'

/** Why a body with this Transfer-Encoding is not read; undefined if it is read. */
export function codingRefusal(headers: IncomingHttpHeaders): ApiError | undefined {
  const coding = (headers['transfer-encoding'] ?? 'chunked').toLowerCase()
  // If `chunked` is not the last coding, the end of the body is unknown (RFC 9112 §6.3).
  if (!/(?:^|[\s,])chunked$/.test(coding))
    return new ApiError('bad_request', 'the last Transfer-Encoding must be chunked', {
      headers: ['Connection', 'close'],
    })
  if (coding === 'chunked') return undefined
  return new ApiError('unsupported_media_type', 'the only Transfer-Encoding is chunked')
}

const NOTHING = Buffer.alloc(0)

export interface BodyLimits {
  readonly bytesMax: number
  /** The error code for a larger body. */
  readonly tooLarge: Code
  readonly timeoutMs: number
}

/** All bodies that are being received. They are counted together, so many large ones cannot fill the memory. */
export class Bodies {
  readonly limits: HttpLimits
  /** Bytes of bodies that are being received or wait for their turn. */
  bytes = 0

  constructor(limits: HttpLimits) {
    this.limits = limits
  }

  /** Why a body of so many bytes is refused; undefined if it is accepted. `own` of these bytes are already here. */
  refusal(
    announced: number,
    { bytesMax, tooLarge }: Pick<BodyLimits, 'bytesMax' | 'tooLarge'>,
    own = 0,
  ): ApiError | undefined {
    if (announced > bytesMax) return new ApiError(tooLarge, `body of ${announced} bytes, at most ${bytesMax}`)
    return this.bytes - own + announced > this.limits.bodiesBytesMax ? overloaded() : undefined
  }
}

/** A body on the fast lane or on node:http. */
export interface RequestBody {
  /**
   * Passes the whole body to `done`, which is called once, now or later. If the body is refused, the answer drops it.
   */
  read(limits: BodyLimits, done: BodyWaiter['done']): void
  /** The body will not be read. */
  drop(): void
}

/** A body that arrived together with its head. */
export class WholeBody implements RequestBody {
  readonly #bytes: Uint8Array
  readonly #bodies: Bodies

  constructor(bytes: Uint8Array, bodies: Bodies) {
    this.#bytes = bytes
    this.#bodies = bodies
  }

  read(limits: BodyLimits, done: BodyWaiter['done']): void {
    done(this.#bodies.refusal(this.#bytes.length, limits) ?? this.#bytes)
  }

  drop(): void {}
}

interface BodyWaiter {
  readonly limits: BodyLimits
  readonly done: (result: Uint8Array | ApiError) => void
  readonly timer: NodeJS.Timeout
}

export interface BodyOptions {
  readonly request: IncomingMessage
  readonly bodies: Bodies
  /** The client waits for "100 Continue" (RFC 9110 §10.1.1). */
  readonly goOn: () => void
  /** `heldBytes` has changed. */
  readonly held: () => void
}

/**
 * The body of a request on node:http. Its chunks are read as they arrive, also before the body is asked for: node:http
 * stores each chunk with some hundreds of bytes of overhead, and a client may send a chunk for every byte.
 */
export class Body implements RequestBody {
  readonly #options: BodyOptions
  /** The body is complete, or there is none. */
  #ended: boolean
  #received: Buffer = NOTHING
  #length = 0
  #wanted: BodyWaiter | undefined
  /** The body is dropped. */
  #isDropped = false
  #droppedBytes = 0
  #onDropped: (() => void) | undefined
  /** Why the body is refused to its reader. */
  #refused: ApiError | undefined
  /** The rest of the body will not arrive. */
  #broken = false
  #onBroken: (() => void) | undefined

  constructor(options: BodyOptions) {
    this.#options = options
    const { request } = options
    this.#ended = !hasBody(request)
    if (this.#ended) return
    request
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .on('end', () => this.#end())
      .on('close', () => {
        if (!this.#ended) this.#refuse(new ApiError('bad_request', 'the client went away within the body'))
      })
  }

  get ended(): boolean {
    return this.#ended
  }

  get isBroken(): boolean {
    return this.#broken
  }

  /** Bytes of the body that were not asked for yet. */
  get heldBytes(): number {
    return this.#wanted === undefined ? this.#length : 0
  }

  read(limits: BodyLimits, done: BodyWaiter['done']): void {
    // The body is refused even if it is empty.
    if (this.#isDropped && this.#refused === undefined)
      throw new Error('a body is asked for that has been dropped')
    const { request, bodies, goOn, held } = this.#options
    const announced = Math.max(this.#length, Number(request.headers['content-length'] ?? 0))
    const refused = this.#refused ?? bodies.refusal(announced, limits, this.#length)
    if (refused !== undefined) done(refused)
    else if (this.#ended) {
      // Also if the body is empty: node:http ends a connection if the client expects "100 Continue" and it is not sent.
      goOn()
      done(this.#release())
    } else {
      const late = (): void =>
        this.#refuse(new ApiError('bad_request', 'the body did not arrive within the timeout'))
      this.#wanted = { limits, done, timer: setTimeout(late, limits.timeoutMs) }
      goOn()
      held()
    }
  }

  /** Discards what has arrived, and the rest as it arrives. */
  drop(): void {
    this.#isDropped = true
    this.#release()
  }

  /** The rest of the body will not arrive. Its reader is told so, now or when it begins to read or to drop the body. */
  break(refused: ApiError): void {
    this.#broken = true
    this.#refuse(refused)
    this.#onBroken?.()
  }

  /**
   * Ends a response that is already written, while the rest of the dropped body still arrives. If the connection were
   * closed while the client sends, the client would lose the answer.
   */
  endWhenDropped(response: ServerResponse): void {
    const { request, bodies } = this.#options
    const { drainBytesMax, drainMsMax } = bodies.limits
    const stop = (): void => {
      clearTimeout(timer)
      request.off('end', end).off('close', stop)
      this.#onDropped = undefined
      this.#onBroken = undefined
    }
    // After its end the request is closed.
    const end = (): void => void response.end()
    const cut = (): void => {
      stop()
      response.end(() => request.socket.destroy())
    }
    let timer = setTimeout(cut, drainMsMax)
    request.on('end', end).on('close', stop)
    this.#onDropped = () => {
      if (this.#droppedBytes > drainBytesMax) cut()
    }
    /** What still arrives does not reach the request: the parser has failed. */
    this.#onBroken = () => {
      clearTimeout(timer)
      if (request.socket.readableEnded) end()
      else timer = setTimeout(end, LINGER_MS)
    }
    if (this.#broken) this.#onBroken()
  }

  #onData(chunk: Buffer): void {
    if (this.#isDropped) {
      this.#droppedBytes += chunk.length
      this.#onDropped?.()
      return
    }
    const { bodies, held } = this.#options
    const before = this.#length
    this.#length += chunk.length
    bodies.bytes += chunk.length
    const limits = this.#wanted?.limits
    if (limits !== undefined && this.#length > limits.bytesMax)
      this.#refuse(new ApiError(limits.tooLarge, `body of more than ${limits.bytesMax} bytes`))
    else if (bodies.bytes > bodies.limits.bodiesBytesMax) this.#refuse(overloaded())
    else this.#received = appended(this.#received, before, chunk)
    if (limits === undefined) held()
  }

  #end(): void {
    this.#ended = true
    const wanted = this.#wanted
    if (wanted !== undefined) wanted.done(this.#release())
  }

  #refuse(refused: ApiError): void {
    this.#refused ??= refused
    const wanted = this.#wanted
    this.drop()
    wanted?.done(refused)
  }

  /** Passes on what has arrived. */
  #release(): Buffer {
    clearTimeout(this.#wanted?.timer)
    this.#wanted = undefined
    if (this.#length === 0) return NOTHING
    const { bodies, held } = this.#options
    const received = this.#received.subarray(0, this.#length)
    bodies.bytes -= this.#length
    this.#received = NOTHING
    this.#length = 0
    held()
    return received
  }
}

/**
 * Copies `chunk` behind the first `length` bytes of `received`, into a buffer with room for more. A chunk that is not
 * copied keeps the whole buffer in memory that was read with it.
 */
function appended(received: Buffer, length: number, chunk: Buffer): Buffer {
  const all = length + chunk.length
  const roomy = all <= received.length ? received : Buffer.allocUnsafe(length === 0 ? all : 2 * all)
  if (roomy !== received) received.copy(roomy, 0, 0, length)
  chunk.copy(roomy, length)
  return roomy
}

const overloaded = (): ApiError => new ApiError('overloaded', 'too many request bodies are being received')
