// The part of each row that apply needs for a change, kept in memory: its first bytes, its length and its hash. A put
// that asks LevelDB for the row that it replaces spends more time there than on everything else.
//
// Slots of a fixed size in flat arrays, in sets of four, found by a hash of the key and compared byte by byte. There
// are no objects that the garbage collector must walk. A row known to be absent has a slot too. A key that is too long
// for a slot is remembered only until the next such key: an entry changes a row right after it has read its head.

import { ROW_HEAD_BYTES } from '../kv/types.ts'
import { hashOfKey } from './row-filter.ts'
import { hashAt, TRAILER_BYTES } from './rows.ts'
import type { RowHash } from './types.ts'

/** Longer row keys get no slot. */
const KEY_BYTES_MAX = 60
const SLOT_BYTES = ROW_HEAD_BYTES + KEY_BYTES_MAX
const WAYS = 4

/** The head of a row that exists. `bytes` is a copy, because its slot may be reused at any time. */
export interface RowHead extends RowHash {
  readonly bytes: Uint8Array
  /** Length of the whole row, as given to `apply`. */
  readonly length: number
}

/** Row, absent row, or nothing known. */
export type Remembered = RowHead | 'absent' | undefined

export class RowHeads {
  readonly #sets: number
  /** Head, then key, of each slot. */
  readonly #bytes: Uint8Array
  /** 0: the slot is free. */
  readonly #keyLengths: Uint8Array
  readonly #hashes: Int32Array
  readonly #lengths: Int32Array
  readonly #mixes: Uint32Array
  readonly #crcs: Uint32Array
  /** Which slot of a full set is replaced next. */
  #turn = 0
  #long: { readonly key: Uint8Array; readonly head: RowHead | 'absent' } | undefined

  /** Room for at least `rows` rows. */
  constructor(rows: number) {
    this.#sets = Math.max(1, Math.ceil(rows / WAYS))
    const slots = this.#sets * WAYS
    this.#bytes = new Uint8Array(slots * SLOT_BYTES)
    this.#keyLengths = new Uint8Array(slots)
    this.#hashes = new Int32Array(slots)
    this.#lengths = new Int32Array(slots)
    this.#mixes = new Uint32Array(slots)
    this.#crcs = new Uint32Array(slots)
  }

  get(key: Uint8Array): Remembered {
    if (key.length > KEY_BYTES_MAX) {
      const long = this.#long
      const isLong = long?.key.length === key.length && equal(key, long.key, 0)
      return isLong ? long.head : undefined
    }
    const slot = this.#find(key, hashOfKey(key))
    if (slot < 0) return undefined
    const length = this.#lengths[slot] ?? ABSENT
    if (length === ABSENT) return 'absent'
    const at = slot * SLOT_BYTES
    const bytes = this.#bytes.slice(at, at + Math.min(length, ROW_HEAD_BYTES))
    return { bytes, length, mix: this.#mixes[slot] ?? 0, crc: this.#crcs[slot] ?? 0 }
  }

  /** `stored`: the sealed row; undefined: the row does not exist. */
  remember(key: Uint8Array, stored: Uint8Array | undefined): void {
    if (key.length > KEY_BYTES_MAX) {
      this.#long = { key: new Uint8Array(key), head: stored === undefined ? 'absent' : headOf(stored) }
      return
    }
    const slot = this.#slotFor(key)
    if (stored === undefined) {
      this.#lengths[slot] = ABSENT
      return
    }
    const length = stored.length - TRAILER_BYTES
    const at = slot * SLOT_BYTES
    const headBytes = Math.min(length, ROW_HEAD_BYTES)
    for (let i = 0; i < headBytes; i++) this.#bytes[at + i] = stored[i] ?? 0
    this.#lengths[slot] = length
    this.#mixes[slot] = hashAt(stored, length)
    this.#crcs[slot] = hashAt(stored, length + 4)
  }

  forgetAll(): void {
    this.#keyLengths.fill(0)
    this.#long = undefined
  }

  #find(key: Uint8Array, hash: number): number {
    const first = this.#firstOf(hash)
    for (let slot = first; slot < first + WAYS; slot++) {
      if (this.#hashes[slot] !== hash || this.#keyLengths[slot] !== key.length) continue
      if (equal(key, this.#bytes, slot * SLOT_BYTES + ROW_HEAD_BYTES)) return slot
    }
    return -1
  }

  /** The slot of `key`. If it has none, a slot becomes its own. */
  #slotFor(key: Uint8Array): number {
    const hash = hashOfKey(key)
    const found = this.#find(key, hash)
    if (found >= 0) return found
    const first = this.#firstOf(hash)
    let slot = first
    while (slot < first + WAYS && this.#keyLengths[slot] !== 0) slot++
    if (slot === first + WAYS) {
      this.#turn = (this.#turn + 1) % WAYS
      slot = first + this.#turn
    }
    this.#hashes[slot] = hash
    this.#keyLengths[slot] = key.length
    this.#bytes.set(key, slot * SLOT_BYTES + ROW_HEAD_BYTES)
    return slot
  }

  #firstOf(hash: number): number {
    return ((hash >>> 0) % this.#sets) * WAYS
  }
}

const ABSENT = -1

function headOf(stored: Uint8Array): RowHead {
  const length = stored.length - TRAILER_BYTES
  const bytes = new Uint8Array(stored.subarray(0, Math.min(length, ROW_HEAD_BYTES)))
  return { bytes, length, mix: hashAt(stored, length), crc: hashAt(stored, length + 4) }
}

function equal(key: Uint8Array, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < key.length; i++) if (key[i] !== bytes[at + i]) return false
  return true
}
