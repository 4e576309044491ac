// Client sessions: a client's changes are applied at most once. A session costs one row for each request that its
// client may have in flight (thesis §6.3; the slots are those of NFSv4.1, RFC 8881 §2.10.6).
//
// A client opens a session and gives each request a slot and a number. It uses a slot for one request at a time, and
// numbers the requests of a slot in rising order. The row of a slot holds the number and the outcome of its last
// request:
//
//   the same number again:  the same request, answered with the remembered outcome
//   a higher number:        a new request; the client has given up the previous one
//   a lower number:         a late copy of a request whose outcome is no longer needed; refused, never applied
//
// While rights are checked, a session serves only the user who has opened it: sessions are easily guessed, and with
// requests of his own another user could make those of its client look like late copies. A session that was opened
// before rights were checked still answers the repetition of the last request of a slot, and nothing else.
//
// A session is forgotten some time after it was opened, however much it is used; a client opens another one in time.
// Sessions have rising numbers, and the oldest is forgotten first. A request with a session below the horizon is
// refused. When a session is forgotten, each entry deletes a limited number of its slot rows. The next session is
// forgotten only after the last of them. So the size of all rows is exact whenever the quota is checked.
//
//   sessions  key:   4, session (8)
//             value: cluster time when it was opened (8), one more than the highest slot that it has used (2), the
//             auth revision at which the user was made who has opened it (8), 0: rights were not checked
//   slots     key:   5, session (8), slot (2)
//             value: number of the request (6), its fingerprint (16), outcome (`outcome.ts`)

import { equalBytes, Reader, readUint48, Writer, writeUint16, writeUint64 } from '../bytes/index.ts'
import { type Idempotency, SESSION_SLOTS_MAX, type SessionSlot } from '../operations/forms/index.ts'
import type { ApplyContext } from './apply-context.ts'
import { readOutcome, writeOutcome } from './codec/outcome.ts'
import { MalformedBytesError, MissingRowError } from './errors.ts'
import { rejection } from './rejections.ts'
import type { Command, KvState, Outcome, Rows } from './types.ts'
import { FINGERPRINT_BYTES, TABLE_CLIENT_SESSIONS, TABLE_SESSION_SLOTS } from './types.ts'

type ClientSessions = KvState['clientSessions']

/** Limit on open sessions. Beyond it, the oldest is forgotten. */
export const CLIENT_SESSIONS_MAX = 10_000
/** Cost of deleting a row, in checks of a slot that has none. */
export const STEPS_OF_DELETION = 8
/**
 * Limit on the deletion steps of one entry. A step forgets a session or checks one of its slots. A session with `n`
 * rows was used by at least `n` + 1 entries, and is deleted in at most 1 + SESSION_SLOTS_MAX + 7 * `n` steps. So
 * deleting keeps up with opening.
 */
export const STEPS_PER_ENTRY = SESSION_SLOTS_MAX / 2 + STEPS_OF_DELETION
const SLOT_KEY_BYTES = 11
const FINGERPRINT_AT = 6
const OUTCOME_AT = FINGERPRINT_AT + FINGERPRINT_BYTES

export const NO_CLIENT_SESSIONS: ClientSessions = {
  next: 1,
  horizon: 1,
  oldestAtMs: 0,
  bytes: 0,
  toSweep: 0,
}

export const isSessionSlot = (idempotency: Idempotency): idempotency is SessionSlot =>
  'session' in idempotency

/** The state of a request under this slot and number. */
type SlotState =
  /** A new request. `rowBytes`: the size of the slot's row; 0 if it has none. */
  | { readonly kind: 'new'; readonly rowBytes: number }
  /** `replayed`: it was applied before, with this outcome. Otherwise it is refused. */
  | { readonly kind: 'settled'; readonly outcome: Outcome; readonly replayed: boolean }

export function lookUpSlot(
  { session, slot, seq }: SessionSlot,
  print: Uint8Array,
  command: Command,
  { state: { revision, clientSessions }, rows, by }: ApplyContext,
): SlotState {
  const refuse = (
    ...why: [Parameters<typeof rejection>[1], Parameters<typeof rejection>[2]?]
  ): SlotState => ({
    kind: 'settled',
    outcome: rejection(revision, ...why),
    replayed: false,
  })
  if (session < clientSessions.horizon || session >= clientSessions.next)
    return refuse('session-expired', [session, 0])
  const openedBy =
    by === undefined ? undefined : readClientSession(session, clientSessionKey(session), rows).openedBy
  if (openedBy !== undefined && openedBy !== by?.madeAt && openedBy !== NOBODY)
    return refuse('session-expired', [session, 0])
  // Another user may guess the number of a session of nobody: it must not get a new request.
  const fresh = (rowBytes: number): SlotState =>
    openedBy === NOBODY ? refuse('session-expired', [session, 0]) : { kind: 'new', rowBytes }
  if (slot >= SESSION_SLOTS_MAX) return refuse('slot-out-of-range', [slot, SESSION_SLOTS_MAX - 1])
  const key = slotKey(session, slot)
  const head = rows.read(key, true)
  if (head === undefined) return fresh(0)
  const newest = readUint48(head.bytes, 0)
  if (seq > newest) return fresh(SLOT_KEY_BYTES + head.length)
  if (seq < newest) return refuse('seq-passed', [slot, newest])
  const row = rows.read(key, false)
  if (row === undefined) throw new MissingRowError('the row of a slot is gone')
  if (!equalBytes(row.bytes.subarray(FINGERPRINT_AT, OUTCOME_AT), print)) return refuse('token-reused')
  const from = new Reader(row.bytes.subarray(OUTCOME_AT), 'the row of a slot', MalformedBytesError)
  return { kind: 'settled', outcome: readOutcome(from, command), replayed: true }
}

const scratch = new Writer()

/** Writes the row of a slot. `before`: the size of the row that it replaces; 0 if there is none. */
export function rememberInSlot(
  sessions: ClientSessions,
  { session, slot, seq }: SessionSlot,
  print: Uint8Array,
  outcome: Outcome,
  before: number,
  rows: Rows,
): ClientSessions {
  writeOutcome(outcome, scratch.clear().uint48(seq).raw(print))
  const value = scratch.copy()
  rows.write({ key: slotKey(session, slot), value })
  if (before === 0) noteSlot(session, slot, rows)
  return { ...sessions, bytes: sessions.bytes - before + SLOT_KEY_BYTES + value.length }
}

/** Records in the session's row that this slot is used. */
function noteSlot(session: number, slot: number, rows: Rows): void {
  const key = clientSessionKey(session)
  const opened = readClientSession(session, key, rows)
  if (slot >= opened.slots) rows.write({ key, value: encodeClientSession({ ...opened, slots: slot + 1 }) })
}

/** Writes the row of a new session. */
export function openClientSession({ state, rows, by }: ApplyContext): ClientSessions {
  const { clientSessions, clusterTimeMs } = state
  const { next, horizon } = clientSessions
  rows.write({
    key: clientSessionKey(next),
    value: encodeClientSession({ openedAtMs: clusterTimeMs, slots: 0, openedBy: by?.madeAt ?? NOBODY }),
  })
  const oldestAtMs = next === horizon ? clusterTimeMs : clientSessions.oldestAtMs
  return { ...clientSessions, next: next + 1, oldestAtMs }
}

function isOldestDue({
  clientSessions,
  settings,
  clusterTimeMs,
}: Pick<KvState, 'clientSessions' | 'settings' | 'clusterTimeMs'>): boolean {
  const { next, horizon, oldestAtMs, bytes } = clientSessions
  return (
    horizon < next &&
    (next - horizon > CLIENT_SESSIONS_MAX ||
      bytes > settings.idempotencyBytesMax ||
      clusterTimeMs - oldestAtMs > settings.idempotencyAgeMsMax)
  )
}

/** Forgets sessions that are due, and deletes the rows of their slots. */
export function sweep(
  { clientSessions: before, settings, clusterTimeMs }: KvState,
  rows: Rows,
): ClientSessions {
  let sessions = before
  for (let steps = STEPS_PER_ENTRY; steps > 0; ) {
    const { bytes } = sessions
    if (sessions.toSweep > 0) sessions = deleteSlot(sessions, rows)
    else if (isOldestDue({ clientSessions: sessions, settings, clusterTimeMs }))
      sessions = forgetOldest(sessions, rows)
    else break
    steps -= sessions.bytes < bytes ? STEPS_OF_DELETION : 1
  }
  return sessions
}

/** Deletes the row of one slot of the session that was forgotten last. */
function deleteSlot(sessions: ClientSessions, rows: Rows): ClientSessions {
  const toSweep = sessions.toSweep - 1
  const key = slotKey(sessions.horizon - 1, toSweep)
  const row = rows.read(key, true)
  if (row === undefined) return { ...sessions, toSweep }
  const bytes = sessions.bytes - SLOT_KEY_BYTES - row.length
  rows.write({ key, value: undefined })
  return { ...sessions, toSweep, bytes }
}

function forgetOldest(sessions: ClientSessions, rows: Rows): ClientSessions {
  const { next, horizon: oldest } = sessions
  const key = clientSessionKey(oldest)
  const { slots } = readClientSession(oldest, key, rows)
  rows.write({ key, value: undefined })
  const horizon = oldest + 1
  const oldestAtMs =
    horizon === next ? 0 : readClientSession(horizon, clientSessionKey(horizon), rows).openedAtMs
  return { ...sessions, horizon, oldestAtMs, toSweep: slots }
}

interface ClientSessionRow {
  readonly openedAtMs: number
  /** One more than the highest slot that the session has used. */
  readonly slots: number
  /** The auth revision at which the user was made who has opened it. */
  readonly openedBy: number
}

/** Rights were not checked. */
const NOBODY = 0

function readClientSession(session: number, key: Uint8Array, rows: Rows): ClientSessionRow {
  const row = rows.read(key, false)
  if (row === undefined) throw new MissingRowError(`session ${session} has no row`)
  const from = new Reader(row.bytes, 'the row of a session', MalformedBytesError)
  const opened = { openedAtMs: from.uint64(), slots: from.uint16(), openedBy: from.uint64() }
  from.end()
  return opened
}

function encodeClientSession({ openedAtMs, slots, openedBy }: ClientSessionRow): Uint8Array {
  const value = new Uint8Array(18)
  writeUint64(value, 0, openedAtMs)
  writeUint16(value, 8, slots)
  writeUint64(value, 10, openedBy)
  return value
}

function clientSessionKey(session: number): Uint8Array {
  const key = new Uint8Array(9)
  key[0] = TABLE_CLIENT_SESSIONS
  writeUint64(key, 1, session)
  return key
}

function slotKey(session: number, slot: number): Uint8Array {
  const key = new Uint8Array(SLOT_KEY_BYTES)
  key[0] = TABLE_SESSION_SLOTS
  writeUint64(key, 1, session)
  writeUint16(key, 9, slot)
  return key
}
