// The numbers of keys of ranges that were read before, so that a range which a client reads in pages is counted once.
//
// Each page of etcd's API states the number of all keys from its beginning to the end of the range. Etcd's clients read
// large ranges in pages, Kubernetes among them. Counted anew, each page would read all keys that follow it: a list of
// 1,000,000 keys in pages of 1,000 would read 500,000,000, at 1 to 2 µs of CPU time for each. The number for the next
// page is that for this page without its records.
//
// A number is true forever: each change of a key raises the revision, and the keys at a revision are the same on every
// member, also on one that has installed a snapshot. So a number is used only for the revision at which it was counted.
// Whether this revision can still be read, and by whom, is decided before.

import { type KeyRange, keyAfter, type Revision } from '../../operations/forms/index.ts'
import { BOUND_BYTES_MAX } from '../../operations/forms/places.ts'
import { keyString } from '../../storage/keys.ts'

interface RangeCount {
  readonly revision: Revision
  readonly keys: number
}

export class RangeCounts {
  /** Limit on the ranges. Each takes up to 2 × BOUND_BYTES_MAX bytes. */
  readonly #rangesMax: number
  /** The newest count of each range, least recently used first. */
  readonly #counts = new Map<string, RangeCount>()

  constructor(rangesMax: number) {
    this.#rangesMax = rangesMax
  }

  /** The number of keys of this range at that revision; undefined: it is not known. */
  find(range: KeyRange, revision: Revision): number | undefined {
    const name = encodeRange(range)
    const found = this.#counts.get(name)
    if (found?.revision !== revision) return undefined
    this.#counts.delete(name)
    this.#counts.set(name, found)
    return found.keys
  }

  set(range: KeyRange, revision: Revision, keys: number): void {
    const { start, end } = range
    if (Math.max(start.length, end?.length ?? 0) > BOUND_BYTES_MAX) return
    const name = encodeRange(range)
    this.#counts.delete(name)
    this.#counts.set(name, { revision, keys })
    if (this.#counts.size <= this.#rangesMax) return
    for (const [oldest] of this.#counts) {
      this.#counts.delete(oldest)
      return
    }
  }

  /** A page of the range had `keys` keys, of which the last one was `last`. */
  setRest(range: KeyRange, revision: Revision, keys: number, last: Uint8Array, order: 'asc' | 'desc'): void {
    const all = this.find(range, revision)
    if (all !== undefined) this.set(rangeBehind(range, last, order), revision, all - keys)
  }
}

/** The part of a range that follows this key of it in the order. */
const rangeBehind = ({ start, end }: KeyRange, key: Uint8Array, order: 'asc' | 'desc'): KeyRange =>
  order === 'desc' ? { start, end: key } : { start: keyAfter(key), end }

const encodeRange = ({ start, end }: KeyRange): string =>
  `${start.length} ${keyString(start)}${end === undefined ? '' : ` ${keyString(end)}`}`
