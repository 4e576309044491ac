// The state machine's registers as bytes, stored with every batch of rows:
//
//   layout (1), revision (8), cluster time (8), store bytes (8), keys (8),
//   tokens: count (8), bytes (8), oldest (8), next (8), time of the oldest (8), horizon (8);
//   from layout 2 on: sessions: next (8), horizon (8), time of the oldest (8), bytes (8), slots to sweep (8);
//   settings (`settings.ts`)
//
// Layout 2 is written from cluster version 2 on: until then some member may not know it.

import { Reader, writeUint64 } from '../bytes/index.ts'
import { MalformedBytesError, UnknownKindError } from './errors.ts'
import { NO_SESSIONS } from './sessions.ts'
import {
  CLUSTER_VERSION_OF_SESSIONS,
  DEFAULT_SETTINGS,
  readAllSettings,
  settingsBytes,
  writeSettings,
} from './settings.ts'
import type { KvState, Settings } from './types.ts'
import { asRevision } from './types.ts'

const LAYOUT_1 = 1
const LAYOUT_2 = 2
const SESSIONS_AT = 81
const SESSIONS_BYTES = 40

/** An empty store: revision 1, and the default settings with `settings` on top. */
export function initialState(settings: Partial<Settings> = {}): KvState {
  return {
    revision: asRevision(1),
    clusterTimeMs: 0,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    storeBytes: 0,
    keys: 0,
    tokens: { count: 0, bytes: 0, oldest: 0, next: 0, oldestAtMs: 0, horizon: asRevision(0) },
    sessions: NO_SESSIONS,
  }
}

export function encodeState(state: KvState): Uint8Array {
  const hasSessions = state.settings.clusterVersion >= CLUSTER_VERSION_OF_SESSIONS
  const settingsAt = SESSIONS_AT + (hasSessions ? SESSIONS_BYTES : 0)
  const bytes = new Uint8Array(settingsAt + settingsBytes(state.settings))
  bytes[0] = hasSessions ? LAYOUT_2 : LAYOUT_1
  writeUint64(bytes, 1, state.revision)
  writeUint64(bytes, 9, state.clusterTimeMs)
  writeUint64(bytes, 17, state.storeBytes)
  writeUint64(bytes, 25, state.keys)
  writeUint64(bytes, 33, state.tokens.count)
  writeUint64(bytes, 41, state.tokens.bytes)
  writeUint64(bytes, 49, state.tokens.oldest)
  writeUint64(bytes, 57, state.tokens.next)
  writeUint64(bytes, 65, state.tokens.oldestAtMs)
  writeUint64(bytes, 73, state.tokens.horizon)
  if (hasSessions) {
    writeUint64(bytes, SESSIONS_AT, state.sessions.next)
    writeUint64(bytes, SESSIONS_AT + 8, state.sessions.horizon)
    writeUint64(bytes, SESSIONS_AT + 16, state.sessions.oldestAtMs)
    writeUint64(bytes, SESSIONS_AT + 24, state.sessions.bytes)
    writeUint64(bytes, SESSIONS_AT + 32, state.sessions.toSweep)
  }
  writeSettings(state.settings, bytes, settingsAt)
  return bytes
}

export function decodeState(bytes: Uint8Array): KvState {
  const from = new Reader(bytes, 'a record of the registers', MalformedBytesError)
  const layout = from.uint8()
  if (layout !== LAYOUT_1 && layout !== LAYOUT_2)
    throw new UnknownKindError(`layout ${layout} of the state's registers`)
  const state: KvState = {
    revision: asRevision(from.uint64()),
    clusterTimeMs: from.uint64(),
    storeBytes: from.uint64(),
    keys: from.uint64(),
    tokens: {
      count: from.uint64(),
      bytes: from.uint64(),
      oldest: from.uint64(),
      next: from.uint64(),
      oldestAtMs: from.uint64(),
      horizon: asRevision(from.uint64()),
    },
    sessions: layout === LAYOUT_1 ? NO_SESSIONS : readSessions(from),
    settings: readAllSettings(from),
  }
  from.end()
  return state
}

const readSessions = (from: Reader): KvState['sessions'] => ({
  next: from.uint64(),
  horizon: from.uint64(),
  oldestAtMs: from.uint64(),
  bytes: from.uint64(),
  toSweep: from.uint64(),
})
