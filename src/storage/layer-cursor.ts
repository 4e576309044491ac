// The rows of all layers of one instant, merged: of each key the newest. A layer is sorted once, and all scans share
// that. So a scan costs a binary search in each layer, and then what it reads.

import type { Layer } from './overlay.ts'
import { firstFrom, type KeyedRow } from './row-table.ts'
import type { Range } from './types.ts'

/** The position of a cursor in one layer. */
interface Position {
  readonly rows: readonly KeyedRow[]
  /** Newer layers have higher numbers. */
  readonly layer: number
  readonly at: number
  /** The row at the position. */
  readonly current: KeyedRow
}

export class LayerCursor {
  /** Oldest first. */
  readonly #layers: readonly Layer[]
  readonly #range: Range
  /** The next row of each layer that has one, in the order of the range; of rows with one key the newest first. */
  readonly #positions: Position[] = []

  constructor(layers: readonly Layer[], range: Range) {
    this.#layers = layers
    this.#range = range
    this.#moveTo(range.reverse ? range.lt : range.gte)
  }

  /** The next row; undefined after the last one. */
  get current(): KeyedRow | undefined {
    return this.#positions[0]?.current
  }

  /** Moves behind the current row, and behind its older versions. */
  advance(): void {
    const row = this.current
    if (row === undefined) return
    const step = this.#range.reverse ? -1 : 1
    for (let first = this.#positions[0]; first !== undefined; first = this.#positions[0]) {
      if (Buffer.compare(first.current.key, row.key) !== 0) return
      this.#positions.shift()
      this.#place(first.rows, first.layer, first.at + step)
    }
  }

  /** Continues at `key`, before or after the current row, only in rising order. */
  seek(key: Uint8Array): void {
    const { gte } = this.#range
    this.#moveTo(Buffer.compare(key, gte) < 0 ? gte : key)
  }

  /** `key`: where the rows begin, or in falling order where they end. */
  #moveTo(key: Uint8Array): void {
    this.#positions.length = 0
    for (const [layer, { sorted: rows }] of this.#layers.entries()) {
      const from = firstFrom(rows, key)
      this.#place(rows, layer, this.#range.reverse ? from - 1 : from)
    }
  }

  #place(rows: readonly KeyedRow[], layer: number, at: number): void {
    const current = rows[at]
    if (current === undefined || !this.#isInRange(current)) return
    const position: Position = { rows, layer, at, current }
    let before = this.#positions.length
    while (before > 0 && this.#isBefore(position, this.#positions[before - 1])) before--
    this.#positions.splice(before, 0, position)
  }

  #isInRange({ key }: KeyedRow): boolean {
    const { gte, lt, reverse } = this.#range
    return reverse ? Buffer.compare(key, gte) >= 0 : Buffer.compare(key, lt) < 0
  }

  #isBefore(position: Position, other: Position | undefined): boolean {
    if (other === undefined) return true
    const order = Buffer.compare(position.current.key, other.current.key)
    if (order === 0) return position.layer > other.layer
    return order < 0 !== this.#range.reverse
  }
}
