// The slow look at everything: reads every row of a view, checks its CRC, and compares the sum of their hashes with the one that `apply` kept up.
// It finds what no single read finds: a row that is gone, or that came back in an older version, because a table was damaged.

import { asError, CorruptionError, rejoinAdvice } from './errors.ts'
import { ALL_ROWS, prefixed } from './keys.ts'
import { hashOfRow, StateHash } from './rows.ts'
import type { Storage, StoredRow, View } from './types.ts'

/** Rows and bytes of one slice: a few milliseconds. */
const SLICE_ROWS = 512
const SLICE_BYTES = 256 * 1024

export class Scrub {
  readonly #view: View
  readonly #nodeName: string
  readonly #found = new StateHash()
  #from: Uint8Array = ALL_ROWS.gte

  /** Holds a view until `close`. */
  constructor(storage: Storage) {
    this.#view = storage.view()
    this.#nodeName = storage.identity.name
  }

  /** Reads on by one slice. `finished`: all rows are there and as they were written. An error means that the replica must stop. */
  step(done: (error: Error | undefined, finished: boolean) => void): void {
    const { lt } = ALL_ROWS
    const slice = { gte: this.#from, lt, reverse: false, rowsMax: SLICE_ROWS, bytesMax: SLICE_BYTES }
    this.#view.range(slice, (error, rows, more) => {
      if (error !== undefined) return done(error, false)
      try {
        for (const row of rows) this.#look(row)
      } catch (thrown) {
        return done(asError(thrown), false)
      }
      const last = rows.at(-1)
      if (more && last !== undefined) {
        this.#from = prefixed(last.key, Uint8Array.of(0))
        return done(undefined, false)
      }
      if (this.#found.value === this.#view.stateHash) return done(undefined, true)
      done(
        this.#mismatch(
          `some are gone or out of date (hash ${this.#found.value} instead of ${this.#view.stateHash})`,
        ),
        false,
      )
    })
  }

  close(): void {
    this.#view.close()
  }

  /** A damaged Bloom filter hides a row from reads of its key alone. */
  #look({ key, value }: StoredRow): void {
    if (this.#view.get(key) === undefined) throw this.#mismatch('a row is not found under its key')
    this.#found.add(hashOfRow(key, value))
  }

  #mismatch(what: string): Error {
    return new CorruptionError(
      `Damaged data: the rows at index ${this.#view.applied.index} are not those that were written: ${what}. ` +
        rejoinAdvice(this.#nodeName),
    )
  }
}
