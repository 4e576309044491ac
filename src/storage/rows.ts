// The stored form of a row, and the hash over all rows.
//
//   payload | mix (4) | CRC-32 (4)
//
// The CRC covers key, payload and mix. Mix is a second hash of key and payload that is computed in an unrelated way.
// Both together are the row's 64-bit hash. The hash of the state is the sum of these over all rows. Each change
// subtracts the old row and adds the new one, and every replica gets the same sum, whatever the order of the rows. It
// finds accidents, not malice.

import { crc32 } from 'node:zlib'
import { CorruptionError } from './errors.ts'
import type { RowHash } from './types.ts'

export const TRAILER_BYTES = 8
const TWO_32 = 0x1_0000_0000n

/** A row as the engine takes it. */
export interface SealedRow {
  readonly engineKey: Uint8Array
  readonly stored: Uint8Array
}

/** `prefix` goes before the key in the engine, `rest` after `value`. All parts share one piece of memory. */
export function sealRow(
  prefix: Uint8Array,
  key: Uint8Array,
  value: Uint8Array,
  rest: Uint8Array = NOTHING,
): SealedRow {
  const keyAt = prefix.length
  const payloadAt = keyAt + key.length
  const restAt = payloadAt + value.length
  const mixAt = restAt + rest.length
  const whole = Buffer.allocUnsafe(mixAt + TRAILER_BYTES)
  whole.set(prefix)
  whole.set(key, keyAt)
  whole.set(value, payloadAt)
  whole.set(rest, restAt)
  whole.writeInt32BE(mixOf(whole, keyAt, payloadAt, mixAt), mixAt)
  whole.writeUInt32BE(crc32(whole.subarray(keyAt, mixAt + 4)), mixAt + 4)
  return { engineKey: whole.subarray(0, payloadAt), stored: whole.subarray(payloadAt) }
}

const NOTHING = new Uint8Array()

/** The payload of a stored row, as a view; throws `CorruptionError` when its checksum is wrong. */
export function openRow(key: Uint8Array, stored: Uint8Array): Uint8Array {
  const length = stored.length - TRAILER_BYTES
  if (length < 0 || crc32(stored.subarray(0, length + 4), crc32(key)) !== hashAt(stored, length + 4))
    throw new CorruptionError(
      `the checksum of the row with key 0x${Buffer.from(key).toString('hex')} does not hold`,
    )
  return stored.subarray(0, length)
}

/** The hash computed from the row's content. */
export const hashOfRow = (key: Uint8Array, payload: Uint8Array): RowHash =>
  hashOfStored(sealRow(NOTHING, key, payload).stored)

/** The hash as stored. It can be trusted for a row that was sealed here or has been opened. */
export const hashOfStored = (stored: Uint8Array): RowHash => ({
  mix: hashAt(stored, stored.length - 8),
  crc: hashAt(stored, stored.length - 4),
})

/** One half of the hash, at its place in the row. */
export const hashAt = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)) >>>
  0

/** Similar to MurmurHash3: multiplication and rotation, where a CRC uses polynomial division. */
function mixOf(bytes: Uint8Array, keyAt: number, payloadAt: number, end: number): number {
  let hash = mixInto(mixInto(0, bytes, keyAt, payloadAt), bytes, payloadAt, end)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

function mixInto(seed: number, bytes: Uint8Array, from: number, end: number): number {
  let hash = seed ^ (end - from)
  const whole = end - ((end - from) & 3)
  for (let at = from; at < whole; at += 4) {
    let word =
      (bytes[at] ?? 0) |
      ((bytes[at + 1] ?? 0) << 8) |
      ((bytes[at + 2] ?? 0) << 16) |
      ((bytes[at + 3] ?? 0) << 24)
    word = Math.imul(word, 0xcc9e2d51)
    word = Math.imul((word << 15) | (word >>> 17), 0x1b873593)
    hash ^= word
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  for (let at = whole; at < end; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193)
  return hash
}

/** The sum of the hashes of a set of rows: two sums modulo 2^32, cheap enough for every written row. */
export class StateHash {
  #mix = 0
  #crc = 0

  constructor(from = 0n) {
    this.#mix = Number(from / TWO_32)
    this.#crc = Number(from % TWO_32)
  }

  add(row: RowHash): void {
    this.#mix = (this.#mix + row.mix) >>> 0
    this.#crc = (this.#crc + row.crc) >>> 0
  }

  subtract(row: RowHash): void {
    this.#mix = (this.#mix - row.mix) >>> 0
    this.#crc = (this.#crc - row.crc) >>> 0
  }

  get value(): bigint {
    return BigInt(this.#mix) * TWO_32 + BigInt(this.#crc)
  }
}
