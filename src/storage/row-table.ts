// Rows by key: the rows of one layer that are not durable yet (`overlay.ts`).
//
// Open addressing with linear probing. A `Map` would need a string for each key, and a look-up by bytes needs none.

import type { Row } from './rows.ts'

/** There is a table for each batch, also for one of a single row. V8 keeps arrays of up to 64 bytes in its heap. */
const SLOTS_MIN = 16

export class RowTable implements Iterable<Row> {
  /** In the order in which their keys were added. */
  readonly #rows: Row[] = []
  /** Position in `#rows` plus 1; 0: free. */
  #slots: Uint32Array

  /** Room for this many rows. It grows when there are more. */
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
    for (let slot = this.#homeOf(hash); ; slot = this.#after(slot)) {
      const row = this.#rows[(this.#slots[slot] ?? 0) - 1]
      if (row === undefined || (row.hash === hash && row.isOf(key))) return row
    }
  }

  /** Replaces the row with the same key. */
  put(row: Row): void {
    for (let slot = this.#homeOf(row.hash); ; slot = this.#after(slot)) {
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

  [Symbol.iterator](): IterableIterator<Row> {
    return this.#rows.values()
  }

  #homeOf(hash: number): number {
    return hash & (this.#slots.length - 1)
  }

  #after(slot: number): number {
    return (slot + 1) & (this.#slots.length - 1)
  }

  #grow(): void {
    this.#slots = new Uint32Array(2 * this.#slots.length)
    let added = 0
    for (const { hash } of this.#rows) {
      let slot = this.#homeOf(hash)
      while (this.#slots[slot] !== 0) slot = this.#after(slot)
      this.#slots[slot] = ++added
    }
  }
}
