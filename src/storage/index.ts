export {
  CorruptionError,
  InvariantError,
  StorageFailedError,
  StorageInUseError,
  StorageRefusedError,
} from './errors.ts'
export { type Faults, FaultyEngine } from './faulty.ts'
export type { InitialState } from './format.ts'
export { type DirectoryContent, inspectDirectory } from './identity.ts'
export { type LevelLimits, levelLimits } from './level-engine.ts'
export { MemoryDisk, type Schedule } from './memory.ts'
export { formatStorage, type OpenOptions, openStorage } from './open.ts'
export { FORMAT_VERSION } from './records.ts'
export { Scrub } from './scrub.ts'
export type {
  AppliedRecord,
  Done,
  Identity,
  Range,
  SnapshotSink,
  SnapshotSource,
  Storage,
  StorageBatch,
  StoredRow,
  View,
} from './types.ts'
