// The interface between the store and what a node keeps of its rows in memory, so that an entry changes rows without
// reading them from the database. `src/server/node/key-index` implements it for a node.

import type { LogIndex } from '../raft/types.ts'
import { type EmptyRanges, noEmptyRanges } from './empty-ranges.ts'
import type { Row } from './rows.ts'
import type { RowRead, StoredRowHash } from './types.ts'

/** Knowledge of a row; undefined: it must be read. A row is valid until the next call: its memory is used again. */
export type RowLookup = RowRead | 'absent' | undefined

export interface RowIndex {
  /** The ranges of rows to load, in order, the ends exclusive. */
  readonly ranges: readonly { readonly gte: Uint8Array; readonly lt: Uint8Array }[]
  /** Whether `load` still needs the values of rows. */
  readonly needsValues: boolean
  /** Forgets everything. `load` follows for every row in `ranges`, and then `loaded`. `index`: of the rows. */
  clear(index: LogIndex): void
  /** `stored`: the sealed row; empty unless `needsValues`. The row may have changed since it was read. */
  load(key: Uint8Array, stored: Uint8Array): void
  loaded(): void

  /** Whether a row is kept here alone, and not in the database. */
  isInMemoryOnly(key: Uint8Array): boolean
  /** Whether a row is written once. Its writer states which row it replaces, so the index keeps nothing of it. */
  isWrittenOnce(key: Uint8Array): boolean

  /** `hash`: `hashOfKey(key)`, here and below. */
  known(key: Uint8Array, hash: number): RowLookup
  /** Notes a row that an entry has read; undefined: it does not exist. */
  remember(key: Uint8Array, hash: number, stored: Uint8Array | undefined): void
  /** Notes a changed row of the database. `before`: the hash of the row that it replaces. */
  changed(key: Uint8Array, row: Row, before: StoredRowHash | undefined): void
  /** Changes a row that is in memory only; undefined: deletes it. */
  put(key: Uint8Array, hash: number, value: Uint8Array | undefined): void
  /** Called before an entry changes rows. */
  beginEntry(index: LogIndex): void
  /** Ends an entry. Knowledge at its begin, and knowledge that it added, stays until this call. */
  endEntry(): void

  readonly emptyRanges: EmptyRanges
  /** Whether all rows that are in memory only are known. It does not change during an entry. */
  readonly knowsAllKeyMetadata: boolean
  /** Keeps the row until the entry ends, if it is known. False: it must be made again (`putKeyMetadata`). */
  keepKeyMetadata(key: Uint8Array): boolean
  putKeyMetadata(key: Uint8Array, metadata: Uint8Array | undefined): void
}

/** Knows nothing, so each row is read from the database before it is changed. */
export const noIndex: RowIndex = {
  ranges: [],
  needsValues: false,
  clear: () => {},
  load: () => {},
  loaded: () => {},
  isInMemoryOnly: () => false,
  isWrittenOnce: () => false,
  known: () => undefined,
  remember: () => {},
  changed: () => {},
  put: () => {},
  beginEntry: () => {},
  endEntry: () => {},
  emptyRanges: noEmptyRanges,
  knowsAllKeyMetadata: false,
  keepKeyMetadata: () => false,
  putKeyMetadata: () => {},
}
