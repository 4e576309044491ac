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
  /** The end of the rows. It may be before that of the range. */
  #lt: Uint8Array
  /** The next row of each layer that has one, in the order of the range; of rows with one key the newest first. */
  readonly #positions: Position[] = []

  constructor(layers: readonly Layer[], range: Range) {
    this.#layers = layers
    this.#range = range
    this.#lt = range.lt
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
      const next = this.#position(first.rows, first.layer, first.at + step)
      if (next !== undefined) this.#insert(next)
    }
  }

  /**
   * Continues at `key`, before or after the current row; in falling order with the rows before `key`. Rows from `end`
   * on are left out: layers without a row before it cost only the search.
   */
  seek(key: Uint8Array, end?: Uint8Array): void {
    const { gte, lt, reverse } = this.#range
    this.#lt = end ?? lt
    if (reverse) this.#moveTo(Buffer.compare(key, lt) > 0 ? lt : key)
    else this.#moveTo(Buffer.compare(key, gte) < 0 ? gte : key)
  }

  /** `key`: where the rows begin, or in falling order where they end. */
  #moveTo(key: Uint8Array): void {
    this.#positions.length = 0
    for (const [layer, { sorted: rows }] of this.#layers.entries()) {
      const from = firstFrom(rows, key)
      const position = this.#position(rows, layer, this.#range.reverse ? from - 1 : from)
      if (position !== undefined) this.#positions.push(position)
    }
    this.#positions.sort((a, b) => this.#order(a, b))
  }

  /** undefined: the layer has no row there, or none in the range. */
  #position(rows: readonly KeyedRow[], layer: number, at: number): Position | undefined {
    const current = rows[at]
    return current !== undefined && this.#isInRange(current) ? { rows, layer, at, current } : undefined
  }

  #insert(position: Position): void {
    let [low, high] = [0, this.#positions.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const other = this.#positions[middle]
      if (other !== undefined && this.#order(position, other) > 0) low = middle + 1
      else high = middle
    }
    this.#positions.splice(low, 0, position)
  }

  #isInRange({ key }: KeyedRow): boolean {
    const { gte, reverse } = this.#range
    return reverse ? Buffer.compare(key, gte) >= 0 : Buffer.compare(key, this.#lt) < 0
  }

  #order(a: Position, b: Position): number {
    const order = Buffer.compare(a.current.key, b.current.key)
    if (order === 0) return b.layer - a.layer
    return this.#range.reverse ? -order : order
  }
}
