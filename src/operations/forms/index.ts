// The forms that operations share.

export { bytesDocument } from './bytes.ts'
export { type Condition, TAGS_MAX } from './conditions.ts'
export {
  DURATION_PATTERN,
  durationMs,
  durationText,
  MAX_STALENESS_MS_MAX,
  parseTtlMs,
  roundedMs,
} from './durations.ts'
export type { FreshnessOptions, ReadConsistency, ReadGrant } from './freshness.ts'
export {
  type Idempotency,
  type IdempotencyToken,
  isToken,
  SEQ_MAX,
  SESSION_SLOTS_MAX,
  type SessionSlot,
} from './idempotency.ts'
export {
  isLeaseId,
  type KeptParts,
  LEASE_ID_FORM,
  LEASE_ID_PATTERN,
  type LeaseDescription,
  type PutLease,
  parseLeaseId,
  parsePutLease,
} from './leases.ts'
export type { NewReplica } from './members.ts'
export {
  BOUND_BYTES_MAX,
  checkedBound,
  checkedKey,
  checkedValue,
  compareKeys,
  type KeyRange,
  keyAfter,
  keyRange,
  nameRange,
  prefixEnd,
  prefixRange,
  type RangeBounds,
  rangeAt,
  rangeBounds,
  rangeToDelete,
  type Where,
  whereToWatch,
} from './places.ts'
export {
  ApiError,
  type ApiErrorCode,
  decodeProblem,
  type ErrorFacts,
  PROBLEMS,
  type ProblemAnswer,
  type ProblemDocument,
  problemDocument,
  retryAfterSeconds,
} from './problems.ts'
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
  KEY_BYTES_MAX,
  type KeyRevisions,
  type KeyRow,
  type LeaseId,
  type RecordMetadata,
  type Revision,
  TTL_MS_MAX,
  TTL_MS_MIN,
  VALUE_BYTES_MAX,
} from './store.ts'
