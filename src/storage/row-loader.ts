// Reads all rows once, in the background: at a start, and after a snapshot has replaced the rows. It tells the filter
// which rows exist, and gives the heads of rows as long as there is room for them. Otherwise each row would be read by
// the first change of it after a start. Of the rows of history it needs the newest version of each key, of which it
// makes the head of the key.
//
// Batches and what an entry needs go first (`foreground.ts`). Each step uses a separate scan. While a scan is open,
// LevelDB keeps every table that was live when it began, and compactions go on. With one long scan a disk with little
// room could be full before all rows are read.

import { equalBytes } from '../bytes/index.ts'
import { metadataKey, metadataOfVersion } from '../kv/key-metadata.ts'
import { decodeVersionKey, keyAfter } from '../kv/rows.ts'
import { FIRST_TABLE_OF_HISTORY, TABLE_VERSIONS } from '../kv/types.ts'
import type { Engine, Pair, Scan } from './engine.ts'
import type { IoScheduler } from './io-scheduler.ts'
import type { KeyIndex } from './key-index.ts'
import { prefixed, ROW_PREFIX_BYTES, rowPrefix } from './keys.ts'
import { hashOfKey, type RowFilter } from './row-filter.ts'
import { hashOfStored, openRow } from './rows.ts'
import type { StickyError } from './sticky-error.ts'

/**
 * Rows per step: so few that a node under load does its work between two steps. Beginning a scan costs as much as some
 * dozens of rows.
 */
const SCAN_ROWS = 128

/** What is read, one after the other, as keys of rows; the end exclusive. */
const RANGES = [
  { gte: Uint8Array.of(0), lt: Uint8Array.of(FIRST_TABLE_OF_HISTORY) },
  { gte: Uint8Array.of(TABLE_VERSIONS), lt: Uint8Array.of(TABLE_VERSIONS + 1) },
] as const
/** Of the key of a row of versions: the revision. */
const REVISION_BYTES = 8

export class RowLoader {
  readonly #engine: Engine
  readonly #first: StickyError
  readonly #foreground: IoScheduler
  readonly #filter: RowFilter
  readonly #heads: KeyIndex
  /** Changes when the current reading becomes useless. */
  #pass = 0
  #scan: Scan | undefined
  /** The key in the last row of versions. */
  #version: Uint8Array | undefined

  constructor(
    engine: Engine,
    first: StickyError,
    foreground: IoScheduler,
    filter: RowFilter,
    heads: KeyIndex,
  ) {
    this.#engine = engine
    this.#first = first
    this.#foreground = foreground
    this.#filter = filter
    this.#heads = heads
  }

  /** Everything known of rows is forgotten, and the rows of `generation` are read. They may change from now on. */
  readAll(generation: number): void {
    this.close()
    this.#filter.forgetAll()
    this.#heads.forgetAll()
    this.#version = undefined
    this.#read(generation, this.#pass, 0, RANGES[0].gte)
  }

  close(): void {
    this.#pass++
    this.#foreground.drop()
    this.#scan?.close()
    this.#scan = undefined
  }

  /** `at`: which of the ranges is read; `from`: all rows of it before this key have been read. */
  #read(generation: number, pass: number, at: number, from: Uint8Array): void {
    const isOver = (): boolean => pass !== this.#pass || this.#first.error !== undefined
    const range = RANGES[at]
    if (range === undefined) {
      this.#filter.complete()
      this.#heads.loaded()
      return
    }
    const prefix = rowPrefix(generation)
    const [gte, lt] = [prefixed(prefix, from), prefixed(prefix, range.lt)]
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
        const last = pairs.at(-1)?.[0]
        const isInRange = !ended && last !== undefined
        const next = isInRange ? keyAfter(last.subarray(ROW_PREFIX_BYTES)) : (RANGES[at + 1]?.gte ?? range.lt)
        this.#foreground.whenFree(() => this.#read(generation, pass, isInRange ? at : at + 1, next))
      })
    })
  }

  #load([engineKey, stored]: Pair): void {
    const key = engineKey.subarray(ROW_PREFIX_BYTES)
    if (key[0] === TABLE_VERSIONS) {
      this.#loadVersion(key, stored)
      return
    }
    const hash = hashOfKey(key)
    this.#filter.add(hash)
    if (!this.#heads.wants(key, hash)) return
    // Only checked rows may be remembered.
    openRow(key, stored)
    this.#heads.remember(key, hash, stored)
  }

  #loadVersion(rowKey: Uint8Array, stored: Uint8Array): void {
    const ofKey = rowKey.subarray(0, rowKey.length - REVISION_BYTES)
    if (this.#version !== undefined && equalBytes(this.#version, ofKey)) return
    this.#version = ofKey
    const key = metadataKey(decodeVersionKey(rowKey).key)
    const hash = hashOfKey(key)
    this.#filter.add(hash)
    if (!this.#heads.wants(key, hash)) return
    const head = metadataOfVersion(rowKey, openRow(rowKey, stored), hashOfStored(stored))
    if (head !== undefined) this.#heads.put(key, hash, head)
  }
}
