// Durability: what other folders use of the storage. README.md explains how it works. `directory.ts` has the functions
// that open one: these need files and LevelDB, and this file runs in a browser too.

export { endAfter, splitWrite, writeCost } from './batches.ts'
export { type EmptyRange, type EmptyRanges, noEmptyRanges } from './empty-ranges.ts'
export {
  CorruptionError,
  isDiskFull,
  ScanEndedError,
  StorageClosedError,
  StorageFailedError,
  StorageInUseError,
  StorageInvariantError,
  StorageRefusedError,
  UnfitReplicaError,
} from './errors.ts'
export type { InitialState } from './first-state.ts'
export { FORMAT_VERSION, otherFormatText } from './format.ts'
export { fixKeyHash, hashOfKey } from './key-hash.ts'
export { ALL_ROWS } from './keys.ts'
export { crc32c } from './level/crc32c.ts'
export type { RowIndex, RowLookup } from './row-index.ts'
export { hashOfRow, hashOfStored, openRow, type Row, StateHash } from './rows.ts'
export { SCRUB_SLICE, Scrub } from './scrub.ts'
export type {
  AppliedRecord,
  Identity,
  PageLimits,
  Range,
  Room,
  RowScan,
  SnapshotSource,
  Storage,
  StorageBatch,
  StoredRow,
} from './types.ts'
