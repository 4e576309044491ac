// Storages in directories, as files of LevelDB: what other folders use of them.

export { isLocked, type LevelLimits } from './level/level-engine.ts'
export { isInUse } from './lock-holder.ts'
export { formatStorage, type OpenOptions, openStorage } from './open.ts'
export { discardReplica, inspectDirectory } from './replica-identity.ts'
