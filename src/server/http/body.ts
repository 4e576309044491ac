// Receiving bodies, and dropping those that are refused.

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { HttpLimits } from './limits.ts'
import { type Code, Refused } from './problem.ts'

/** Whether the request announces a body (RFC 9112 §6.3). */
export const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'

/** Why a body in this Transfer-Encoding is not read; undefined: it is. */
export function codingRefusal(headers: IncomingHttpHeaders): Refused | undefined {
  const coding = (headers['transfer-encoding'] ?? 'chunked').toLowerCase()
  // Where chunks are not the last coding, nobody knows where the body ends (RFC 9112 §6.3).
  if (!/(?:^|[\s,])chunked$/.test(coding))
    return new Refused('bad_request', 'the last Transfer-Encoding must be chunked', {
      headers: ['Connection', 'close'],
    })
  if (coding === 'chunked') return undefined
  return new Refused('unsupported_media_type', 'the only Transfer-Encoding is chunked')
}

const NOTHING = Buffer.alloc(0)

/** Requests whose bodies can be read no further, and what is wrong with them. */
const broken = new WeakMap<IncomingMessage, Refused>()
const BROKEN = Symbol('broken')

/** The rest of a body will not come. Whoever reads or drops it is told, now or when it begins to. */
export function breakBody(request: IncomingMessage, refused: Refused): void {
  broken.set(request, refused)
  request.emit(BROKEN, refused)
}

/** How long a client that still sends what cannot be read may do so: a connection closed under it would cost it the answer. */
export const LINGER_MS = 500

export const isBroken = (request: IncomingMessage): boolean => broken.has(request)

/** One request on node:http. */
export interface Arriving {
  readonly request: IncomingMessage
  /** Its client waits to be told that the body is wanted (RFC 9110 §10.1.1). */
  readonly goOn: () => void
}

export interface BodyLimits {
  readonly bytesMax: number
  /** The code for more than that. */
  readonly tooLarge: Code
  readonly timeoutMs: number
}

/** Bodies under way, counted together so that many large ones cannot fill the memory. */
export class Bodies {
  readonly #limits: HttpLimits
  #bytes = 0

  constructor(limits: HttpLimits) {
    this.#limits = limits
  }

  /** Of bodies that are being received. */
  get bytes(): number {
    return this.#bytes
  }

  /** Reads the whole body. `done` is called once. A body that is refused is left where it is: the answer's sender drops it. */
  read(
    { request, goOn }: Arriving,
    { bytesMax, tooLarge, timeoutMs }: BodyLimits,
    done: (result: Uint8Array | Refused) => void,
  ): void {
    const announced = Number(request.headers['content-length'] ?? 0)
    const refused = broken.get(request) ?? this.refusal(announced, { bytesMax, tooLarge })
    if (!hasBody(request)) done(NOTHING)
    else if (refused !== undefined) done(refused)
    else {
      goOn()
      this.#receive(request, { bytesMax, tooLarge, timeoutMs }, done)
    }
  }

  /** Why a body of so many bytes is not taken; undefined: it is. */
  refusal(
    announced: number,
    { bytesMax, tooLarge }: Pick<BodyLimits, 'bytesMax' | 'tooLarge'>,
  ): Refused | undefined {
    if (announced > bytesMax) return new Refused(tooLarge, `body of ${announced} bytes, at most ${bytesMax}`)
    return this.#bytes + announced > this.#limits.bodiesBytesMax ? overloaded() : undefined
  }

  #receive(
    request: IncomingMessage,
    { bytesMax, tooLarge, timeoutMs }: BodyLimits,
    done: (result: Uint8Array | Refused) => void,
  ): void {
    let received: Buffer = NOTHING
    let length = 0
    const stop = (): void => {
      clearTimeout(timer)
      request.off('data', onData).off('end', onEnd).off('close', onClose).off(BROKEN, refuse)
      this.#bytes -= length
    }
    const refuse = (refused: Refused): void => {
      stop()
      request.pause()
      done(refused)
    }
    const onData = (chunk: Buffer): void => {
      const before = length
      length += chunk.length
      this.#bytes += chunk.length
      if (length > bytesMax) refuse(new Refused(tooLarge, `body of more than ${bytesMax} bytes`))
      else if (this.#bytes > this.#limits.bodiesBytesMax) refuse(overloaded())
      else received = appended(received, before, chunk)
    }
    const onEnd = (): void => {
      stop()
      done(received.subarray(0, length))
    }
    const timer = setTimeout(
      () => refuse(new Refused('bad_request', 'the body did not arrive within the timeout')),
      timeoutMs,
    )
    const onClose = (): void => refuse(new Refused('bad_request', 'the client went away within the body'))
    request.on('data', onData).on('end', onEnd).on('close', onClose).on(BROKEN, refuse)
  }
}

/**
 * `chunk` behind the first `length` bytes of `received`, in a buffer with room for more. Chunks that are kept as they come take some hundreds of
 * bytes each, and a client may send one for every byte.
 */
function appended(received: Buffer, length: number, chunk: Buffer): Buffer {
  if (length === 0) return chunk
  const all = length + chunk.length
  const roomy = all <= received.length ? received : Buffer.allocUnsafe(2 * all)
  if (roomy !== received) received.copy(roomy, 0, 0, length)
  chunk.copy(roomy, length)
  return roomy
}

const overloaded = (): Refused => new Refused('overloaded', 'too many request bodies are being received')

/**
 * Ends a response that is already written while its request's body is still coming: a connection closed under a client that
 * still sends would cost it the answer.
 */
export function dropBodyThenEnd(
  request: IncomingMessage,
  response: ServerResponse,
  limits: HttpLimits,
): void {
  let dropped = 0
  const stop = (): void => {
    clearTimeout(timer)
    request.off('data', onData).off('end', end).off('close', stop).off(BROKEN, onBroken)
  }
  const end = (): void => {
    stop()
    response.end()
  }
  const cut = (): void => {
    stop()
    response.end(() => request.socket.destroy())
  }
  const onData = (chunk: Buffer): void => {
    dropped += chunk.length
    if (dropped > limits.drainBytesMax) cut()
  }
  /** What still comes goes past the request: the parser has given up. */
  const onBroken = (): void => {
    clearTimeout(timer)
    if (request.socket.readableEnded) end()
    else timer = setTimeout(end, LINGER_MS)
  }
  let timer = setTimeout(cut, limits.drainMsMax)
  request.on('data', onData).on('end', end).on('close', stop).on(BROKEN, onBroken)
  if (isBroken(request)) onBroken()
  else request.resume()
}
