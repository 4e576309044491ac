// The exports of the state machine. README.md says what it does and what it does not do.

export { applyEntry } from './apply.ts'
export { conditionHolds, TAGS_MAX } from './condition.ts'
export { MalformedBytesError, UnknownKindError } from './errors.ts'
export { refusalText } from './refusals.ts'
export {
  BATCH_COMMANDS_MAX,
  clusterVersionOf,
  decodeRequest,
  onlyDeletes,
  rangesOfEntry,
  requestBytes,
  requestKind,
  writeRequest,
} from './request.ts'
export { compactRevision, eventsKey, inlineKeys, isDue, spanOfEvents } from './history.ts'
export { LiveVersions } from './live-versions.ts'
export {
  compareKeys,
  dataKey,
  dataRange,
  decodeDataRow,
  keyAfter,
  prefixEnd,
  readKey,
  userKey,
  versionRange,
} from './rows.ts'
export { isSession, SESSION_SLOTS_MAX } from './sessions.ts'
export { CLUSTER_VERSION, DEFAULT_SETTINGS, SETTING_RULES, settingsFault } from './settings.ts'
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
  RowInRange,
  Rows,
  SessionSlot,
  Settings,
} from './types.ts'
export { asRevision, TABLE_DATA, TABLE_TOKEN_ORDER, TABLE_TOKENS } from './types.ts'
