// The rows of data in the ranges that an entry names. Applying an entry cannot wait, so they are read before, after the
// entry in front of it has been applied. They are read in slices; meanwhile the node does everything but apply.

import { equalBytes } from '../bytes/index.ts'
import { dataRange, type KeyRange, type RowInRange } from '../kv/index.ts'
import { ScanEndedError } from '../storage/index.ts'
import type { PageLimits, RowScan, Storage } from '../storage/types.ts'

const SLICE: PageLimits = { rowsMax: 256, bytesMax: 256 * 1024 }

export class EntryRanges {
  readonly #storage: Storage
  readonly #done: () => void
  readonly #failed: (error: Error) => void
  #ranges: readonly KeyRange[] = []
  /** What has been read, in the order of the ranges. */
  #rows: (readonly RowInRange[])[] = []
  #isTooMuch = false
  #isRead = false
  #rowsMax = 0
  /** How many rows may still be read. */
  #room = 0
  #scan: RowScan | undefined
  /** Changes when what is being read becomes useless. */
  #pass = 0

  /** `done`: all rows have been read. */
  constructor(storage: Storage, done: () => void, failed: (error: Error) => void) {
    this.#storage = storage
    this.#done = done
    this.#failed = failed
  }

  /** Whether rows are being read. */
  get isReading(): boolean {
    return this.#scan !== undefined
  }

  /** How many rows have been read. */
  get count(): number {
    return this.#rows.reduce((sum, rows) => sum + rows.length, 0)
  }

  get isRead(): boolean {
    return this.#isRead
  }

  /** Begins to read the rows in these ranges: up to `rowsMax`, counted in all of them. */
  read(ranges: readonly KeyRange[], rowsMax: number): void {
    this.clear()
    this.#ranges = ranges
    this.#rowsMax = rowsMax
    this.#room = rowsMax
    this.#readNext()
  }

  /** undefined: there are more rows than might be read. */
  rowsIn(range: KeyRange): readonly RowInRange[] | undefined {
    if (this.#isTooMuch) return undefined
    const at = this.#ranges.findIndex((other) => isSame(other, range))
    const rows = this.#rows[at]
    if (rows === undefined) throw new Error('a range that the entry does not name')
    return rows
  }

  clear(): void {
    this.#pass++
    this.#scan?.close()
    this.#scan = undefined
    this.#ranges = []
    this.#rows = []
    this.#isTooMuch = false
    this.#isRead = false
  }

  /** Reads the next range. */
  #readNext(): void {
    const range = this.#ranges[this.#rows.length]
    if (range === undefined || this.#isTooMuch) {
      this.#isRead = true
      this.#done()
      return
    }
    const scan = this.#storage.scan({ ...dataRange(range), reverse: false })
    this.#scan = scan
    this.#readSlice(scan, [], this.#pass)
  }

  #readSlice(scan: RowScan, rows: RowInRange[], pass: number): void {
    scan.next(SLICE, (error, slice, more) => {
      if (pass !== this.#pass) return
      if (error !== undefined) return this.#ended(error)
      for (const { key, value } of slice) rows.push({ key, bytes: value })
      this.#room -= slice.length
      if (this.#room < 0) {
        this.#isTooMuch = true
        scan.close()
        this.#scan = undefined
        this.#readNext()
      } else if (more) this.#readSlice(scan, rows, pass)
      else
        scan.finish((unread) => {
          if (pass !== this.#pass) return
          this.#scan = undefined
          if (unread !== undefined) return this.#ended(unread)
          this.#rows.push(rows)
          this.#readNext()
        })
    })
  }

  /** A scan that was ended for lack of disk space is begun anew: an entry must be applied. */
  #ended(error: Error): void {
    this.#scan = undefined
    if (!(error instanceof ScanEndedError)) return this.#failed(error)
    this.#room = this.#rowsMax - this.count
    this.#readNext()
  }
}

const isSame = (a: KeyRange, b: KeyRange): boolean =>
  equalBytes(a.start, b.start) &&
  (a.end === undefined || b.end === undefined ? a.end === b.end : equalBytes(a.end, b.end))
