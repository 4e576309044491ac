// The heads of rows in memory: their first bytes, length and hash, in slots of flat arrays (README.md).

import { hash as digestOf } from 'node:crypto'
import { ROW_HEAD_BYTES, TABLE_KEY_METADATA } from '../../../kv/types.ts'
import { keyString } from '../../../storage/keys.ts'
import { hashAt, isAt, type Row, TRAILER_BYTES } from '../../../storage/rows.ts'
import type { StoredRowHash } from '../../../storage/types.ts'

/** Longer row keys are replaced by names of this many bytes: the table, the SHA-256 of the key, zeros. */
const NAME_BYTES = 61
const KEY_BYTES_MAX = NAME_BYTES - 1
// A slot: length of the row, or ABSENT (4), mix (4), CRC-32 (4), length of the key (1), head, key.
const LENGTH = 0
const MIX = 1
const CRC = 2
const KEY_LENGTH_AT = 12
const HEAD_AT = 13
const KEY_AT = HEAD_AT + ROW_HEAD_BYTES
const SLOT_WORDS = Math.ceil((KEY_AT + NAME_BYTES) / 4)
const SLOT_BYTES = 4 * SLOT_WORDS
const WAYS = 8
/** So many slots of a set are taken, on average, when the table grows. */
const WAYS_FULL = 7
const SETS_MIN = 512
/** The memory of one head in a full table: its slot and hash, and its share of those that are free. */
export const HEAD_BYTES = Math.ceil(((SLOT_BYTES + 4) * WAYS) / WAYS_FULL)

/** The head of a row that exists. It is valid until the next call: its memory is used again. */
interface RowHead extends StoredRowHash {
  readonly bytes: Uint8Array
  /** Length of the whole row, as given to `apply`. */
  readonly length: number
}

/** Row, absent row, or nothing known. */
type HeadLookup = RowHead | 'absent' | undefined

const ABSENT = -1
/** In place of the hash of a key. */
const FREE = 0

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
  /** Heads that have no slot until the entry ends, by the name of their key. */
  readonly #kept = new Map<string, RowHead | 'absent'>()
  /** Hashes of the keys that have lost their slots while rows are loaded; undefined: none are loaded. */
  #lost: Set<number> | undefined = new Set()
  /** The head of a user's key that exists has no slot. */
  #lacksKeys = false
  /** Whether the head of every user's key that exists is remembered. It does not change during an entry. */
  knowsAllKeys = false

  /** Room for at least `rows` rows. */
  constructor(rows: number) {
    this.#setsMax = Math.max(1, Math.ceil(rows / WAYS_FULL))
    this.#table = this.#newTable(this.#setsMin)
  }

  #newTable(sets: number): Table {
    return new Table(sets, (table, slot, tag) => {
      this.#keep(table, slot)
      // In a full table each further head takes the place of another one.
      if (this.#table.sets === this.#setsMax && this.#table.isCrowded) this.#lost = undefined
      else this.#lost?.add(tag)
    })
  }

  /** Doubled some times, it is the greatest number. */
  get #setsMin(): number {
    let sets = this.#setsMax
    while (sets > SETS_MIN) sets = Math.ceil(sets / 2)
    return sets
  }

  /** `hash`: `hashOfKey(rowKey)`. */
  get(rowKey: Uint8Array, hash: number): HeadLookup {
    const key = shortenRowKey(rowKey)
    let table = this.#table
    let slot = table.find(key, hash)
    if (slot < 0 && this.#old !== undefined) {
      table = this.#old
      slot = table.find(key, hash)
    }
    if (slot >= 0) return table.readHead(slot, this.#head)
    return this.#kept.size === 0 ? undefined : this.#kept.get(keyString(key))
  }

  /** A row that was read; `stored`: the sealed row; undefined: it does not exist. */
  remember(key: Uint8Array, hash: number, stored: Uint8Array | undefined): void {
    const slot = this.#slotFor(key, hash)
    if (stored === undefined) {
      this.#table.setAbsent(slot)
      return
    }
    const length = stored.length - TRAILER_BYTES
    this.#table.setHash(slot, length, hashAt(stored, length), hashAt(stored, length + 4))
    this.#table.setHead(slot, stored, length)
  }

  /** A row that was changed. */
  changed(key: Uint8Array, row: Row): void {
    const slot = this.#slotFor(key, row.hash)
    if (row.isDeleted) {
      this.#table.setAbsent(slot)
      return
    }
    const { length } = row
    this.#table.setHash(slot, length, row.mix, row.crc)
    row.copyHead(Math.min(length, ROW_HEAD_BYTES), this.#table.bytes, this.#table.headAt(slot))
  }

  /**
   * The metadata of a user's key (`TABLE_KEY_METADATA`); undefined: the key does not exist. False: it is known that it
   * existed before.
   */
  put(key: Uint8Array, hash: number, head: Uint8Array | undefined): boolean {
    const slot = this.#slotFor(key, hash)
    const isNew = this.#table.isAbsent(slot)
    if (head === undefined) this.#table.setAbsent(slot)
    else {
      this.#table.setHash(slot, head.length, 0, 0)
      this.#table.setHead(slot, head, head.length)
    }
    return isNew
  }

  /** The entry that was being applied has ended. */
  endEntry(): void {
    this.#kept.clear()
    if (this.#lacksKeys) this.knowsAllKeys = false
  }

  /** The key of this slot is about to lose it. */
  #keep(table: Table, slot: number): void {
    const key = table.keyAt(slot)
    const head = table.readHead(slot, this.#head)
    if (head !== 'absent' && key[0] === TABLE_KEY_METADATA) this.#lacksKeys = true
    this.#kept.set(keyString(key), head === 'absent' ? head : { ...head, bytes: new Uint8Array(head.bytes) })
  }

  /** Whether rows that are read in the background are of use: not in a full table, and not after `loaded`. */
  get isLoading(): boolean {
    return this.#lost !== undefined
  }

  /** Whether to remember a row that was read since `forgetAll`. Not if it may have changed after it was read. */
  wants(key: Uint8Array, hash: number): boolean {
    if (this.get(key, hash) !== undefined) return false
    const isLost = this.#lost === undefined || this.#lost.has(hashTag(hash))
    if (!isLost) return true
    if (key[0] === TABLE_KEY_METADATA) this.#lacksKeys = true
    return false
  }

  /** No more rows are read in the background. */
  loaded(): void {
    this.#lost = undefined
    this.knowsAllKeys = !this.#lacksKeys
  }

  forgetAll(): void {
    this.#table = this.#newTable(this.#setsMin)
    this.#old = undefined
    this.#kept.clear()
    this.#lost = new Set()
    this.#lacksKeys = false
    this.knowsAllKeys = false
  }

  /** The slot of a key. If it has none, a slot becomes its own. */
  #slotFor(rowKey: Uint8Array, hash: number): number {
    const key = shortenRowKey(rowKey)
    if (this.#old !== undefined) this.#moveOn(this.#old, key, hash)
    const found = this.#table.find(key, hash)
    if (found >= 0) return found
    const mayGrow = this.#old === undefined && this.#table.sets < this.#setsMax
    if (mayGrow && (this.#table.isCrowded || this.#table.isFullFor(hash))) this.#grow()
    return this.#table.take(key, hash)
  }

  #grow(): void {
    this.#old = this.#table
    this.#moved = 0
    this.#table = this.#newTable(Math.min(2 * this.#old.sets, this.#setsMax))
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
  /** All slots. `bytes` has the same memory. */
  readonly words: Int32Array
  readonly bytes: Uint8Array
  /** The hashes of the keys, or FREE. */
  readonly #tags: Int32Array
  /** Called with a slot whose key is about to lose it, and the tag of this key. */
  readonly #lose: (table: Table, slot: number, tag: number) => void
  #used = 0
  /** Which slot of a full set is replaced next. */
  #turn = 0

  constructor(sets: number, lose: (table: Table, slot: number, tag: number) => void) {
    this.sets = sets
    this.#lose = lose
    const slots = sets * WAYS
    this.words = new Int32Array(slots * SLOT_WORDS)
    this.bytes = new Uint8Array(this.words.buffer)
    this.#tags = new Int32Array(slots)
  }

  /** So many slots are taken that sets begin to overflow. */
  get isCrowded(): boolean {
    return this.#used > this.sets * WAYS_FULL
  }

  /** Below 0: the key has no slot. */
  find(key: Uint8Array, hash: number): number {
    const tag = hashTag(hash)
    const slot = this.#findInSet(this.#firstSet(tag), tag, key)
    return slot < 0 ? this.#findInSet(this.#secondSet(tag), tag, key) : slot
  }

  /** `first`: the first slot of a set. */
  #findInSet(first: number, tag: number, key: Uint8Array): number {
    for (let slot = first; slot < first + WAYS; slot++) {
      if (this.#tags[slot] !== tag) continue
      const at = slot * SLOT_BYTES
      if (this.bytes[at + KEY_LENGTH_AT] === key.length && isAt(key, this.bytes, at + KEY_AT)) return slot
    }
    return -1
  }

  /** Both sets of a key are full. */
  isFullFor(hash: number): boolean {
    const tag = hashTag(hash)
    return this.#countFree(this.#firstSet(tag)) === 0 && this.#countFree(this.#secondSet(tag)) === 0
  }

  /** A slot for a key that has none; the key is absent. If both of its sets are full, another key loses its slot. */
  take(key: Uint8Array, hash: number): number {
    const slot = this.#slotFor(hashTag(hash))
    this.setAbsent(slot)
    this.bytes[slot * SLOT_BYTES + KEY_LENGTH_AT] = key.length
    this.bytes.set(key, slot * SLOT_BYTES + KEY_AT)
    return slot
  }

  free(slot: number): void {
    this.#tags[slot] = FREE
    this.#used--
  }

  moveSet(set: number, to: Table): void {
    for (let slot = set * WAYS; slot < (set + 1) * WAYS; slot++) {
      const tag = this.#tags[slot] ?? FREE
      if (tag === FREE) continue
      const there = to.#slotFor(tag) * SLOT_BYTES
      to.bytes.set(this.bytes.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES), there)
      this.free(slot)
    }
  }

  keyAt(slot: number): Uint8Array {
    const at = slot * SLOT_BYTES
    return this.bytes.subarray(at + KEY_AT, at + KEY_AT + (this.bytes[at + KEY_LENGTH_AT] ?? 0))
  }

  /** The head is put into `into`. */
  readHead(slot: number, into: Writable<RowHead>): RowHead | 'absent' {
    const at = slot * SLOT_WORDS
    const length = this.words[at + LENGTH] ?? ABSENT
    if (length === ABSENT) return 'absent'
    const headBytes = Math.min(length, ROW_HEAD_BYTES)
    if (into.bytes.length !== headBytes) into.bytes = new Uint8Array(headBytes)
    const from = this.headAt(slot)
    for (let i = 0; i < headBytes; i++) into.bytes[i] = this.bytes[from + i] ?? 0
    into.length = length
    into.mix = this.words[at + MIX] ?? 0
    into.crc = this.words[at + CRC] ?? 0
    return into
  }

  headAt(slot: number): number {
    return slot * SLOT_BYTES + HEAD_AT
  }

  isAbsent(slot: number): boolean {
    return this.words[slot * SLOT_WORDS + LENGTH] === ABSENT
  }

  setAbsent(slot: number): void {
    this.words[slot * SLOT_WORDS + LENGTH] = ABSENT
  }

  setHash(slot: number, length: number, mix: number, crc: number): void {
    const at = slot * SLOT_WORDS
    this.words[at + LENGTH] = length
    this.words[at + MIX] = mix
    this.words[at + CRC] = crc
  }

  /** The first bytes of a row of `length` bytes. */
  setHead(slot: number, row: Uint8Array, length: number): void {
    const at = this.headAt(slot)
    const headBytes = Math.min(length, ROW_HEAD_BYTES)
    for (let i = 0; i < headBytes; i++) this.bytes[at + i] = row[i] ?? 0
  }

  #slotFor(tag: number): number {
    const [first, second] = [this.#firstSet(tag), this.#secondSet(tag)]
    const set = this.#countFree(second) > this.#countFree(first) ? second : first
    let slot = set
    while (slot < set + WAYS && this.#tags[slot] !== FREE) slot++
    if (slot < set + WAYS) this.#used++
    else {
      slot = this.#slotToLose(set)
      this.#lose(this, slot, this.#tags[slot] ?? FREE)
    }
    this.#tags[slot] = tag
    return slot
  }

  /** Heads of users' keys that exist are in no row, so the others lose their slots first. */
  #slotToLose(set: number): number {
    for (let tried = 0; tried < WAYS; tried++) {
      this.#turn = (this.#turn + 1) % WAYS
      const slot = set + this.#turn
      const isOfKey = this.bytes[slot * SLOT_BYTES + KEY_AT] === TABLE_KEY_METADATA
      if (!isOfKey || this.words[slot * SLOT_WORDS + LENGTH] === ABSENT) break
    }
    return set + this.#turn
  }

  #countFree(first: number): number {
    let free = 0
    for (let slot = first; slot < first + WAYS; slot++) if (this.#tags[slot] === FREE) free++
    return free
  }

  #firstSet(tag: number): number {
    return ((tag >>> 0) % this.sets) * WAYS
  }

  #secondSet(tag: number): number {
    return ((Math.imul(tag ^ (tag >>> 15), 0x85ebca6b) >>> 0) % this.sets) * WAYS
  }
}

type Writable<T> = { -readonly [name in keyof T]: T[name] }

const hashTag = (hash: number): number => (hash === FREE ? 1 : hash)

/** The key that stands for a row key in the table. */
function shortenRowKey(rowKey: Uint8Array): Uint8Array {
  if (rowKey.length <= KEY_BYTES_MAX) return rowKey
  const name = new Uint8Array(NAME_BYTES)
  name[0] = rowKey[0] ?? 0
  name.set(digestOf('sha256', rowKey, 'buffer'), 1)
  return name
}
