// The slow check of the whole store. It reads every row, checks its CRC, and compares the sum of all row hashes with
// the one that `apply` maintains. It detects what no single read detects: a row that is missing or has returned to an
// older version, because a table was damaged.
//
// The scrub reads the keys in slices, each with a separate scan, because an open scan keeps LevelDB from dropping
// overwritten data, and a pass takes minutes. So the rows are read at different moments while writes continue. The sum
// of the scrub is updated like the state hash: each change of a row that has been read subtracts the old hash and adds
// the new one. A row that has not been read yet will be read in its later form. Both sums change alike, so a
// difference at the end shows that the disk does not hold the rows as they were written. Changes during the reading of
// a slice are queued until the end of that slice is known.

import { asError } from '../system/errors.ts'
import { ScanEndedError } from './errors.ts'
import { ALL_ROWS, keyString, prefixed } from './keys.ts'
import { wrongSum } from './row-sum.ts'
import { hashOfRow, StateHash } from './rows.ts'
import type { PageLimits, RowScan, Storage, StoredRow, StoredRowHash } from './types.ts'

/** A slice takes a few milliseconds. */
export const SCRUB_SLICE: PageLimits = { rowsMax: 512, bytesMax: 256 * 1024 }

interface Change {
  readonly key: Uint8Array
  readonly before: StoredRowHash | undefined
  readonly after: StoredRowHash | undefined
}

export class Scrub {
  readonly #storage: Storage
  readonly #slice: PageLimits
  readonly #endObservation: () => void
  /** Hash of all rows before `#next`, in their current form. */
  #found = new StateHash()
  /** The first key that has not been read; undefined after the last one. */
  #next: Uint8Array | undefined = ALL_ROWS.gte
  /** Set while a slice is being read. */
  #scan: RowScan | undefined
  /** Changes after `#next` since the scan of the slice was opened. */
  #changesDuringScan: Change[] = []

  /** Follows the changes of rows until `close`. */
  constructor(storage: Storage, slice: PageLimits = SCRUB_SLICE) {
    this.#storage = storage
    this.#slice = slice
    this.#endObservation = storage.observe({
      changed: (key, before, after) => this.#changed({ key, before, after }),
      replaced: () => this.#begin(),
    })
  }

  /**
   * Reads the next slice. `finished`: all rows exist and are as they were written. After an error the replica must
   * stop.
   */
  step(done: (error: Error | undefined, finished: boolean) => void): void {
    // A scan would not show the changes that an entry has made so far.
    if (this.#storage.hashOfChanges !== undefined) {
      done(undefined, false)
      return
    }
    const gte = this.#next ?? ALL_ROWS.gte
    let scan: RowScan
    try {
      scan = this.#storage.scan({ ...ALL_ROWS, gte, reverse: false })
    } catch (thrown) {
      done(asError(thrown), false)
      return
    }
    this.#scan = scan
    scan.next(this.#slice, (error, rows, more) => {
      // The scrub was closed or began anew.
      if (this.#scan !== scan) return done(undefined, false)
      if (error !== undefined) return this.#sliceFailed(error, done)
      scan.finish((unread) => {
        if (this.#scan !== scan) return done(undefined, false)
        const fault = unread ?? this.#addSlice(rows)
        if (fault !== undefined) return this.#sliceFailed(fault, done)
        this.#scan = undefined
        const last = rows.at(-1)
        this.#next = more && last !== undefined ? prefixed(last.key, Uint8Array.of(0)) : undefined
        for (const change of this.#changesDuringScan.splice(0)) this.#changed(change)
        if (this.#next !== undefined) return done(undefined, false)
        const { hashOfChanges, stateHash } = this.#storage
        const [found, expected] = [this.#found.value, hashOfChanges ?? stateHash]
        if (found === expected) return done(undefined, true)
        done(this.#storage.damaged(wrongSum(found, expected)), false)
      })
    })
  }

  /** A slice whose scan was ended is read again. Until then no scan is open. */
  #sliceFailed(error: Error, done: (error: Error | undefined, finished: false) => void): void {
    this.#scan?.close()
    this.#scan = undefined
    this.#changesDuringScan = []
    done(error instanceof ScanEndedError ? undefined : error, false)
  }

  close(): void {
    this.#endObservation()
    this.#begin()
  }

  #begin(): void {
    this.#scan?.close()
    this.#scan = undefined
    this.#changesDuringScan = []
    this.#next = ALL_ROWS.gte
    this.#found = new StateHash()
  }

  #changed(change: Change): void {
    const { key, before, after } = change
    if (this.#next === undefined || Buffer.compare(key, this.#next) < 0) {
      if (before !== undefined) this.#found.subtract(before)
      if (after !== undefined) this.#found.add(after)
    } else if (this.#scan !== undefined) this.#changesDuringScan.push(change)
  }

  /** Adds the rows of a slice. Returns the first damage found in them. */
  #addSlice(rows: readonly StoredRow[]): Error | undefined {
    const changed = new Set(this.#changesDuringScan.map(({ key }) => keyString(key)))
    try {
      for (const { key, value } of rows) {
        // A damaged Bloom filter hides a row from a read of this key, but not from a scan.
        if (!changed.has(keyString(key)) && this.#storage.get(key) === undefined)
          return this.#storage.damaged('a row of a scan is not found under its key')
        this.#found.add(hashOfRow(key, value))
      }
      return undefined
    } catch (thrown) {
      return asError(thrown)
    }
  }
}
