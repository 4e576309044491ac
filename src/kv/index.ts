// The exports of the state machine. README.md explains its rules and its limits.

export { DEFAULT_SETTINGS } from '../operations/forms/settings.ts'
export { applyEntry, applySteps } from './apply.ts'
export {
  distinct,
  isPermittedByKey,
  isPermittedByPrefix,
  isPermittedOnEmpty,
  isPermittedWithoutKeys,
} from './auth/lease-rights.ts'
export {
  AUTH_TOKEN_KEY_BYTES,
  isAuthName,
  LEASE_ID_KEY_BYTES,
  ROLE_PERMISSIONS_MAX,
  ROOT,
  USER_ROLES_MAX,
} from './auth/names.ts'
export { isMet, type Rights } from './auth/rights.ts'
export { type AuthKeys, AuthRows, AuthState, type ByName, decodeUserRow, ROOT_KEY } from './auth/state.ts'
export {
  checkKnown,
  decodeRequest,
  EXPIRE_LEASES_MAX,
  encodeRequest,
  freesSpace,
  hasLeaseDemands,
  leasesOfEntry,
  namesRanges,
  neededVersion,
  placesOfEntry,
  requestKind,
  takesLong,
  writesVersions,
} from './codec/request.ts'
export {
  asLeaseId,
  type ChangeOrigin,
  decodeVersion,
  decodeVersionKey,
  readDeletion,
  readVersion,
  type VersionName,
  versionKey,
  versionRange,
  versionsEnd,
  versionsStart,
} from './codec/rows.ts'
export { decodeState, encodeState, initialState, stateBeforeSnapshot } from './codec/state.ts'
export { commandOutcomeKind, type OutcomeOf } from './commands.ts'
export { conditionHolds } from './condition.ts'
export { MalformedBytesError, MissingRowError, UnknownKindError } from './errors.ts'
export type { KeyEvent } from './history.ts'
export {
  compactedUpTo,
  decodeEachEvent,
  decodeEvents,
  eventsKey,
  firstOfEvents,
  isDue,
  isReadable,
  readableFrom,
  revisionsSince,
  spanOfEvents,
  watchFloor,
} from './history.ts'
export { decodeMetadata, metadataKey, metadataOfVersion, modRevisionOf } from './keys.ts'
export {
  attachedKey,
  attachmentRange,
  decodeLease,
  decodeLeaseOwner,
  type Lease,
  leaseKey,
  leaseOfKey,
  leaseOwnerKey,
  leasesAfter,
  partOfLease,
} from './leases.ts'
export { LiveVersions, ROWS_TO_SKIP } from './live-versions.ts'
export { rejectionText } from './rejections.ts'
export {
  BackupRows,
  backedUpState,
  type Restore,
  restoredRow,
  restoredState,
} from './restore.ts'
export { areTooManyKeys } from './settings.ts'
export { runSteps, type Steps } from './steps.ts'
export type {
  ApplyResult,
  AuthChange,
  Command,
  CommandDigest,
  KeyCommand,
  KeysOrLease,
  KvState,
  LeaseCommand,
  LeaseDeadline,
  Outcome,
  OutcomeOfKey,
  RangeToRead,
  Request,
  Rows,
  User,
  UserIdentity,
} from './types.ts'
export { FINGERPRINT_BYTES, SYSTEM_PRINCIPAL, TABLE_AUTH, TABLE_LEASES } from './types.ts'
