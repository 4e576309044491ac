// Which rows of versions are records of the store, as it was at one revision: of each key the newest version up to that
// revision, unless it is a tombstone. The rows are given one after the other, in the order of their keys or backwards.

import { equalBytes } from '../bytes/index.ts'
import type { Revision } from '../operations/forms/index.ts'
import { decodeVersionKey, firstVersionUpTo, type VersionName, versionsEnd } from './codec/rows.ts'

/** After so many rows of one key that are of no use, the reader should jump. */
export const ROWS_TO_SKIP = 16

/** `T`: what is made of the row of a version that is a record. */
export class LiveVersions<T extends object> {
  /** undefined: as it is now. */
  readonly #at: Revision | undefined
  readonly #reverse: boolean
  /** Returns null for a deletion. */
  readonly #decode: (version: VersionName, row: Uint8Array) => T | null
  /** The key of the last row. */
  #key: Uint8Array | undefined
  /** Forwards: its record is known. */
  #isDecided = false
  /** Backwards: its newest version so far. */
  #newest: T | null = null
  #skipped = 0
  #jump: Uint8Array | undefined
  /** Forwards: its newest version is a tombstone. */
  #isDeleted = false
  /** The number of its rows so far. */
  #rows = 0
  #deletedKey: Uint8Array | undefined
  #deletedRows = 0

  constructor(
    at: Revision | undefined,
    reverse: boolean,
    decode: (version: VersionName, row: Uint8Array) => T | null,
  ) {
    this.#at = at
    this.#reverse = reverse
    this.#decode = decode
  }

  /**
   * The record that this row completes: of its own key in a forward scan, of the previous row's key in a backward scan.
   */
  take(rowKey: Uint8Array, row: Uint8Array): T | undefined {
    const version = decodeVersionKey(rowKey)
    const { key, revision } = version
    const isNext = this.#key === undefined || !equalBytes(this.#key, key)
    this.#deletedKey = undefined
    const before = isNext ? this.end() : undefined
    if (isNext) {
      this.#key = key
      this.#rows = 0
      this.#isDecided = false
      this.#isDeleted = false
      this.#skipped = 0
      this.#jump = undefined
    }
    this.#rows++
    const isTooNew = this.#at !== undefined && revision > this.#at
    if (this.#reverse) {
      if (!isTooNew) this.#newest = this.#decode(version, row)
      return before
    }
    if (this.#isDecided || isTooNew) {
      this.#skipped++
      if (this.#skipped === ROWS_TO_SKIP)
        this.#jump =
          this.#isDecided || this.#at === undefined ? versionsEnd(key) : firstVersionUpTo(key, this.#at)
      if (this.#isDeleted) this.#noteDeleted(key, 1)
      return undefined
    }
    this.#isDecided = true
    this.#skipped = 0
    this.#jump = undefined
    const record = this.#decode(version, row)
    if (record !== null) return record
    this.#isDeleted = true
    this.#noteDeleted(key, 1)
    return undefined
  }

  /** Backwards: the record of the last key, after the last row. */
  end(): T | undefined {
    this.#deletedKey = undefined
    const newest = this.#newest
    this.#newest = null
    if (this.#reverse && newest === null && this.#key !== undefined) this.#noteDeleted(this.#key, this.#rows)
    return newest ?? undefined
  }

  /** The key that the last row, or `end`, has shown not to exist. */
  get deletedKey(): Uint8Array | undefined {
    return this.#deletedKey
  }

  /** The number of its rows that were read since it was shown before. */
  get deletedRows(): number {
    return this.#deletedRows
  }

  /** The key of the last row. */
  get lastKey(): Uint8Array | undefined {
    return this.#key
  }

  #noteDeleted(key: Uint8Array, rows: number): void {
    this.#deletedKey = key
    this.#deletedRows = rows
  }

  /** The key to continue at, if that skips rows. Only forwards. */
  takeJump(): Uint8Array | undefined {
    const jump = this.#jump
    this.#jump = undefined
    return jump
  }
}
