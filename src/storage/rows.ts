// The stored form of a row, and the hash over all rows.
//
//   payload | mix (4) | CRC-32 (4)
//
// The CRC covers key, payload and mix. Mix is a second hash of key and payload that is computed in an unrelated way.
// Both together are the row's 64-bit hash. The hash of the state is the sum of these over all rows. Each change
// subtracts the old row and adds the new one, and every replica gets the same sum, whatever the order of the rows. It
// finds accidents, not malice.

import { crc32 } from 'node:zlib'
import type { EngineBatch } from './engine.ts'
import { CorruptionError } from './errors.ts'
import type { StoredRowHash } from './types.ts'

export const TRAILER_BYTES = 8
const TWO_32 = 0x1_0000_0000n
const NOTHING = new Uint8Array()

/**
 * A row that was changed here, in one piece of memory: its key in the engine, and its stored form. Most rows are cut
 * from slabs: one allocation for each would cost more than all other work on it.
 */
export class Row implements StoredRowHash {
  /** `hashOfKey` of the row's key. */
  readonly hash: number
  readonly mix: number
  readonly crc: number
  readonly #bytes: Uint8Array
  readonly #engineKeyAt: number
  readonly #keyAt: number
  readonly #payloadAt: number
  /** The end of the stored form; 0: the row is deleted. */
  readonly #end: number

  /**
   * `prefix` precedes the key in the engine, `rest` follows `value`. `value` undefined: the row is deleted. `hash`:
   * `hashOfKey(key)`.
   */
  constructor(
    prefix: Uint8Array,
    key: Uint8Array,
    hash: number,
    value: Uint8Array | undefined,
    rest: Uint8Array = NOTHING,
  ) {
    const stored = value === undefined ? 0 : value.length + rest.length + TRAILER_BYTES
    const bytesNeeded = prefix.length + key.length + stored
    const target = slabFor(bytesNeeded)
    const { bytes, view, at } = target
    target.at += bytesNeeded
    const keyAt = at + prefix.length
    const payloadAt = keyAt + key.length
    bytes.set(prefix, at)
    bytes.set(key, keyAt)
    this.hash = hash
    this.#bytes = bytes
    this.#engineKeyAt = at
    this.#keyAt = keyAt
    this.#payloadAt = payloadAt
    this.#end = value === undefined ? 0 : payloadAt + stored
    this.mix = 0
    this.crc = 0
    if (value === undefined) return
    bytes.set(value, payloadAt)
    bytes.set(rest, payloadAt + value.length)
    const mixAt = payloadAt + value.length + rest.length
    this.mix = mixRow(view, keyAt, payloadAt, mixAt)
    view.setInt32(mixAt, this.mix)
    this.crc = crc32(part(bytes, keyAt, mixAt + 4)) | 0
    view.setInt32(mixAt + 4, this.crc)
  }

  get engineKey(): Uint8Array {
    return part(this.#bytes, this.#engineKeyAt, this.#payloadAt)
  }

  get key(): Uint8Array {
    return part(this.#bytes, this.#keyAt, this.#payloadAt)
  }

  /** The sealed row; undefined: deleted. */
  get stored(): Uint8Array | undefined {
    return this.#end === 0 ? undefined : part(this.#bytes, this.#payloadAt, this.#end)
  }

  get isDeleted(): boolean {
    return this.#end === 0
  }

  /** Bytes of key and stored form. */
  get size(): number {
    return Math.max(this.#end, this.#payloadAt) - this.#engineKeyAt
  }

  /** Length of the payload. */
  get length(): number {
    return this.#end - this.#payloadAt - TRAILER_BYTES
  }

  /** Copies the first `count` bytes of the payload. */
  copyHead(count: number, target: Uint8Array, at: number): void {
    const from = this.#payloadAt
    for (let i = 0; i < count; i++) target[at + i] = this.#bytes[from + i] ?? 0
  }

  hasKey(key: Uint8Array): boolean {
    const from = this.#keyAt
    if (key.length !== this.#payloadAt - from) return false
    return isAt(key, this.#bytes, from)
  }

  isSameAs(other: Row): boolean {
    return this.hasKey(other.key)
  }
}

const SLAB_BYTES = 64 * 1024
/** Whether these bytes stand at that place. */
export function isAt(key: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < key.length; i++) if (key[i] !== bytes[at + i]) return false
  return true
}

/** The position of the next row. The bytes before `at` belong to earlier rows. */
let slab = newSlab(SLAB_BYTES)

interface Slab {
  readonly bytes: Uint8Array
  readonly view: DataView
  at: number
}

function newSlab(length: number): Slab {
  const { buffer } = Buffer.allocUnsafeSlow(length)
  return { bytes: new Uint8Array(buffer), view: new DataView(buffer), at: 0 }
}

/** View of a part of bytes that fill their buffer, as `subarray` makes it, in two thirds of its time. */
const part = (bytes: Uint8Array, from: number, to: number): Uint8Array =>
  new Uint8Array(bytes.buffer, from, to - from)

/** A slab with room for a row. The row takes it by raising `at`. */
function slabFor(count: number): Slab {
  if (count > SLAB_BYTES / 8) return newSlab(count)
  if (slab.at + count > SLAB_BYTES) slab = newSlab(SLAB_BYTES)
  return slab
}

/** Never used: see KEPT_READER. */
export const KEPT_ROW = new Row(NOTHING, NOTHING, 0, undefined)

/** The payload of a stored row, as a view; throws `CorruptionError` when its checksum is wrong. */
export function openRow(key: Uint8Array, stored: Uint8Array): Uint8Array {
  const length = stored.length - TRAILER_BYTES
  if (length < 0 || crc32(beginning(stored, length + 4), crc32(key)) !== hashAt(stored, length + 4))
    throw new CorruptionError(
      `the checksum of the row with key 0x${Buffer.from(key).toString('hex')} does not hold`,
    )
  return beginning(stored, length)
}

/** As `subarray` makes it, in a third of its time: that of a Buffer is slow. */
const beginning = ({ buffer, byteOffset }: Uint8Array, length: number): Uint8Array =>
  new Uint8Array(buffer, byteOffset, length)

/** The hash computed from the row's content. */
export const hashOfRow = (key: Uint8Array, payload: Uint8Array): StoredRowHash =>
  new Row(NOTHING, key, 0, payload)

/** The hash as stored. It can be trusted for a row that was sealed here or has been opened. */
export const hashOfStored = (stored: Uint8Array): StoredRowHash => ({
  mix: hashAt(stored, stored.length - 8) | 0,
  crc: hashAt(stored, stored.length - 4) | 0,
})

/** One half of the hash, at its place in the row. */
export const hashAt = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] ?? 0) << 24) |
    ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) |
    (bytes[at + 3] ?? 0)) >>>
  0

/** Similar to MurmurHash3: multiplication and rotation, where a CRC uses polynomial division. */
function mixRow(bytes: DataView, keyAt: number, payloadAt: number, end: number): number {
  let hash = mixInto(mixInto(0, bytes, keyAt, payloadAt), bytes, payloadAt, end)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

function mixInto(seed: number, bytes: DataView, from: number, end: number): number {
  let hash = seed ^ (end - from)
  const whole = end - ((end - from) & 3)
  for (let at = from; at < whole; at += 4) {
    let word = Math.imul(bytes.getInt32(at, true), 0xcc9e2d51)
    word = Math.imul((word << 15) | (word >>> 17), 0x1b873593)
    hash ^= word
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  for (let at = whole; at < end; at++) hash = Math.imul(hash ^ bytes.getUint8(at), 0x01000193)
  return hash
}

/** The sum of the hashes of a set of rows: two sums modulo 2^32, cheap enough for every written row. */
export class StateHash {
  #mix = 0
  #crc = 0

  constructor(from = 0n) {
    this.#mix = Number(from / TWO_32) | 0
    this.#crc = Number(from % TWO_32) | 0
  }

  add(row: StoredRowHash): void {
    this.#mix = (this.#mix + row.mix) | 0
    this.#crc = (this.#crc + row.crc) | 0
  }

  /** Adds a row that has been opened. */
  addStored(stored: Uint8Array): void {
    this.#mix = (this.#mix + hashAt(stored, stored.length - 8)) | 0
    this.#crc = (this.#crc + hashAt(stored, stored.length - 4)) | 0
  }

  subtract(row: StoredRowHash): void {
    this.#mix = (this.#mix - row.mix) | 0
    this.#crc = (this.#crc - row.crc) | 0
  }

  get value(): bigint {
    return BigInt(this.#mix >>> 0) * TWO_32 + BigInt(this.#crc >>> 0)
  }
}

/** Writes the row, or deletes it. */
export function putRow(batch: EngineBatch, row: Row): void {
  const { engineKey, stored } = row
  if (stored === undefined) batch.delete(engineKey)
  else batch.put(engineKey, stored)
}
