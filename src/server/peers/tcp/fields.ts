// Fields of frames beside the plain values of src/bytes. A reader of frames throws `MalformedError`.

import { Reader, type Writer } from '../../../bytes/index.ts'

/** The error for bytes that no correct peer sends. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}

export const readerOf = (bytes: Uint8Array): Reader => new Reader(bytes, 'a frame that', MalformedError)

/** A non-negative integer of any size. */
export function writeBig(out: Writer, value: bigint): void {
  if (value < 0n) throw new RangeError(`cannot be sent: ${value}`)
  out.utf8(value.toString(16))
}

export function readBig(input: Reader): bigint {
  const digits = input.utf8()
  if (!/^[0-9a-f]{1,128}$/.test(digits)) throw new MalformedError('a number that is not hexadecimal')
  return BigInt(`0x${digits}`)
}

/**
 * Returns `bytes`, copied if the buffer that they are a part of is more than twice as large. Bytes that are kept for a
 * long time must not keep a large buffer in memory.
 */
export const unpinned = (bytes: Uint8Array): Uint8Array =>
  bytes.buffer.byteLength > 2 * bytes.length ? new Uint8Array(bytes) : bytes
