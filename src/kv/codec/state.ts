// The state machine's registers as bytes, stored with every batch of rows:
//
//   layout (1), revision (8), cluster time (8), store bytes (8), keys (8),
//   tokens: count (8), bytes (8), oldest (8), next (8), time of the oldest (8), horizon (8);
//   sessions: next (8), horizon (8), time of the oldest (8), bytes (8), slots to sweep (8);
//   history: first (8), newest (8), compacted (8), bytes (8), skipped: after (8), to (8);
//   leases: count (8), chosen (8);
//   auth: enabled (8), revision (8);
//   settings (`settings.ts`)
//
// The layout is the cluster version: a program that does not know that version does not know the layout.

import { Reader, Writer } from '../../bytes/index.ts'
import { asRevision, type KvSettings } from '../../operations/forms/index.ts'
import { CLUSTER_VERSION, DEFAULT_SETTINGS, SETTING_LIMITS } from '../../operations/forms/settings.ts'
import { NO_CLIENT_SESSIONS } from '../client-sessions.ts'
import { MalformedBytesError, UnknownKindError } from '../errors.ts'
import { historyAfter } from '../history.ts'
import { noLeases } from '../leases.ts'
import { readAllSettings, writeSettings } from '../settings.ts'
import type { KvState } from '../types.ts'

/** An empty store: revision 1, and the default settings with `settings` on top. It is the same on every replica. */
export function initialState(settings: Partial<KvSettings> = {}, clusterId = '0'): KvState {
  return {
    revision: asRevision(1),
    clusterTimeMs: 0,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    storeBytes: 0,
    keys: 0,
    idempotencyTokens: { count: 0, bytes: 0, oldest: 0, next: 0, oldestAtMs: 0, horizon: asRevision(0) },
    clientSessions: NO_CLIENT_SESSIONS,
    history: historyAfter(asRevision(1)),
    leases: noLeases(clusterId),
    auth: { enabled: false, revision: 1 },
  }
}

/**
 * The state of a replica that joins, until the cluster sends it a snapshot. It has the lowest cluster version: at a
 * higher one the replica would refuse older members, and end them.
 */
export const stateBeforeSnapshot = (clusterId?: string): KvState =>
  initialState({ clusterVersion: SETTING_LIMITS.clusterVersion.min }, clusterId)

const scratch = new Writer()

export function encodeState(state: KvState): Uint8Array {
  const { revision, clusterTimeMs, storeBytes, keys, history, leases, auth, settings } = state
  const { idempotencyTokens: tokens, clientSessions: sessions } = state
  const registers = [
    revision,
    clusterTimeMs,
    storeBytes,
    keys,
    tokens.count,
    tokens.bytes,
    tokens.oldest,
    tokens.next,
    tokens.oldestAtMs,
    tokens.horizon,
    sessions.next,
    sessions.horizon,
    sessions.oldestAtMs,
    sessions.bytes,
    sessions.toSweep,
    history.first,
    history.newest,
    history.compacted,
    history.bytes,
    history.skipped.after,
    history.skipped.to,
    leases.count,
    leases.chosen,
    Number(auth.enabled),
    auth.revision,
  ]
  scratch.clear().uint8(settings.clusterVersion)
  for (const register of registers) scratch.uint64(register)
  writeSettings(settings, scratch)
  return scratch.copy()
}

/** `known`: the newest cluster version that the replica knows. Throws `UnknownKindError` for a newer one. */
export function decodeState(bytes: Uint8Array, known = CLUSTER_VERSION): KvState {
  const from = new Reader(bytes, 'a record of the registers', MalformedBytesError)
  const layout = from.uint8()
  if (layout === 0) throw new MalformedBytesError("layout 0 of the state's registers")
  if (layout > known) {
    throw new UnknownKindError(`cluster version ${layout} of the data`, `versions up to ${known}`)
  }
  const state: KvState = {
    revision: asRevision(from.uint64()),
    clusterTimeMs: from.uint64(),
    storeBytes: from.uint64(),
    keys: from.uint64(),
    idempotencyTokens: {
      count: from.uint64(),
      bytes: from.uint64(),
      oldest: from.uint64(),
      next: from.uint64(),
      oldestAtMs: from.uint64(),
      horizon: asRevision(from.uint64()),
    },
    clientSessions: {
      next: from.uint64(),
      horizon: from.uint64(),
      oldestAtMs: from.uint64(),
      bytes: from.uint64(),
      toSweep: from.uint64(),
    },
    history: {
      first: asRevision(from.uint64()),
      newest: asRevision(from.uint64()),
      compacted: asRevision(from.uint64()),
      bytes: from.uint64(),
      skipped: { after: asRevision(from.uint64()), to: asRevision(from.uint64()) },
    },
    leases: { count: from.uint64(), chosen: from.uint64() },
    auth: { enabled: from.uint64() === 1, revision: from.uint64() },
    settings: readAllSettings(from),
  }
  from.end()
  return state
}
