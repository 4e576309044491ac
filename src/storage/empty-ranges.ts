// The interface between scans and what a node remembers of ranges without keys. `src/server/node/key-index` implements
// it for a node.

import type { LogIndex } from '../raft/types.ts'

/** Users' keys from `start` on, before `end`. */
export interface EmptyRange {
  readonly start: Uint8Array
  readonly end: Uint8Array
}

/**
 * Ranges of users' keys of which none exists, for scans of the current state: they hold rows of history only. `index`:
 * the applied index of the scan.
 */
export interface EmptyRanges {
  /** So many rows of deleted keys, one after the other, are worth a range. */
  readonly rowsMin: number
  /** Limit on the known ranges. */
  readonly max: number
  /** A known range with this key, empty at that index. */
  at(key: Uint8Array, index: LogIndex): EmptyRange | undefined
  /** Whether a known range and this one overlap; `end` undefined: it has no end. */
  overlaps(start: Uint8Array, end: Uint8Array | undefined): boolean
  /** Adds ranges that were empty at that index, as far as no key was created in them since. */
  add(ranges: readonly EmptyRange[], index: LogIndex): void
}

/** No range is known. */
export const noEmptyRanges: EmptyRanges = {
  rowsMin: Number.POSITIVE_INFINITY,
  max: 0,
  at: () => undefined,
  overlaps: () => false,
  add: () => {},
}
