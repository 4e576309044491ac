// Rows by key: the rows of one layer that are not durable yet (`overlay.ts`).
//
// The table uses open addressing with linear probing. A `Map` would need a string for each key, and a look-up by bytes
// needs none. Sealing, looking up and inserting a row takes 0.6 × as long as with a `Map` of strings (tables of 4 to
// 1,024 rows, alternating in one process). Every replica does that for each of the four rows of an entry.

import type { Row } from './rows.ts'

/** Each batch has a table, even a batch of one row. V8 keeps arrays of up to 64 bytes in its heap. */
const SLOTS_MIN = 16

/** A row with its key, which `Row` builds on each access. */
export interface KeyedRow {
  readonly key: Uint8Array
  readonly row: Row
}

export class RowTable implements Iterable<Row> {
  /** The rows in insertion order. */
  readonly #rows: Row[] = []
  /** Position in `#rows` plus 1; 0 is a free slot. */
  #slots: Uint32Array
  /** The rows in the order of their keys. Built for the first scan, and dropped by each change. */
  #sorted: readonly KeyedRow[] | undefined

  /** `rows`: the initial capacity. The table grows beyond it. */
  constructor(rows = SLOTS_MIN / 2) {
    let slots = SLOTS_MIN
    while (slots < 2 * rows) slots *= 2
    this.#slots = new Uint32Array(slots)
  }

  get size(): number {
    return this.#rows.length
  }

  /** `hash`: `hashOfKey(key)`. */
  get(key: Uint8Array, hash: number): Row | undefined {
    for (let slot = this.#homeSlot(hash); ; slot = this.#after(slot)) {
      const row = this.#rows[(this.#slots[slot] ?? 0) - 1]
      if (row === undefined || (row.hash === hash && row.hasKey(key))) return row
    }
  }

  /** Replaces the row with the same key. */
  put(row: Row): void {
    this.#sorted = undefined
    for (let slot = this.#homeSlot(row.hash); ; slot = this.#after(slot)) {
      const at = (this.#slots[slot] ?? 0) - 1
      const other = this.#rows[at]
      if (other === undefined) {
        this.#slots[slot] = this.#rows.push(row)
        if (2 * this.#rows.length > this.#slots.length) this.#grow()
        return
      }
      if (other.hash === row.hash && other.isSameAs(row)) {
        this.#rows[at] = row
        return
      }
    }
  }

  get isSorted(): boolean {
    return this.#sorted !== undefined
  }

  /** All rows in the order of their keys. All scans of a table that changes no more share them. */
  get sorted(): readonly KeyedRow[] {
    this.#sorted ??= sortRows(this.#rows)
    return this.#sorted
  }

  /** Sorts the rows in steps. The table must not change until the last one. */
  *sort(): Generator<undefined, void, undefined> {
    this.#sorted ??= yield* sortInSteps(this.#rows)
  }

  [Symbol.iterator](): IterableIterator<Row> {
    return this.#rows.values()
  }

  #homeSlot(hash: number): number {
    return hash & (this.#slots.length - 1)
  }

  #after(slot: number): number {
    return (slot + 1) & (this.#slots.length - 1)
  }

  #grow(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length)
    let added = 0
    for (const { hash } of this.#rows) {
      let slot = this.#homeSlot(hash)
      while (this.#slots[slot] !== 0) slot = this.#after(slot)
      this.#slots[slot] = ++added
    }
  }
}

/**
 * Entries write the rows of each table nearly in order, and those of several tables in turn. So each table is sorted by
 * itself, which takes half the time.
 */
function sortRows(rows: readonly Row[]): readonly KeyedRow[] {
  const tables = Map.groupBy(
    rows.map((row): KeyedRow => ({ key: row.key, row })),
    ({ key }) => key[0] ?? -1,
  )
  return [...tables.keys()]
    .sort((a, b) => a - b)
    .flatMap((table) => (tables.get(table) ?? []).sort((a, b) => Buffer.compare(a.key, b.key)))
}

/** Rows that one step sorts, or merges. */
const ROWS_PER_STEP = 64

/** Sorts rows by merging sorted runs: a step takes some tens of microseconds, however many rows there are. */
function* sortInSteps(rows: readonly Row[]): Generator<undefined, readonly KeyedRow[], undefined> {
  const tables = new Map<number, KeyedRow[]>()
  for (const [at, row] of rows.entries()) {
    const { key } = row
    const table = tables.get(key[0] ?? -1)
    if (table === undefined) tables.set(key[0] ?? -1, [{ key, row }])
    else table.push({ key, row })
    if (at % ROWS_PER_STEP === 0) yield
  }
  const all: KeyedRow[] = []
  for (const table of [...tables.keys()].sort((a, b) => a - b)) {
    const ofTable = tables.get(table) ?? []
    let runs: KeyedRow[][] = []
    for (let at = 0; at < ofTable.length; at += ROWS_PER_STEP) {
      runs.push(ofTable.slice(at, at + ROWS_PER_STEP).sort((a, b) => Buffer.compare(a.key, b.key)))
      yield
    }
    while (runs.length > 1) {
      const merged: KeyedRow[][] = []
      for (let at = 0; at < runs.length; at += 2)
        merged.push(yield* mergeInSteps(runs[at] ?? [], runs[at + 1] ?? []))
      runs = merged
    }
    for (const [at, row] of (runs[0] ?? []).entries()) {
      all.push(row)
      if (at % (16 * ROWS_PER_STEP) === 0) yield
    }
  }
  return all
}

function* mergeInSteps(
  some: readonly KeyedRow[],
  others: readonly KeyedRow[],
): Generator<undefined, KeyedRow[], undefined> {
  const merged: KeyedRow[] = []
  let [at, other] = [0, 0]
  while (at < some.length || other < others.length) {
    const [a, b] = [some[at], others[other]]
    if (b === undefined || (a !== undefined && Buffer.compare(a.key, b.key) < 0)) {
      if (a !== undefined) merged.push(a)
      at++
    } else {
      merged.push(b)
      other++
    }
    if (merged.length % ROWS_PER_STEP === 0) yield
  }
  return merged
}

/** The position of the first key that is not before this one. */
export function firstFrom(sorted: readonly KeyedRow[], key: Uint8Array): number {
  let [from, to] = [0, sorted.length]
  while (from < to) {
    const middle = (from + to) >>> 1
    const at = sorted[middle]
    if (at !== undefined && Buffer.compare(at.key, key) < 0) from = middle + 1
    else to = middle
  }
  return from
}
