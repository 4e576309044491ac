// Sessions: a client's changes are applied at most once, at the price of one row for each request that the client has
// under way at a time (thesis §6.3; the slots are those of NFSv4.1, RFC 8881 §2.10.6).
//
// A client opens a session, and gives each request a slot of it and a number. It uses a slot for one request at a time,
// and numbers the requests of a slot in rising order. The row of a slot holds the number and the outcome of its last
// request:
//
//   the same number again   the same request: the remembered outcome is the answer
//   a higher number         a new request. The client has given up the one before
//   a lower number          a late copy of a request whose outcome is no longer needed: refused, never applied
//
// A session is forgotten some time after it was opened, however much it is used; a client opens another one in time.
// Sessions have rising numbers. All below the horizon are forgotten, and nothing is stored about them; a request of one
// is refused. The rows of its slots are deleted by later entries, a few by each.
//
//   sessions   key    4, session (8)
//              value  cluster time when it was opened (8)
//   slots      key    5, session (8), slot (2)
//              value  number of the request (6), its fingerprint (4), outcome (`outcome.ts`)

import {
  Reader,
  readUint32,
  readUint48,
  readUint64,
  writeUint16,
  writeUint32,
  writeUint48,
  writeUint64,
} from '../bytes/index.ts'
import { MalformedBytesError } from './errors.ts'
import { outcomeBytes, readOutcome, writeOutcome } from './outcome.ts'
import { refused } from './refusals.ts'
import type { Command, Idempotency, KvState, Outcome, Rows, SessionSlot } from './types.ts'
import { TABLE_SESSIONS, TABLE_SLOTS } from './types.ts'

type Sessions = KvState['sessions']

/** Requests that a session may have under way at a time. */
export const SESSION_SLOTS_MAX = 4096
/** When there are more, the oldest is forgotten. */
export const SESSIONS_MAX = 10_000
/** How many slots of forgotten sessions one entry looks at. */
const SWEPT_PER_ENTRY = 64
const SLOT_KEY_BYTES = 11
const OUTCOME_AT = 10

export const NO_SESSIONS: Sessions = {
  next: 1,
  horizon: 1,
  oldestAtMs: 0,
  bytes: 0,
  sweptTo: 1,
  sweptSlot: 0,
}

export const isSession = (idempotency: Idempotency): idempotency is SessionSlot => 'session' in idempotency

/** What is known of a request under this slot and number. */
type Known =
  /** It is new. `rowBytes`: the size of the row that the slot has; 0: none. */
  | { readonly kind: 'new'; readonly rowBytes: number }
  /** `replayed`: it was made before, with this outcome. Otherwise it is refused. */
  | { readonly kind: 'settled'; readonly outcome: Outcome; readonly replayed: boolean }

export function lookUpSlot(
  { session, slot, seq }: SessionSlot,
  print: number,
  command: Command,
  { revision, sessions }: KvState,
  rows: Rows,
): Known {
  const refuse = (...why: [Parameters<typeof refused>[1], Parameters<typeof refused>[2]?]): Known => ({
    kind: 'settled',
    outcome: refused(revision, ...why),
    replayed: false,
  })
  if (session < sessions.horizon || session >= sessions.next) return refuse('session-expired', [session, 0])
  if (slot >= SESSION_SLOTS_MAX) return refuse('slot-out-of-range', [slot, SESSION_SLOTS_MAX - 1])
  const key = slotKey(session, slot)
  const head = rows.read(key, true)
  if (head === undefined) return { kind: 'new', rowBytes: 0 }
  const newest = readUint48(head.bytes, 0)
  if (seq > newest) return { kind: 'new', rowBytes: SLOT_KEY_BYTES + head.length }
  if (seq < newest) return refuse('seq-passed', [slot, newest])
  const row = rows.read(key, false)
  if (row === undefined) throw new MalformedBytesError('the row of a slot is gone')
  if (readUint32(row.bytes, 6) !== print) return refuse('token-reused')
  const from = new Reader(row.bytes.subarray(OUTCOME_AT), 'the row of a slot', MalformedBytesError)
  return { kind: 'settled', outcome: readOutcome(from, command), replayed: true }
}

/** Writes the row of a slot. `before`: the size of the row that it replaces. */
export function rememberInSlot(
  sessions: Sessions,
  { session, slot, seq }: SessionSlot,
  print: number,
  outcome: Outcome,
  before: number,
  rows: Rows,
): Sessions {
  const value = new Uint8Array(OUTCOME_AT + outcomeBytes(outcome))
  writeUint48(value, 0, seq)
  writeUint32(value, 6, print)
  writeOutcome(outcome, value, OUTCOME_AT)
  rows.write({ key: slotKey(session, slot), value })
  return { ...sessions, bytes: sessions.bytes - before + SLOT_KEY_BYTES + value.length }
}

/** Writes the row of a new session. */
export function openSession({ sessions, clusterTimeMs }: KvState, rows: Rows): Sessions {
  const { next, horizon } = sessions
  const opened = new Uint8Array(8)
  writeUint64(opened, 0, clusterTimeMs)
  rows.write({ key: sessionKey(next), value: opened })
  return { ...sessions, next: next + 1, oldestAtMs: next === horizon ? clusterTimeMs : sessions.oldestAtMs }
}

/** Whether a session must be forgotten, or slots of forgotten ones have not been looked at. */
export const sweepDue = (state: KvState): boolean =>
  state.sessions.sweptTo < state.sessions.horizon || isOldestDue(state)

function isOldestDue({ sessions, settings, clusterTimeMs }: KvState): boolean {
  const { next, horizon, oldestAtMs, bytes } = sessions
  return (
    horizon < next &&
    (next - horizon > SESSIONS_MAX ||
      bytes > settings.idempotencyBytesMax ||
      clusterTimeMs - oldestAtMs > settings.idempotencyAgeMsMax)
  )
}

/** Forgets the oldest session if it is due, and deletes rows of forgotten ones. */
export function sweep(state: KvState, rows: Rows): Sessions {
  const sessions = isOldestDue(state) ? forgetOldest(state.sessions, rows) : state.sessions
  let { bytes, sweptTo, sweptSlot } = sessions
  for (let count = 0; count < SWEPT_PER_ENTRY && sweptTo < sessions.horizon; count++) {
    const key = slotKey(sweptTo, sweptSlot)
    const row = rows.read(key, true)
    if (row !== undefined) {
      bytes -= SLOT_KEY_BYTES + row.length
      rows.write({ key, value: undefined })
    }
    sweptSlot++
    if (sweptSlot < SESSION_SLOTS_MAX) continue
    sweptTo++
    sweptSlot = 0
  }
  return { ...sessions, bytes, sweptTo, sweptSlot }
}

function forgetOldest(sessions: Sessions, rows: Rows): Sessions {
  const horizon = sessions.horizon + 1
  rows.write({ key: sessionKey(sessions.horizon), value: undefined })
  if (horizon === sessions.next) return { ...sessions, horizon, oldestAtMs: 0 }
  const row = rows.read(sessionKey(horizon), true)
  if (row === undefined) throw new MalformedBytesError(`session ${horizon} has no row`)
  return { ...sessions, horizon, oldestAtMs: readUint64(row.bytes, 0) }
}

function sessionKey(session: number): Uint8Array {
  const key = new Uint8Array(9)
  key[0] = TABLE_SESSIONS
  writeUint64(key, 1, session)
  return key
}

function slotKey(session: number, slot: number): Uint8Array {
  const key = new Uint8Array(SLOT_KEY_BYTES)
  key[0] = TABLE_SLOTS
  writeUint64(key, 1, session)
  writeUint16(key, 9, slot)
  return key
}
