// Functions of `node:zlib` that the shipped code below the lab uses.

/** The polynomial of CRC-32 (IEEE 802.3), with its bits in reverse. */
const POLYNOMIAL = 0xedb88320

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte
  for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
  return crc
})

/** `value`: the CRC of the bytes before these. */
export function crc32(bytes: Uint8Array, value = 0): number {
  let crc = ~value
  for (let at = 0; at < bytes.length; at++) crc = (crc >>> 8) ^ (TABLE[(crc ^ (bytes[at] ?? 0)) & 255] ?? 0)
  return ~crc >>> 0
}
