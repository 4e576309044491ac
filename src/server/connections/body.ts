// The bodies of requests: how they are received, and how a refused one is dropped.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { ApiError } from '../../operations/forms/index.ts'
import { tooManyBodies } from '../api/budget.ts'
import { type ClientConnection, LINGER_MS } from '../clients/client-connection.ts'
import type { BodyLimits, FollowedBody, RequestBody } from './messages.ts'

/** Whether the request announces a body (RFC 9112 §6.3). */
const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'

const NOTHING = Buffer.alloc(0)

/** Bytes and time for which the rest of a refused body is read and dropped. */
interface DrainLimits {
  readonly drainBytesMax: number
  readonly drainMsMax: number
}

/** The error for a body that is too long. */
const tooLong = (bytes: number, { bytesMax, tooLarge }: BodyLimits): ApiError | undefined =>
  bytes <= bytesMax
    ? undefined
    : new ApiError(
        tooLarge,
        tooLarge === 'value_too_large'
          ? `value of ${bytes} bytes, at most ${bytesMax} (value_bytes_max)`
          : `body of ${bytes} bytes, at most ${bytesMax}`,
      )

/** A body that arrived together with its head. Its connection counts it until the answer. */
export class WholeBody implements RequestBody {
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  read(limits: BodyLimits, done: BodyWaiter['done']): void {
    done(tooLong(this.#bytes.length, limits) ?? this.#bytes)
  }

  drop(): void {}

  follow(arrived: () => void): FollowedBody {
    let rest = this.#bytes
    const take = (): Uint8Array => {
      const taken = rest
      rest = NOTHING
      return taken
    }
    queueMicrotask(arrived)
    return { take, isOver: true, drop() {} }
  }
}

interface BodyWaiter {
  readonly limits: BodyLimits
  readonly done: (result: Uint8Array | ApiError) => void
  readonly timer: NodeJS.Timeout
}

interface BodyOptions {
  readonly request: IncomingMessage
  /** Counts the bytes. */
  readonly connection: Pick<ClientConnection, 'hasRoom' | 'tryHold' | 'release'>
  readonly drain: DrainLimits
  /** Sends "100 Continue" to a client that waits for it (RFC 9110 §10.1.1). */
  readonly sendContinue: () => void
  /** Called with the number of bytes of the body that have arrived now, also if they are dropped. */
  readonly arrived: (bytes: number) => void
  /** Called when `heldBytes` has changed. */
  readonly held: () => void
}

/**
 * The body of a request on node:http. Its chunks are read as they arrive, also before the body is requested: node:http
 * stores each chunk with some hundreds of bytes of overhead, and a client may send a chunk for every byte.
 */
export class NodeBody implements RequestBody {
  readonly #options: BodyOptions
  #drain: DrainLimits
  /** The body is complete, or there is none. */
  ended: boolean
  #received: Buffer = NOTHING
  #length = 0
  /** Bytes that its reader has received. The request keeps them, so they count until its response. */
  readBytes = 0
  #waiter: BodyWaiter | undefined
  /** Called when something has arrived, while the response is sent. */
  #follower: (() => void) | undefined
  /** The body is dropped. */
  #isDropped = false
  #droppedBytes = 0
  #onDropped: (() => void) | undefined
  /** The error that its reader receives. */
  #refused: ApiError | undefined
  /** The rest of the body will not arrive. */
  isBroken = false
  #onBroken: (() => void) | undefined

  constructor(options: BodyOptions) {
    this.#options = options
    const { request, drain } = options
    this.#drain = drain
    this.ended = !hasBody(request)
    if (this.ended) return
    request
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .on('end', () => this.#end())
      .on('close', () => {
        if (!this.ended) this.#refuse(new ApiError('bad_request', 'the client went away within the body'))
      })
  }

  /** Bytes of the body that have arrived and are not requested yet. */
  get heldBytes(): number {
    return this.#waiter === undefined ? this.#length : 0
  }

  /** Limits how much of it is dropped. */
  limitDrain(drain: DrainLimits): void {
    this.#drain = drain
  }

  read(limits: BodyLimits, done: BodyWaiter['done']): void {
    // The body is refused even if it is empty.
    if (this.#isDropped && this.#refused === undefined)
      throw new Error('a body is read that has been dropped')
    const { request, connection, sendContinue, held } = this.#options
    const announced = Math.max(this.#length, Number(request.headers['content-length'] ?? 0))
    const refused =
      this.#refused ??
      tooLong(announced, limits) ??
      (connection.hasRoom(announced - this.#length) ? undefined : tooManyBodies())
    if (refused !== undefined) done(refused)
    else if (this.ended) {
      // Also if the body is empty: node:http ends a connection if the client expects "100 Continue" and it is not sent.
      sendContinue()
      done(this.#takeWhole())
    } else {
      const late = (): void =>
        this.#refuse(new ApiError('bad_request', 'the body did not arrive within the timeout'))
      this.#waiter = { limits, done, timer: setTimeout(late, limits.timeoutMs) }
      sendContinue()
      held()
    }
  }

  follow(arrived: () => void): FollowedBody {
    this.#follower = arrived
    this.#options.sendContinue()
    queueMicrotask(arrived)
    const isOver = (): boolean => this.ended || this.#isDropped
    return {
      take: () => {
        if (this.#refused !== undefined) throw this.#refused
        return this.#release()
      },
      get isOver() {
        return isOver()
      },
      drop: () => {
        this.#follower = undefined
        this.drop()
      },
    }
  }

  /** Discards what has arrived, and the rest as it arrives, unless it is still read. */
  drop(): void {
    if (this.#follower !== undefined) return
    this.#isDropped = true
    this.#release()
    this.#options.connection.release(this.readBytes)
    this.readBytes = 0
  }

  /** The rest of the body will not arrive. Its reader receives the error, now or when it begins to read. */
  break(refused: ApiError): void {
    this.isBroken = true
    this.#refuse(refused)
    this.#onBroken?.()
  }

  /**
   * Ends a response that is already written, while the rest of the dropped body still arrives. If the connection were
   * closed while the client sends, the client would lose the answer.
   */
  endWhenDropped(response: ServerResponse): void {
    const { request } = this.#options
    const { drainBytesMax, drainMsMax } = this.#drain
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
    // Bytes that still arrive do not reach the request: the parser has failed.
    this.#onBroken = () => {
      clearTimeout(timer)
      if (request.socket.readableEnded) end()
      else timer = setTimeout(end, LINGER_MS)
    }
    if (this.isBroken) this.#onBroken()
  }

  #onData(chunk: Buffer): void {
    this.#options.arrived(chunk.length)
    if (this.#isDropped) {
      this.#droppedBytes += chunk.length
      this.#onDropped?.()
      return
    }
    const { connection, held } = this.#options
    const before = this.#length
    const length = before + chunk.length
    const limits = this.#waiter?.limits
    if (limits !== undefined && length > limits.bytesMax)
      this.#refuse(
        new ApiError(
          limits.tooLarge,
          `${limits.tooLarge === 'value_too_large' ? 'value' : 'body'} of more than ${limits.bytesMax} bytes`,
        ),
      )
    else if (connection.tryHold(chunk.length)) {
      this.#received = appended(this.#received, before, chunk)
      this.#length = length
    } else this.#refuse(tooManyBodies())
    if (limits === undefined) held()
    this.#follower?.()
  }

  #end(): void {
    this.ended = true
    const waiter = this.#waiter
    if (waiter !== undefined) waiter.done(this.#takeWhole())
    this.#follower?.()
  }

  #refuse(refused: ApiError): void {
    this.#refused ??= refused
    const waiter = this.#waiter
    const follower = this.#follower
    this.#follower = undefined
    this.drop()
    waiter?.done(refused)
    follower?.()
  }

  /** The bytes that have arrived, which are no longer counted. */
  #release(): Buffer {
    this.#options.connection.release(this.#length)
    return this.#take()
  }

  /** The body for its reader. It counts until the response. */
  #takeWhole(): Buffer {
    this.readBytes = this.#length
    return this.#take()
  }

  #take(): Buffer {
    clearTimeout(this.#waiter?.timer)
    this.#waiter = undefined
    if (this.#length === 0) return NOTHING
    const received = this.#received.subarray(0, this.#length)
    this.#received = NOTHING
    this.#length = 0
    this.#options.held()
    return received
  }
}

/**
 * Copies `chunk` behind the first `length` bytes of `received`, into a buffer with room for more. An uncopied chunk
 * would keep the whole buffer in memory that was read with it.
 */
export function appended(received: Buffer, length: number, chunk: Uint8Array): Buffer {
  const all = length + chunk.length
  const roomy = all <= received.length ? received : Buffer.allocUnsafe(length === 0 ? all : 2 * all)
  if (roomy !== received) received.copy(roomy, 0, 0, length)
  roomy.set(chunk, length)
  return roomy
}

/** A request on node:http. */
export interface IncomingRequest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: NodeBody
  /** There is no room for its head. */
  readonly isRefused: boolean
  /** Memory of its head that its connection holds. */
  readonly headBytes: number
}
