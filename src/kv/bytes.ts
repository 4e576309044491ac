// Big-endian integers and ASCII in byte arrays. Own code rather than DataView and TextEncoder: the folder knows no
// platform, and a view per row would cost more than the row.

import { MalformedBytesError } from './errors.ts'

const TWO_32 = 0x1_0000_0000

export function writeUint16(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 8
  target[at + 1] = value
}

export function readUint16(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at) << 8) | byteAt(bytes, at + 1)
}

export function writeUint32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    ((byteAt(bytes, at) << 24) |
      (byteAt(bytes, at + 1) << 16) |
      (byteAt(bytes, at + 2) << 8) |
      byteAt(bytes, at + 3)) >>>
    0
  )
}

/**
 * 64 bits wide, so that the layout never has to change; values are safe integers: what could not be read again is not
 * written.
 */
export function writeUint64(target: Uint8Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`not a whole number from 0 to 2^53: ${value}`)
  writeUint32(target, at, Math.floor(value / TWO_32))
  writeUint32(target, at + 4, value)
}

export function readUint64(bytes: Uint8Array, at: number): number {
  const value = readUint32(bytes, at) * TWO_32 + readUint32(bytes, at + 4)
  if (!Number.isSafeInteger(value)) throw new MalformedBytesError(`integer beyond 2^53 at byte ${at}`)
  return value
}

export function writeAscii(target: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) throw new RangeError(`not ASCII: ${JSON.stringify(text)}`)
    target[at + i] = code
  }
}

export function readAscii(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) {
    if (byte > 0x7f) throw new MalformedBytesError(`not ASCII: byte ${byte}`)
    text += String.fromCharCode(byte)
  }
  return text
}

/** `length` bytes from `at`, shared with `bytes`; never fewer. */
export function sliceAt(bytes: Uint8Array, at: number, length: number): Uint8Array {
  if (at + length > bytes.length) throw new MalformedBytesError(`cut short at byte ${bytes.length}`)
  return bytes.subarray(at, at + length)
}

export function byteAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]
  if (byte === undefined) throw new MalformedBytesError(`cut short at byte ${at}`)
  return byte
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
