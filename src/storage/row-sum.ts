// The proof of a reader of all rows that it got them as they were written: their sum is the state hash of that instant.
//
// No checksum of a row shows that another row is gone, or that an older version has taken its place. It happens when
// LevelDB reads an entry whose type a disk has changed, and compacts what it has read. The sum shows both.

import { CorruptionError } from './errors.ts'
import { StateHash } from './rows.ts'

export class RowSum {
  readonly #found = new StateHash()
  /** The last row that was added. */
  #last: Uint8Array | undefined

  /**
   * Adds a row whose checksum holds, in the order of the keys. A row that comes again, because its reader went back,
   * counts once. `stored`: the sealed row.
   */
  add(key: Uint8Array, stored: Uint8Array): void {
    if (this.#last !== undefined && Buffer.compare(key, this.#last) <= 0) return
    this.#last = key
    this.#found.addStored(stored)
  }

  /** Throws `CorruptionError` unless the rows are those of this hash. */
  check(stateHash: bigint): void {
    if (this.#found.value !== stateHash) throw new CorruptionError(wrongSum(this.#found.value, stateHash))
  }
}

export const wrongSum = (found: bigint, expected: bigint): string =>
  `the rows are not those that were written: some are gone or out of date (their hash is ${hex(found)} instead of ${hex(expected)})`

const hex = (hash: bigint): string => hash.toString(16).padStart(16, '0')
