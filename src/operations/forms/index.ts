// The forms that operations share.

export type { Condition } from './conditions.ts'
export type { FreshnessOptions, ReadConsistency } from './freshness.ts'
export type { Idempotency, IdempotencyToken, SessionSlot } from './idempotency.ts'
export { type PutLease, TTL_MS_MAX, TTL_MS_MIN } from './leases.ts'
export type { NewReplica } from './members.ts'
export { compareKeys, type KeyRange, keyAfter, prefixEnd, rangeAt, type Where } from './places.ts'
export {
  type AccessDemand,
  ADMINISTER,
  BE_NODE,
  CALL,
  type LeaseDemand,
  NO_LEASES,
  NOTHING,
  reading,
} from './rights.ts'
export type { Access, AuthRole, Permission } from './roles.ts'
export type { KvSettings } from './settings.ts'
export {
  asRevision,
  type KeyRevisions,
  type KeyRow,
  type LeaseId,
  type RecordMetadata,
  type Revision,
} from './store.ts'
