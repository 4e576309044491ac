// Messages of gRPC within a stream of HTTP/2: a flag, the length in four bytes, and the message
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

import { readUint32 } from '../bytes/index.ts'
import { GRPC, GrpcError } from './status.ts'

export const FRAME_HEAD_BYTES = 5

/** Fills in the head of a message that stands behind it. */
export function withFrameHead(frame: Uint8Array, length = frame.length - FRAME_HEAD_BYTES): Uint8Array {
  frame[1] = length >>> 24
  frame[2] = length >>> 16
  frame[3] = length >>> 8
  frame[4] = length
  return frame
}

/** Splits what arrives on one stream into messages. */
export class GrpcFrameReader {
  readonly #bytesMax: number
  /** Memory that begins with the frame that has not arrived completely. */
  #held: Uint8Array = NOTHING
  /** The length of its beginning. */
  #length = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Memory of a message that has not arrived completely. */
  get heldBytes(): number {
    return this.#held.length
  }

  /** The messages that are complete now. Throws `GrpcError`. */
  read(chunk: Uint8Array): readonly Uint8Array[] {
    let bytes = this.#length === 0 ? chunk : this.#append(chunk)
    const messages: Uint8Array[] = []
    while (bytes.length >= FRAME_HEAD_BYTES) {
      const end = FRAME_HEAD_BYTES + this.#messageLength(bytes)
      if (bytes.length < end) break
      messages.push(bytes.subarray(FRAME_HEAD_BYTES, end))
      bytes = bytes.subarray(end)
    }
    this.#length = bytes.length
    if (bytes.length === 0) this.#held = NOTHING
    // Otherwise a few bytes would keep the whole buffer of a chunk.
    else if (bytes.buffer !== this.#held.buffer || bytes.byteOffset !== this.#held.byteOffset)
      this.#held = copy(bytes, bytes.length)
    return messages
  }

  #messageLength(frame: Uint8Array): number {
    if (frame[0] !== 0)
      throw new GrpcError(GRPC.internal, 'grpc: compressed flag set with identity or empty encoding')
    const length = readUint32(frame, 1)
    if (length > this.#bytesMax)
      throw new GrpcError(
        GRPC.resourceExhausted,
        `grpc: received message larger than max (${length} vs. ${this.#bytesMax})`,
      )
    return length
  }

  /** Appends to the beginning of a frame. The memory doubles, so small chunks cost no more than large ones. */
  #append(chunk: Uint8Array): Uint8Array {
    const length = this.#length + chunk.length
    if (length > this.#held.length)
      this.#held = copy(this.#held.subarray(0, this.#length), Math.max(length, 2 * this.#held.length))
    this.#held.set(chunk, this.#length)
    return this.#held.subarray(0, length)
  }
}

const NOTHING = new Uint8Array()

/** A copy in its own memory of `length` bytes. */
function copy(bytes: Uint8Array, length: number): Uint8Array {
  const copied = new Uint8Array(length)
  copied.set(bytes)
  return copied
}

/** `grpc-timeout` in milliseconds; undefined: there is none. Throws `GrpcError`. */
export function readTimeoutMs(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  const [, digits, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(header) ?? []
  const factor = UNITS_MS[unit]
  if (digits === undefined || factor === undefined)
    throw new GrpcError(GRPC.internal, `malformed grpc-timeout: ${JSON.stringify(header)}`)
  return Number(digits) * factor
}

const UNITS_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
}

/** A text in a header: all but printable ASCII is escaped. */
export const encodeStatusText = (text: string): string =>
  text.replace(/[^ -$&-~]/gu, (character) =>
    encodeURIComponent(character.isWellFormed() ? character : '\ufffd'),
  )
