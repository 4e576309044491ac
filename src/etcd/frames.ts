// Messages of gRPC within a stream of HTTP/2: a flag, the length in four bytes, and the message
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

import { readUint32 } from '../bytes/index.ts'
import { GRPC, GrpcError } from './status.ts'

export const FRAME_HEAD_BYTES = 5

/** Fills in the head of a message that stands behind it. */
export function withFrameHead(frame: Uint8Array): Uint8Array {
  const length = frame.length - FRAME_HEAD_BYTES
  frame[1] = length >>> 24
  frame[2] = length >>> 16
  frame[3] = length >>> 8
  frame[4] = length
  return frame
}

/** Splits what arrives on one stream into messages. */
export class GrpcFrameReader {
  readonly #bytesMax: number
  /** Chunks of a frame that has not arrived completely. They are joined once. */
  #chunks: Uint8Array[] = []
  #heldBytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Bytes of a message that has not arrived completely. */
  get heldBytes(): number {
    return this.#heldBytes
  }

  /** The messages that are complete now. Throws `GrpcError`. */
  read(chunk: Uint8Array): readonly Uint8Array[] {
    this.#chunks.push(chunk)
    this.#heldBytes += chunk.length
    const messages: Uint8Array[] = []
    for (;;) {
      const length = this.#messageLength()
      if (length === undefined || this.#heldBytes < FRAME_HEAD_BYTES + length) return messages
      const bytes = this.#join()
      const end = FRAME_HEAD_BYTES + length
      messages.push(bytes.subarray(FRAME_HEAD_BYTES, end))
      this.#chunks = end < bytes.length ? [bytes.subarray(end)] : []
      this.#heldBytes -= end
    }
  }

  /** The length of the next message; undefined: its head is not complete. */
  #messageLength(): number | undefined {
    if (this.#heldBytes < FRAME_HEAD_BYTES) return undefined
    const [first = NOTHING] = this.#chunks
    const head = first.length < FRAME_HEAD_BYTES ? this.#join() : first
    if (head[0] !== 0)
      throw new GrpcError(
        GRPC.unimplemented,
        'grpc: Decompressor is not installed for the encoding of this message',
      )
    const length = readUint32(head, 1)
    if (length > this.#bytesMax)
      throw new GrpcError(
        GRPC.resourceExhausted,
        `grpc: received message larger than max (${length} vs. ${this.#bytesMax})`,
      )
    return length
  }

  #join(): Uint8Array {
    const [first = NOTHING, ...others] = this.#chunks
    if (others.length === 0) return first
    const whole = new Uint8Array(this.#heldBytes)
    let at = 0
    for (const chunk of this.#chunks) {
      whole.set(chunk, at)
      at += chunk.length
    }
    this.#chunks = [whole]
    return whole
  }
}

const NOTHING = new Uint8Array()

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
