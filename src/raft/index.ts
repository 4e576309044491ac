// The core: consensus by Raft. README.md in this folder explains it.

export { assertNever } from '../bytes/index.ts'
export * from './configuration.ts'
export * from './entry.ts'
export * from './quorum.ts'
export { Raft } from './raft.ts'
export { WAITING_READS_MAX } from './read-index.ts'
export { DISK_QUEUE_MAX } from './slow-disk.ts'
export * from './types.ts'
