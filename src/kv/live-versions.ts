// Which rows of versions are records of the store, as it was at one revision: of each key the newest version up to that
// revision, unless it is a tombstone. The rows are given one after the other, in the order of their keys or backwards.

import { equalBytes } from '../bytes/index.ts'
import { decodeVersion, decodeVersionKey, firstVersionUpTo, versionsEnd } from './codec/rows.ts'
import type { KeyRow, Revision } from './types.ts'

/** After so many rows of one key that are of no use, the reader should jump. */
const ROWS_TO_SKIP = 16

export class LiveVersions {
  /** undefined: as it is now. */
  readonly #at: Revision | undefined
  readonly #reverse: boolean
  /** The key of the last row. */
  #key: Uint8Array | undefined
  /** Forwards: its record is known. */
  #isDecided = false
  /** Backwards: its newest version so far. */
  #newest: KeyRow | null = null
  #skipped = 0
  #jump: Uint8Array | undefined

  constructor(at: Revision | undefined, reverse: boolean) {
    this.#at = at
    this.#reverse = reverse
  }

  /** The record that this row decides, if any. Forwards it is of this row's key, backwards of the one before. */
  take(rowKey: Uint8Array, row: Uint8Array): KeyRow | undefined {
    const { key, revision } = decodeVersionKey(rowKey)
    const isNext = this.#key === undefined || !equalBytes(this.#key, key)
    const before = isNext ? this.end() : undefined
    if (isNext) {
      this.#key = key
      this.#isDecided = false
      this.#skipped = 0
      this.#jump = undefined
    }
    const isTooNew = this.#at !== undefined && revision > this.#at
    if (this.#reverse) {
      if (!isTooNew) this.#newest = decodeVersion(key, revision, row)
      return before
    }
    if (this.#isDecided || isTooNew) {
      this.#skipped++
      if (this.#skipped === ROWS_TO_SKIP)
        this.#jump =
          this.#isDecided || this.#at === undefined ? versionsEnd(key) : firstVersionUpTo(key, this.#at)
      return undefined
    }
    this.#isDecided = true
    this.#skipped = 0
    this.#jump = undefined
    return decodeVersion(key, revision, row) ?? undefined
  }

  /** Backwards: the record of the last key, after the last row. */
  end(): KeyRow | undefined {
    const newest = this.#newest
    this.#newest = null
    return newest ?? undefined
  }

  /** The key to continue at, if that skips rows. Only forwards. */
  takeJump(): Uint8Array | undefined {
    const jump = this.#jump
    this.#jump = undefined
    return jump
  }
}
