// Reads all rows but those of history once, in the background: at a start, and after a snapshot has replaced the rows. It tells the filter
// which rows exist, and gives the heads of rows as long as there is room for them. Otherwise each row would be read by
// the first change of it after a start.
//
// Each step uses a separate scan. While a scan is open, LevelDB keeps every table that was live when it began, and
// compactions go on. With one long scan a disk with little room could be full before all rows are read.

import { FIRST_TABLE_OF_HISTORY } from '../kv/types.ts'
import type { Engine, Pair, Scan } from './engine.ts'
import type { FirstError } from './first-error.ts'
import { prefixed, ROW_PREFIX_BYTES, rowPrefix, rowRange } from './keys.ts'
import { hashOfKey, type RowFilter } from './row-filter.ts'
import type { RowHeads } from './row-heads.ts'
import { openRow } from './rows.ts'

/**
 * Rows per step: so few that a node under load does its work between two steps. Beginning a scan costs as much as some
 * dozens of rows.
 */
const SCAN_ROWS = 128

/** Before all keys of rows of history, and after all others. */
const HISTORY = Uint8Array.of(FIRST_TABLE_OF_HISTORY)

export class RowLoader {
  readonly #engine: Engine
  readonly #first: FirstError
  readonly #filter: RowFilter
  readonly #heads: RowHeads
  /** Changes when the current reading becomes useless. */
  #pass = 0
  #scan: Scan | undefined

  constructor(engine: Engine, first: FirstError, filter: RowFilter, heads: RowHeads) {
    this.#engine = engine
    this.#first = first
    this.#filter = filter
    this.#heads = heads
  }

  /** Everything known of rows is forgotten, and the rows of `generation` are read. They may change from now on. */
  readAll(generation: number): void {
    this.close()
    this.#filter.forgetAll()
    this.#heads.forgetAll()
    this.#read(generation, this.#pass)
  }

  close(): void {
    this.#pass++
    this.#scan?.close()
    this.#scan = undefined
  }

  /** `after`: all rows up to this one have been read. */
  #read(generation: number, pass: number, after?: Uint8Array): void {
    const isOver = (): boolean => pass !== this.#pass || this.#first.error !== undefined
    const { gte } = rowRange(generation, after)
    const lt = prefixed(rowPrefix(generation), HISTORY)
    const scan = this.#engine.scan({ gte, lt, reverse: false, keysOnly: !this.#heads.isLoading })
    this.#scan = scan
    scan.next(SCAN_ROWS, (error, pairs, ended) => {
      if (isOver()) return
      this.#scan = undefined
      scan.finish((unread) => {
        if (isOver()) return
        try {
          const fault = error ?? unread
          if (fault !== undefined) throw fault
          for (const pair of pairs) this.#load(pair)
        } catch (thrown) {
          this.#first.fail(thrown)
          return
        }
        if (ended) {
          this.#filter.complete()
          this.#heads.loaded()
        } else this.#read(generation, pass, pairs.at(-1)?.[0])
      })
    })
  }

  #load([engineKey, stored]: Pair): void {
    const key = engineKey.subarray(ROW_PREFIX_BYTES)
    const hash = hashOfKey(key)
    this.#filter.add(hash)
    if (!this.#heads.wants(key, hash)) return
    // Only checked rows may be remembered.
    openRow(key, stored)
    this.#heads.remember(key, hash, stored)
  }
}
