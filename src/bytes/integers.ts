// Big-endian integers at a known offset. An offset outside of the bytes, or a value that does not fit, is a RangeError.
//
// Entries and rows are read and written with these functions. The code that throws is in separate functions, so that V8
// inlines the rest.

const TWO_32 = 0x1_0000_0000

export function readUint8(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? outside(bytes, at)
}

export function readUint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? outside(bytes, at)) << 8) | (bytes[at + 1] ?? outside(bytes, at))
}

export function readUint32(bytes: Uint8Array, at: number): number {
  if (bytes[at] === undefined || bytes[at + 3] === undefined) outside(bytes, at)
  return get32(bytes, at)
}

export function readUint48(bytes: Uint8Array, at: number): number {
  return readUint16(bytes, at) * TWO_32 + readUint32(bytes, at + 2)
}

/** Reads a safe integer from eight bytes. */
export function readUint64(bytes: Uint8Array, at: number): number {
  if (bytes[at] === undefined || bytes[at + 7] === undefined) outside(bytes, at)
  const value = get32(bytes, at) * TWO_32 + get32(bytes, at + 4)
  return value <= Number.MAX_SAFE_INTEGER ? value : unsafe(at)
}

export function readBigUint64(bytes: Uint8Array, at: number): bigint {
  return (BigInt(readUint32(bytes, at)) << 32n) | BigInt(readUint32(bytes, at + 4))
}

export function writeUint8(target: Uint8Array, at: number, value: number): void {
  if ((value & 0xff) !== value) tooLarge(value, 8)
  if (target[at] === undefined) outside(target, at)
  target[at] = value
}

export function writeUint16(target: Uint8Array, at: number, value: number): void {
  if ((value & 0xffff) !== value) tooLarge(value, 16)
  if (target[at] === undefined || target[at + 1] === undefined) outside(target, at)
  target[at] = value >>> 8
  target[at + 1] = value
}

export function writeUint32(target: Uint8Array, at: number, value: number): void {
  if (value >>> 0 !== value) tooLarge(value, 32)
  if (target[at] === undefined || target[at + 3] === undefined) outside(target, at)
  put32(target, at, value)
}

export function writeUint48(target: Uint8Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value)) tooLarge(value, 48)
  if (target[at + 5] === undefined) outside(target, at)
  writeUint16(target, at, Math.floor(value / TWO_32))
  put32(target, at + 2, value)
}

/** Writes 64 bits, so that no layout has to change later. Rejects a value that `readUint64` would reject. */
export function writeUint64(target: Uint8Array, at: number, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) tooLarge(value, 53)
  if (target[at] === undefined || target[at + 7] === undefined) outside(target, at)
  put32(target, at, value / TWO_32)
  put32(target, at + 4, value)
}

/** The caller has checked the offset. */
function get32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16)
  return (high | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0
}

/** The caller has checked the offset. */
function put32(target: Uint8Array, at: number, value: number): void {
  const bits = value >>> 0
  target[at] = bits >>> 24
  target[at + 1] = bits >>> 16
  target[at + 2] = bits >>> 8
  target[at + 3] = bits
}

export function writeBigUint64(target: Uint8Array, at: number, value: bigint): void {
  if (BigInt.asUintN(64, value) !== value) tooLarge(value, 64)
  writeUint32(target, at, Number(value >> 32n))
  writeUint32(target, at + 4, Number(value & 0xffff_ffffn))
}

export function writeAscii(target: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) throw new RangeError(`not ASCII: ${JSON.stringify(text)}`)
    writeUint8(target, at + i, code)
  }
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function outside(bytes: Uint8Array, at: number): never {
  throw new RangeError(`an integer at byte ${at} of ${bytes.length}`)
}

function tooLarge(value: number | bigint, bits: number): never {
  throw new RangeError(`${value} does not fit into ${bits} bits`)
}

function unsafe(at: number): never {
  throw new RangeError(`integer beyond 2^53 at byte ${at}`)
}
