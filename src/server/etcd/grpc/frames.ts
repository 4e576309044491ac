// Messages of gRPC within a stream of HTTP/2: a flag, the length in four bytes, and the message
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

import { GRPC, GrpcError } from '../../../etcd/status.ts'

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
  #held: Buffer = NOTHING

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Bytes of a message that has not arrived completely. */
  get heldBytes(): number {
    return this.#held.length
  }

  /** The messages that are complete now. Throws `GrpcError`. */
  read(chunk: Buffer): readonly Buffer[] {
    let bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    const messages: Buffer[] = []
    while (bytes.length >= FRAME_HEAD_BYTES) {
      if (bytes[0] !== 0)
        throw new GrpcError(
          GRPC.unimplemented,
          'grpc: Decompressor is not installed for the encoding of this message',
        )
      const length = bytes.readUInt32BE(1)
      if (length > this.#bytesMax)
        throw new GrpcError(
          GRPC.resourceExhausted,
          `grpc: received message larger than max (${length} vs. ${this.#bytesMax})`,
        )
      const end = FRAME_HEAD_BYTES + length
      if (bytes.length < end) break
      messages.push(bytes.subarray(FRAME_HEAD_BYTES, end))
      bytes = bytes.subarray(end)
    }
    this.#held = bytes.length === 0 ? NOTHING : bytes
    return messages
  }
}

const NOTHING = Buffer.alloc(0)

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
