// Rights of a user: the permissions of all roles, as ranges of keys. A range is permitted if the permitted ranges
// together contain every key of it.

import { compareKeys } from '../codec/rows.ts'
import type { KeyRange, Permission } from '../types.ts'

export class Rights {
  /** The role root. */
  static readonly ROOT = new Rights([], true)

  readonly isRoot: boolean
  readonly isAdmin: boolean
  readonly #read: readonly KeyRange[]
  readonly #write: readonly KeyRange[]

  constructor(permissions: readonly Permission[], isRoot = false) {
    this.isRoot = isRoot
    this.isAdmin = isRoot || permissions.some(({ access }) => access === 'admin')
    const of = (wanted: 'read' | 'write'): readonly KeyRange[] =>
      union(
        permissions.flatMap(({ access, range }) =>
          range !== undefined && (access === wanted || access === 'readwrite') ? [range] : [],
        ),
      )
    this.#read = of('read')
    this.#write = of('write')
  }

  mayRead(range: KeyRange): boolean {
    return this.isRoot || isWithin(range, this.#read)
  }

  mayWrite(range: KeyRange): boolean {
    return this.isRoot || isWithin(range, this.#write)
  }
}

/** Ranges in order, of which no two overlap or touch. */
function union(ranges: readonly KeyRange[]): readonly KeyRange[] {
  const joined: KeyRange[] = []
  for (const range of ranges.toSorted((a, b) => compareKeys(a.start, b.start))) {
    if (isEmpty(range)) continue
    const last = joined.at(-1)
    if (last === undefined || (last.end !== undefined && compareKeys(last.end, range.start) < 0))
      joined.push(range)
    else joined[joined.length - 1] = { start: last.start, end: laterEnd(last.end, range.end) }
  }
  return joined
}

/** `ranges`: a union. A range without keys is within any. */
function isWithin(range: KeyRange, ranges: readonly KeyRange[]): boolean {
  if (isEmpty(range)) return true
  let [low, high] = [0, ranges.length]
  while (low < high) {
    const middle = (low + high) >> 1
    const candidate = ranges[middle]
    if (candidate !== undefined && compareKeys(candidate.start, range.start) <= 0) low = middle + 1
    else high = middle
  }
  const around = ranges[low - 1]
  if (around === undefined) return false
  if (around.end === undefined) return true
  return range.end !== undefined && compareKeys(range.end, around.end) <= 0
}

const isEmpty = ({ start, end }: KeyRange): boolean => end !== undefined && compareKeys(start, end) >= 0

const laterEnd = (a: Uint8Array | undefined, b: Uint8Array | undefined): Uint8Array | undefined =>
  a === undefined || b === undefined ? undefined : compareKeys(a, b) < 0 ? b : a
