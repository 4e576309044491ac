// CRC-32C (Castagnoli), the checksum of LevelDB's log files, eight bytes at a time. Node has only the other CRC-32.

const POLYNOMIAL = 0x82f63b78
const MASK_DELTA = 0xa282ead8

/** Eight tables of 256: table k advances a byte that is k bytes ahead. */
const TABLES = makeTables()

function makeTables(): Int32Array {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    tables[byte] = crc
  }
  for (let at = 256; at < tables.length; at++) {
    const before = tables[at - 256] ?? 0
    tables[at] = (before >>> 8) ^ (tables[before & 0xff] ?? 0)
  }
  return tables
}

/** The checksum of the bytes from `from` up to `to`. */
export function crc32c(bytes: Uint8Array, from: number, to: number): number {
  let crc = ~0
  let at = from
  for (; at + 8 <= to; at += 8) {
    crc ^=
      (bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)
    crc =
      (TABLES[0x700 + (crc & 0xff)] ?? 0) ^
      (TABLES[0x600 + ((crc >>> 8) & 0xff)] ?? 0) ^
      (TABLES[0x500 + ((crc >>> 16) & 0xff)] ?? 0) ^
      (TABLES[0x400 + (crc >>> 24)] ?? 0) ^
      (TABLES[0x300 + (bytes[at + 4] ?? 0)] ?? 0) ^
      (TABLES[0x200 + (bytes[at + 5] ?? 0)] ?? 0) ^
      (TABLES[0x100 + (bytes[at + 6] ?? 0)] ?? 0) ^
      (TABLES[bytes[at + 7] as number] ?? 0)
  }
  for (; at < to; at++) crc = step(crc, bytes[at] ?? 0)
  return ~crc >>> 0
}

const step = (crc: number, byte: number): number => (crc >>> 8) ^ (TABLES[(crc ^ byte) & 0xff] ?? 0)

/** The checksum that is stored masked at `at`, without its mask. */
export const storedCrc = (bytes: Uint8Array, at: number): number =>
  unmaskCrc(
    ((bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)) >>>
      0,
  )

/** Whether a run of bytes that begins at `from`, and ends at `to` or before, has this checksum. */
export function hasPrefixWithCrc32c(bytes: Uint8Array, from: number, to: number, expected: number): boolean {
  let crc = ~0
  for (let at = from; at < to; at++) {
    crc = step(crc, bytes[at] ?? 0)
    if (~crc >>> 0 === expected) return true
  }
  return false
}

/** LevelDB masks the checksums that it stores, because a CRC over bytes that contain CRCs is weak. */
export const maskCrc = (crc: number): number => (((crc >>> 15) | (crc << 17)) + MASK_DELTA) >>> 0

export function unmaskCrc(masked: number): number {
  const rotated = (masked - MASK_DELTA) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}
