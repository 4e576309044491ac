// The part of each row that apply needs for a change, kept in memory: its first bytes, its length and its hash. A put
// that asks LevelDB for the row that it replaces spends more time there than on everything else.
//
// Slots of a fixed size in flat arrays, in sets of eight, found by a hash of the key and compared byte by byte. There
// are no objects that the garbage collector must walk. A row known to be absent has a slot too. A key that is too long
// for a slot is remembered only until the next such key: an entry changes a row right after it has read its head.
//
// A table that becomes full is replaced by one of twice the size, up to the limit. Its slots move one set at a time,
// because moving all at once would keep heartbeats waiting.

import { ROW_HEAD_BYTES } from '../kv/types.ts'
import { hashAt, isAt, type Row, TRAILER_BYTES } from './rows.ts'
import type { RowHash } from './types.ts'

/** Longer row keys get no slot. */
const KEY_BYTES_MAX = 60
const SLOT_BYTES = ROW_HEAD_BYTES + KEY_BYTES_MAX
const WAYS = 8
const SETS_MIN = 512

/** The head of a row that exists. It is valid until the next call: its memory is used again. */
export interface RowHead extends RowHash {
  readonly bytes: Uint8Array
  /** Length of the whole row, as given to `apply`. */
  readonly length: number
}

/** Row, absent row, or nothing known. */
export type Remembered = RowHead | 'absent' | undefined

const ABSENT = -1

export class RowHeads {
  readonly #setsMax: number
  #table: Table
  /** The table before the last growth, and its first set that has not moved. */
  #old: Table | undefined
  #moved = 0
  readonly #head = {
    bytes: new Uint8Array(ROW_HEAD_BYTES),
    length: 0,
    mix: 0,
    crc: 0,
  }
  #long: { readonly key: Uint8Array; readonly head: RowHead | 'absent' } | undefined

  /** Room for at least `rows` rows. */
  constructor(rows: number) {
    this.#setsMax = Math.max(1, Math.ceil(rows / WAYS))
    this.#table = new Table(Math.min(SETS_MIN, this.#setsMax))
  }

  /** `hash`: `hashOfKey(key)`. */
  get(key: Uint8Array, hash: number): Remembered {
    if (key.length > KEY_BYTES_MAX) {
      const long = this.#long
      const isLong = long?.key.length === key.length && isAt(key, long.key, 0)
      return isLong ? long.head : undefined
    }
    let table = this.#table
    let slot = table.find(key, hash)
    if (slot < 0 && this.#old !== undefined) {
      table = this.#old
      slot = table.find(key, hash)
    }
    if (slot < 0) return undefined
    const length = table.lengths[slot] ?? ABSENT
    if (length === ABSENT) return 'absent'
    const head = this.#head
    const headBytes = Math.min(length, ROW_HEAD_BYTES)
    if (head.bytes.length !== headBytes) head.bytes = new Uint8Array(headBytes)
    table.copyHead(slot, head.bytes)
    head.length = length
    head.mix = table.mixes[slot] ?? 0
    head.crc = table.crcs[slot] ?? 0
    return head
  }

  /** A row that was read; `stored`: the sealed row; undefined: it does not exist. */
  remember(key: Uint8Array, hash: number, stored: Uint8Array | undefined): void {
    if (key.length > KEY_BYTES_MAX) {
      this.#long = { key: new Uint8Array(key), head: stored === undefined ? 'absent' : headOf(stored) }
      return
    }
    const slot = this.#slotFor(key, hash)
    const table = this.#table
    const length = stored === undefined ? ABSENT : stored.length - TRAILER_BYTES
    table.lengths[slot] = length
    if (stored === undefined) return
    const at = slot * SLOT_BYTES
    const headBytes = Math.min(length, ROW_HEAD_BYTES)
    for (let i = 0; i < headBytes; i++) table.bytes[at + i] = stored[i] ?? 0
    table.mixes[slot] = hashAt(stored, length)
    table.crcs[slot] = hashAt(stored, length + 4)
  }

  /** A row that was changed. */
  changed(key: Uint8Array, row: Row): void {
    if (key.length > KEY_BYTES_MAX) {
      this.remember(key, row.hash, row.stored)
      return
    }
    const slot = this.#slotFor(key, row.hash)
    const table = this.#table
    if (row.isDeleted) {
      table.lengths[slot] = ABSENT
      return
    }
    const { length } = row
    row.copyHead(Math.min(length, ROW_HEAD_BYTES), table.bytes, slot * SLOT_BYTES)
    table.lengths[slot] = length
    table.mixes[slot] = row.mix
    table.crcs[slot] = row.crc
  }

  forgetAll(): void {
    this.#table = new Table(Math.min(SETS_MIN, this.#setsMax))
    this.#old = undefined
    this.#long = undefined
  }

  /** The slot of `key`. If it has none, a slot becomes its own. */
  #slotFor(key: Uint8Array, hash: number): number {
    if (this.#old !== undefined) this.#moveOn(this.#old, key, hash)
    const found = this.#table.find(key, hash)
    if (found >= 0) return found
    if (this.#old === undefined && this.#table.isCrowded && this.#table.sets < this.#setsMax) this.#grow()
    return this.#table.take(key, hash)
  }

  #grow(): void {
    this.#old = this.#table
    this.#moved = 0
    this.#table = new Table(Math.min(2 * this.#old.sets, this.#setsMax))
  }

  /** Moves one set, and forgets the old slot of `key`, which is about to be remembered anew. */
  #moveOn(old: Table, key: Uint8Array, hash: number): void {
    const slot = old.find(key, hash)
    if (slot >= 0) old.free(slot)
    old.moveSet(this.#moved, this.#table)
    this.#moved++
    if (this.#moved === old.sets) this.#old = undefined
  }
}

class Table {
  readonly sets: number
  /** Head, then key, of each slot. */
  readonly bytes: Uint8Array
  /** Lengths of the rows. */
  readonly lengths: Int32Array
  readonly mixes: Uint32Array
  readonly crcs: Uint32Array
  /** 0: the slot is free. */
  readonly #keyLengths: Uint8Array
  readonly #hashes: Int32Array
  #taken = 0
  /** Which slot of a full set is replaced next. */
  #turn = 0

  constructor(sets: number) {
    this.sets = sets
    const slots = sets * WAYS
    this.bytes = new Uint8Array(slots * SLOT_BYTES)
    this.lengths = new Int32Array(slots)
    this.mixes = new Uint32Array(slots)
    this.crcs = new Uint32Array(slots)
    this.#keyLengths = new Uint8Array(slots)
    this.#hashes = new Int32Array(slots)
  }

  /** So many slots are taken that sets overflow often. */
  get isCrowded(): boolean {
    return 2 * this.#taken > this.sets * WAYS
  }

  /** Below 0: the key has no slot. */
  find(key: Uint8Array, hash: number): number {
    const first = this.#firstOf(hash)
    for (let slot = first; slot < first + WAYS; slot++) {
      if (this.#hashes[slot] !== hash || this.#keyLengths[slot] !== key.length) continue
      if (isAt(key, this.bytes, slot * SLOT_BYTES + ROW_HEAD_BYTES)) return slot
    }
    return -1
  }

  /** A slot for a key that has none. If its set is full, another key loses its slot. */
  take(key: Uint8Array, hash: number): number {
    const slot = this.#freeSlot(hash)
    this.#hashes[slot] = hash
    this.#keyLengths[slot] = key.length
    this.bytes.set(key, slot * SLOT_BYTES + ROW_HEAD_BYTES)
    return slot
  }

  free(slot: number): void {
    this.#keyLengths[slot] = 0
    this.#taken--
  }

  moveSet(set: number, to: Table): void {
    for (let slot = set * WAYS; slot < (set + 1) * WAYS; slot++) {
      const keyLength = this.#keyLengths[slot] ?? 0
      if (keyLength === 0) continue
      const hash = this.#hashes[slot] ?? 0
      const there = to.#freeSlot(hash)
      to.#hashes[there] = hash
      to.#keyLengths[there] = keyLength
      to.bytes.set(this.bytes.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES), there * SLOT_BYTES)
      to.lengths[there] = this.lengths[slot] ?? ABSENT
      to.mixes[there] = this.mixes[slot] ?? 0
      to.crcs[there] = this.crcs[slot] ?? 0
      this.free(slot)
    }
  }

  copyHead(slot: number, target: Uint8Array): void {
    const at = slot * SLOT_BYTES
    for (let i = 0; i < target.length; i++) target[i] = this.bytes[at + i] ?? 0
  }

  #freeSlot(hash: number): number {
    const first = this.#firstOf(hash)
    let slot = first
    while (slot < first + WAYS && this.#keyLengths[slot] !== 0) slot++
    if (slot < first + WAYS) this.#taken++
    else {
      this.#turn = (this.#turn + 1) % WAYS
      slot = first + this.#turn
    }
    return slot
  }

  #firstOf(hash: number): number {
    return ((hash >>> 0) % this.sets) * WAYS
  }
}

function headOf(stored: Uint8Array): RowHead {
  const length = stored.length - TRAILER_BYTES
  const bytes = new Uint8Array(stored.subarray(0, Math.min(length, ROW_HEAD_BYTES)))
  return { bytes, length, mix: hashAt(stored, length), crc: hashAt(stored, length + 4) }
}
