// The state machine's registers as bytes, stored with every batch of rows:
//
//   layout (1), revision (8), cluster time (8), store bytes (8), keys (8),
//   tokens: count (8), bytes (8), oldest (8), next (8), time of the oldest (8), horizon (8);
//   from layout 2 on: sessions: next (8), horizon (8), time of the oldest (8), bytes (8), slots to sweep (8);
//   from layout 3 on: history: first (8), newest (8), compacted (8), bytes (8), inline (8);
//   leases: count (8), chosen (8);
//   settings (`settings.ts`)
//
// The layout is the cluster version: a member that does not know that version does not know the layout.

import { Reader, writeUint64 } from '../bytes/index.ts'
import { NO_SESSIONS } from './client-sessions.ts'
import { MalformedBytesError, REMEDY_FOR_NEWER, UnknownKindError } from './errors.ts'
import { historyAfter, NO_HISTORY } from './history.ts'
import { NO_LEASES } from './leases.ts'
import {
  CLUSTER_VERSION,
  CLUSTER_VERSION_OF_HISTORY,
  CLUSTER_VERSION_OF_LEASES,
  CLUSTER_VERSION_OF_SESSIONS,
  DEFAULT_SETTINGS,
  existingSettings,
  readAllSettings,
  settingsBytes,
  writeSettings,
} from './settings.ts'
import type { KvState, Settings } from './types.ts'
import { asRevision } from './types.ts'

const SESSIONS_AT = 81
const SESSIONS_BYTES = 40
const HISTORY_AT = SESSIONS_AT + SESSIONS_BYTES
const HISTORY_BYTES = 40
const LEASES_AT = HISTORY_AT + HISTORY_BYTES
const LEASES_BYTES = 16

/** An empty store: revision 1, and the default settings with `settings` on top. */
export function initialState(settings: Partial<Settings> = {}): KvState {
  const { clusterVersion = CLUSTER_VERSION } = settings
  return {
    revision: asRevision(1),
    clusterTimeMs: 0,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    storeBytes: 0,
    keys: 0,
    tokens: { count: 0, bytes: 0, oldest: 0, next: 0, oldestAtMs: 0, horizon: asRevision(0) },
    sessions: NO_SESSIONS,
    history: clusterVersion >= CLUSTER_VERSION_OF_HISTORY ? historyAfter(asRevision(1), 0) : NO_HISTORY,
    leases: NO_LEASES,
  }
}

export function encodeState(state: KvState): Uint8Array {
  const settings = existingSettings(state.settings)
  const { clusterVersion: layout } = state.settings
  const settingsAt = endOfRegisters(layout)
  const bytes = new Uint8Array(settingsAt + settingsBytes(settings))
  bytes[0] = layout
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
  if (layout >= CLUSTER_VERSION_OF_SESSIONS) {
    writeUint64(bytes, SESSIONS_AT, state.sessions.next)
    writeUint64(bytes, SESSIONS_AT + 8, state.sessions.horizon)
    writeUint64(bytes, SESSIONS_AT + 16, state.sessions.oldestAtMs)
    writeUint64(bytes, SESSIONS_AT + 24, state.sessions.bytes)
    writeUint64(bytes, SESSIONS_AT + 32, state.sessions.toSweep)
  }
  if (layout >= CLUSTER_VERSION_OF_HISTORY) {
    writeUint64(bytes, HISTORY_AT, state.history.first)
    writeUint64(bytes, HISTORY_AT + 8, state.history.newest)
    writeUint64(bytes, HISTORY_AT + 16, state.history.compacted)
    writeUint64(bytes, HISTORY_AT + 24, state.history.bytes)
    writeUint64(bytes, HISTORY_AT + 32, state.history.inline)
    writeUint64(bytes, LEASES_AT, state.leases.count)
    writeUint64(bytes, LEASES_AT + 8, state.leases.chosen)
  }
  writeSettings(settings, bytes, settingsAt)
  return bytes
}

function endOfRegisters(layout: number): number {
  if (layout >= CLUSTER_VERSION_OF_HISTORY) return LEASES_AT + LEASES_BYTES
  return layout >= CLUSTER_VERSION_OF_SESSIONS ? HISTORY_AT : SESSIONS_AT
}

export function decodeState(bytes: Uint8Array): KvState {
  const from = new Reader(bytes, 'a record of the registers', MalformedBytesError)
  const layout = from.uint8()
  if (layout === 0) throw new MalformedBytesError("layout 0 of the state's registers")
  if (layout > CLUSTER_VERSION) {
    throw new UnknownKindError(
      `the state has layout ${layout}, and this version of quorate knows 1 to ${CLUSTER_VERSION}: ${REMEDY_FOR_NEWER}`,
    )
  }
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
    sessions: layout >= CLUSTER_VERSION_OF_SESSIONS ? readSessions(from) : NO_SESSIONS,
    history: layout >= CLUSTER_VERSION_OF_HISTORY ? readHistory(from) : NO_HISTORY,
    leases: layout >= CLUSTER_VERSION_OF_LEASES ? readLeases(from) : NO_LEASES,
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

const readLeases = (from: Reader): KvState['leases'] => ({ count: from.uint64(), chosen: from.uint64() })

const readHistory = (from: Reader): KvState['history'] => ({
  first: asRevision(from.uint64()),
  newest: asRevision(from.uint64()),
  compacted: asRevision(from.uint64()),
  bytes: from.uint64(),
  inline: from.uint64(),
})
