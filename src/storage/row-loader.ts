// Reads all rows once: after a start, and after a snapshot has replaced the rows.
//
// A small store reads them before it opens (`readFirst`). They are checked against the state hash, and fill the index.
// A larger one fills the index in the background, while it serves (`readInBackground`); the first scrub then checks the
// rows. Batches and the reads of entries go first (`io-scheduler.ts`). Each step uses a separate scan. While a scan is
// open, LevelDB keeps every table that was live when it began, and compactions continue. With one long scan, a disk
// with little free space could be full before all rows are read.

import type { LogIndex } from '../raft/types.ts'
import type { Engine, Scan } from './engine.ts'
import type { IoScheduler } from './io-scheduler.ts'
import { prefixed, ROW_PREFIX_BYTES, rowPrefix, rowRange } from './keys.ts'
import type { RowIndex } from './row-index.ts'
import { RowSum } from './row-sum.ts'
import { openRow } from './rows.ts'
import type { StickyError } from './sticky-error.ts'
import type { WriteCallback } from './types.ts'

/**
 * Rows of one step: so few that a node under load does its work between two steps. Beginning a scan costs as much as
 * some dozens of rows.
 */
const SCAN_ROWS = 128
/** Rows of one step of `readFirst`, while nobody waits for anything else. */
const FIRST_SCAN_ROWS = 1024

export class RowLoader {
  readonly #engine: Engine
  readonly #first: StickyError
  readonly #scheduler: IoScheduler
  readonly #index: RowIndex
  /** Changes when the current pass becomes useless. */
  #pass = 0
  #scan: Scan | undefined

  constructor(engine: Engine, first: StickyError, scheduler: IoScheduler, index: RowIndex) {
    this.#engine = engine
    this.#first = first
    this.#scheduler = scheduler
    this.#index = index
  }

  /**
   * Clears the index, and reads all rows of `generation` for it. They change only when `done` has been called: with an
   * error unless they are those of `stateHash`. `index`: of the rows.
   */
  readFirst(generation: number, index: LogIndex, stateHash: bigint, done: WriteCallback): void {
    this.#index.clear(index)
    const sum = new RowSum()
    const scan = this.#engine.scan({ ...rowRange(generation), reverse: false, keysOnly: false })
    this.#scan = scan
    const read = (): void =>
      scan.next(FIRST_SCAN_ROWS, (error, pairs, ended) => {
        try {
          if (error !== undefined) throw error
          for (const [engineKey, stored] of pairs) {
            const key = engineKey.subarray(ROW_PREFIX_BYTES)
            openRow(key, stored)
            sum.add(key, stored)
            if (this.#isIndexed(key)) this.#index.load(key, stored)
          }
          if (!ended) return read()
          sum.check(stateHash)
        } catch (thrown) {
          this.close()
          done(this.#first.fail(thrown))
          return
        }
        this.close()
        this.#index.loaded()
        done(undefined)
      })
    read()
  }

  #isIndexed(key: Uint8Array): boolean {
    return this.#index.ranges.some(
      ({ gte, lt }) => Buffer.compare(key, gte) >= 0 && Buffer.compare(key, lt) < 0,
    )
  }

  /** Clears the index and loads the rows of `generation`. They may change from now on. `index`: of the rows. */
  readInBackground(generation: number, index: LogIndex): void {
    this.close()
    this.#index.clear(index)
    const [first] = this.#index.ranges
    if (first !== undefined) this.#read(generation, this.#pass, 0, first.gte)
  }

  close(): void {
    this.#pass++
    this.#scheduler.drop()
    this.#scan?.close()
    this.#scan = undefined
  }

  /** `at`: the number of the range. `from`: all rows of it before this key have been read. */
  #read(generation: number, pass: number, at: number, from: Uint8Array): void {
    const isOver = (): boolean => pass !== this.#pass || this.#first.error !== undefined
    const { ranges, needsValues } = this.#index
    const range = ranges[at]
    if (range === undefined) {
      this.#index.loaded()
      return
    }
    const prefix = rowPrefix(generation)
    const [gte, lt] = [prefixed(prefix, from), prefixed(prefix, range.lt)]
    const scan = this.#engine.scan({ gte, lt, reverse: false, keysOnly: !needsValues })
    this.#scan = scan
    scan.next(SCAN_ROWS, (error, pairs, ended) => {
      if (isOver()) return
      this.#scan = undefined
      scan.finish((unread) => {
        if (isOver()) return
        try {
          const fault = error ?? unread
          if (fault !== undefined) throw fault
          for (const [key, stored] of pairs) this.#index.load(key.subarray(ROW_PREFIX_BYTES), stored)
        } catch (thrown) {
          this.#first.fail(thrown)
          return
        }
        const last = pairs.at(-1)?.[0].subarray(ROW_PREFIX_BYTES)
        const isInRange = !ended && last !== undefined
        const next = isInRange ? prefixed(last, Uint8Array.of(0)) : (ranges[at + 1]?.gte ?? range.lt)
        this.#scheduler.whenFree(() => this.#read(generation, pass, isInRange ? at : at + 1, next))
      })
    })
  }
}
