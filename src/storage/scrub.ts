// The slow look at everything: reads every row, checks its CRC, and compares the sum of their hashes with the one that
// `apply` keeps up. It finds what no single read finds: a row that is gone, or that came back in an older version,
// because a table was damaged.
//
// It goes through the keys in slices, each with a scan of its own: one that is held keeps LevelDB from dropping
// whatever is overwritten meanwhile, and a pass takes minutes. So the rows are read at different moments, while writes
// go on, and the sum is kept true as `apply` keeps the state hash true: of each change of a row that has been read the
// old hash is subtracted and the new one added. Rows that are yet to be read will be read as they are then. Both sums
// change alike, so what they differ by in the end is what the disk does not hold as it was written. Changes made while
// a slice is being read wait until it is known where that slice ends.

import { asError, CorruptionError, rejoinAdvice, ScanEndedError } from './errors.ts'
import { ALL_ROWS, keyString, prefixed } from './keys.ts'
import { hashOfRow, StateHash } from './rows.ts'
import type { PageLimits, RowHash, RowScan, Storage, StoredRow } from './types.ts'

/** A few milliseconds. */
export const SCRUB_SLICE: PageLimits = { rowsMax: 512, bytesMax: 256 * 1024 }

interface Change {
  readonly key: Uint8Array
  readonly before: RowHash | undefined
  readonly after: RowHash | undefined
}

export class Scrub {
  readonly #storage: Storage
  readonly #slice: PageLimits
  readonly #unwatch: () => void
  /** Of all rows before `#next`, as they stand now. */
  #found = new StateHash()
  /** The first key that has not been read; undefined: all have. */
  #next: Uint8Array | undefined = ALL_ROWS.gte
  /** While a slice is being read. */
  #scan: RowScan | undefined
  /** Behind `#next`, since the scan of the slice was opened. */
  #meanwhile: Change[] = []

  /** Follows the changes of rows until `close`. */
  constructor(storage: Storage, slice: PageLimits = SCRUB_SLICE) {
    this.#storage = storage
    this.#slice = slice
    this.#unwatch = storage.watch({
      changed: (key, before, after) => this.#changed({ key, before, after }),
      replaced: () => this.#begin(),
    })
  }

  /**
   * Reads on by one slice. `finished`: all rows are there and as they were written. An error means that the replica
   * must stop.
   */
  step(done: (error: Error | undefined, finished: boolean) => void): void {
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
      // Given up, or begun anew.
      if (this.#scan !== scan) return done(undefined, false)
      if (error !== undefined) return this.#sliceFailed(error, done)
      scan.finish((unread) => {
        if (this.#scan !== scan) return done(undefined, false)
        const fault = unread ?? this.#look(rows)
        if (fault !== undefined) return this.#sliceFailed(fault, done)
        this.#scan = undefined
        const last = rows.at(-1)
        this.#next = more && last !== undefined ? prefixed(last.key, Uint8Array.of(0)) : undefined
        for (const change of this.#meanwhile.splice(0)) this.#changed(change)
        if (this.#next !== undefined) return done(undefined, false)
        const [found, expected] = [this.#found.value, this.#storage.stateHash]
        if (found === expected) return done(undefined, true)
        done(this.#mismatch(`some are gone or out of date (hash ${found} instead of ${expected})`), false)
      })
    })
  }

  /** One that was ended is read again: that keeps nothing of it. */
  #sliceFailed(error: Error, done: (error: Error | undefined, finished: false) => void): void {
    this.#scan?.close()
    this.#scan = undefined
    this.#meanwhile = []
    done(error instanceof ScanEndedError ? undefined : error, false)
  }

  close(): void {
    this.#unwatch()
    this.#begin()
  }

  #begin(): void {
    this.#scan?.close()
    this.#scan = undefined
    this.#meanwhile = []
    this.#next = ALL_ROWS.gte
    this.#found = new StateHash()
  }

  #changed(change: Change): void {
    const { key, before, after } = change
    if (this.#next === undefined || Buffer.compare(key, this.#next) < 0) {
      if (before !== undefined) this.#found.subtract(before)
      if (after !== undefined) this.#found.add(after)
    } else if (this.#scan !== undefined) this.#meanwhile.push(change)
  }

  /** Adds the rows of a slice; what is wrong with them, if anything. */
  #look(rows: readonly StoredRow[]): Error | undefined {
    const changed = new Set(this.#meanwhile.map(({ key }) => keyString(key)))
    try {
      for (const { key, value } of rows) {
        // A damaged Bloom filter hides a row from reads of its key alone.
        if (!changed.has(keyString(key)) && this.#storage.get(key) === undefined)
          return this.#mismatch('a row is not found under its key')
        this.#found.add(hashOfRow(key, value))
      }
      return undefined
    } catch (thrown) {
      return asError(thrown)
    }
  }

  #mismatch(what: string): Error {
    const { applied, identity } = this.#storage
    return new CorruptionError(
      `Damaged data: the rows at index ${applied.index} are not those that were written: ${what}. ` +
        rejoinAdvice(identity.name),
    )
  }
}
