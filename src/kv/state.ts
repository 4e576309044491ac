// The state machine's registers as bytes, stored with every batch of rows:
//
//   layout (1), revision (8), cluster time (8), store bytes (8), keys (8),
//   tokens: count (8), bytes (8), oldest (8), next (8), time of the oldest (8), horizon (8); settings (`settings.ts`)

import { Reader, writeUint64 } from '../bytes/index.ts'
import { MalformedBytesError, UnknownKindError } from './errors.ts'
import { DEFAULT_SETTINGS, readAllSettings, settingsBytes, writeSettings } from './settings.ts'
import type { KvState, Settings } from './types.ts'
import { asRevision } from './types.ts'

const LAYOUT = 1
const SETTINGS_AT = 81

/** An empty store: revision 1, and the default settings with `settings` on top. */
export function initialState(settings: Partial<Settings> = {}): KvState {
  return {
    revision: asRevision(1),
    clusterTimeMs: 0,
    settings: { ...DEFAULT_SETTINGS, ...settings },
    storeBytes: 0,
    keys: 0,
    tokens: { count: 0, bytes: 0, oldest: 0, next: 0, oldestAtMs: 0, horizon: asRevision(0) },
  }
}

export function encodeState(state: KvState): Uint8Array {
  const bytes = new Uint8Array(SETTINGS_AT + settingsBytes(state.settings))
  bytes[0] = LAYOUT
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
  writeSettings(state.settings, bytes, SETTINGS_AT)
  return bytes
}

export function decodeState(bytes: Uint8Array): KvState {
  const from = new Reader(bytes, 'a record of the registers', MalformedBytesError)
  const layout = from.uint8()
  if (layout !== LAYOUT) throw new UnknownKindError(`layout ${layout} of the state's registers`)
  return {
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
    settings: readAllSettings(from),
  }
}
