// Ranges of users' keys of which none exists. Their rows of versions are history: a scan of the current state that
// knows them seeks behind them, where it would read a row for each deletion that is kept.
//
// The statement of a range: of its keys, none exists in any state from index `since` to the newest. So a scan may use
// it if its state is in that span, and an older scan may not. Wrong ranges would hide keys. Why the statement holds:
//
// - A scan adds a range after it has ended without an error, so its rows were complete: the range was empty at the
//   index of the scan, which becomes `since`. A range that is made of several has the greatest `since` of them.
// - A key begins to exist only by a change of its head. `created` is called with the key and the index of its entry
//   when the entry makes the change, before any scan can see it. The key is taken out of its range.
// - Some of these calls are newer than the scan that adds a range. So the keys with an index after that of the scan are
//   taken out of its range too. The newest created keys are kept; if one of those is not, the scan adds nothing.
// - An entry that is applied in parts has a greater index than every scan that does not see it. So the keys that it
//   creates are taken out of all ranges of these scans.
// - A snapshot replaces the state: all ranges are dropped, and scans of states before it add and use none.
//
// Deleted keys and compactions of history leave each statement true.

import { equalBytes } from '../../../bytes/index.ts'
import { compareKeys, keyAfter } from '../../../operations/forms/index.ts'
import { asIndex, type LogIndex } from '../../../raft/types.ts'
import type { EmptyRange, EmptyRanges } from '../../../storage/index.ts'

interface CachedRange extends EmptyRange {
  /** The first index in whose state the range is known to be empty. */
  readonly since: LogIndex
}

interface CreatedKey {
  readonly key: Uint8Array
  /** The entry that creates it. */
  readonly index: LogIndex
}

export class EmptyRangeCache implements EmptyRanges {
  readonly rowsMin: number
  /** Also the limit on the keys in `#created`. */
  readonly max: number
  /** The ranges in the order of their keys, without overlaps. */
  #ranges: CachedRange[] = []
  /** The keys that were created last, oldest at `#oldest`, as in a ring once it is full. */
  #created: CreatedKey[] = []
  #oldest = 0
  /** All keys that entries after this index have created are in `#created`. */
  #createdFrom = asIndex(0)
  /** The position of the range that is dropped next, if there are too many. */
  #turn = 0

  constructor(max: number, rowsMin: number) {
    this.max = max
    this.rowsMin = rowsMin
  }

  at(key: Uint8Array, index: LogIndex): EmptyRange | undefined {
    const range = this.#rangeWith(key)
    return range !== undefined && range.since <= index ? range : undefined
  }

  overlaps(start: Uint8Array, end: Uint8Array | undefined): boolean {
    const next = this.#ranges[this.#firstEndingAfter(start)]
    return next !== undefined && (end === undefined || compareKeys(next.start, end) < 0)
  }

  /** The number of ranges. */
  get size(): number {
    return this.#ranges.length
  }

  has(key: Uint8Array): boolean {
    return this.#rangeWith(key) !== undefined
  }

  add(ranges: readonly EmptyRange[], index: LogIndex): void {
    if (ranges.length === 0 || index < this.#createdFrom) return
    // The bytes of a scan are part of larger buffers.
    for (const { start, end } of ranges)
      this.#insert({ start: start.slice(), end: end.slice(), since: index })
    for (const created of this.#created) if (created.index > index) this.#takeOut(created.key)
    while (this.#ranges.length > this.max) this.#drop()
  }

  /** A key does not exist before the entry, and does after it. The bytes are kept. */
  created(key: Uint8Array, index: LogIndex): void {
    this.#takeOut(key)
    if (this.#created.length < this.max) {
      this.#created.push({ key, index })
      return
    }
    const oldest = this.#created[this.#oldest]
    this.#createdFrom = oldest?.index ?? index
    if (oldest === undefined) return
    this.#created[this.#oldest] = { key, index }
    this.#oldest = (this.#oldest + 1) % this.max
  }

  /** The state becomes that of this index. */
  clear(index: LogIndex): void {
    this.#ranges = []
    this.#created = []
    this.#oldest = 0
    this.#createdFrom = index
  }

  #rangeWith(key: Uint8Array): CachedRange | undefined {
    if (this.#ranges.length === 0) return undefined
    const range = this.#ranges[this.#firstEndingAfter(key)]
    return range !== undefined && compareKeys(range.start, key) <= 0 ? range : undefined
  }

  /** The position of the first range that ends after `key`. */
  #firstEndingAfter(key: Uint8Array): number {
    let [low, high] = [0, this.#ranges.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const range = this.#ranges[middle]
      if (range !== undefined && compareKeys(range.end, key) <= 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Makes one range of the new one and those that it overlaps or touches. */
  #insert(range: CachedRange): void {
    let { start, end, since } = range
    let first = this.#firstEndingAfter(start)
    const before = this.#ranges[first - 1]
    if (before !== undefined && equalBytes(before.end, start)) first--
    let behind = first
    for (;;) {
      const next = this.#ranges[behind]
      if (next === undefined || compareKeys(next.start, end) > 0) break
      if (compareKeys(next.start, start) < 0) start = next.start
      if (compareKeys(next.end, end) > 0) end = next.end
      since = asIndex(Math.max(since, next.since))
      behind++
    }
    this.#ranges.splice(first, behind - first, { start, end, since })
  }

  /** The keys before it and those after it are left of its range. */
  #takeOut(key: Uint8Array): void {
    if (this.#ranges.length === 0) return
    const at = this.#firstEndingAfter(key)
    const range = this.#ranges[at]
    if (range === undefined || compareKeys(range.start, key) > 0) return
    const { start, end, since } = range
    const next = keyAfter(key)
    const left = [
      { start, end: key, since },
      { start: next, end, since },
    ].filter((part) => compareKeys(part.start, part.end) < 0)
    // Many keys created in one range do not displace the other ranges.
    if (this.#ranges.length >= this.max) left.length = Math.min(left.length, 1)
    this.#ranges.splice(at, 1, ...left)
  }

  #drop(): void {
    this.#turn = (this.#turn + 1) % this.#ranges.length
    this.#ranges.splice(this.#turn, 1)
  }
}
