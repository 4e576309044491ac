// The slow look at everything: reads every row of a view, checks its CRC, and compares the sum of their hashes with the one that `apply` kept up.
// It finds what no single read finds: a row that is gone, or that came back in an older version, because a table was damaged.

import { CorruptionError, rejoinAdvice } from './errors.ts'
import { ALL_ROWS, prefixed } from './keys.ts'
import { hashOfRow, StateHash } from './rows.ts'
import type { Storage, View } from './types.ts'

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
      for (const { key, value } of rows) this.#found.add(hashOfRow(key, value))
      const last = rows.at(-1)
      if (more && last !== undefined) {
        this.#from = prefixed(last.key, Uint8Array.of(0))
        return done(undefined, false)
      }
      if (this.#found.value === this.#view.stateHash) return done(undefined, true)
      done(this.#mismatch(), false)
    })
  }

  close(): void {
    this.#view.close()
  }

  #mismatch(): Error {
    return new CorruptionError(
      `Damaged data: the rows at index ${this.#view.applied.index} are not those that were written (hash ${this.#found.value} ` +
        `instead of ${this.#view.stateHash}); some are gone or out of date. ${rejoinAdvice(this.#nodeName)}`,
    )
  }
}
