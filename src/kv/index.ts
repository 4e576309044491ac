// The exports of the state machine. README.md says what it does and what it does not do.

export { applyEntry } from './apply.ts'
export { conditionHolds, TAGS_MAX } from './condition.ts'
export { MalformedBytesError, UnknownKindError } from './errors.ts'
export { decodeHead, headKey, headOfVersion } from './heads.ts'
export type { KeyEvent } from './history.ts'
export {
  compactRevision,
  decodeEvents,
  eventsFrom,
  eventsKey,
  firstOfEvents,
  hasHistory,
  inlineKeys,
  isDue,
  spanOfEvents,
} from './history.ts'
export { LiveVersions } from './live-versions.ts'
export { refusalText } from './refusals.ts'
export {
  BATCH_COMMANDS_MAX,
  clusterVersionOf,
  decodeRequest,
  namesRanges,
  onlyDeletes,
  placesOfEntry,
  requestBytes,
  requestKind,
  writeRequest,
} from './request.ts'
export {
  compareKeys,
  dataKey,
  dataRange,
  decodeDataRow,
  decodeVersionKey,
  keyAfter,
  prefixEnd,
  readVersion,
  userKey,
  versionRange,
  versionsEnd,
  versionsStart,
} from './rows.ts'
export { isSession, SESSION_SLOTS_MAX } from './sessions.ts'
export {
  CLUSTER_VERSION,
  CLUSTER_VERSION_OF_HISTORY,
  DEFAULT_SETTINGS,
  SETTING_RULES,
  settingsFault,
} from './settings.ts'
export { decodeState, encodeState, initialState } from './state.ts'
export type {
  Applied,
  Apply,
  BatchedCommand,
  Command,
  Condition,
  Idempotency,
  KeyCommand,
  KeyMeta,
  KeyRange,
  KeyRevisions,
  KeyRow,
  KvState,
  Outcome,
  OutcomeOfKey,
  Reason,
  Refusal,
  RefusalCode,
  Request,
  Revision,
  RowChange,
  RowFound,
  Rows,
  SessionSlot,
  Settings,
  Where,
} from './types.ts'
export { asRevision, TABLE_DATA, TABLE_TOKEN_ORDER, TABLE_TOKENS } from './types.ts'
