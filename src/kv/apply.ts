// What a committed entry does to the store. A pure function of the entry, the registers, and the rows: it reads rows by
// their keys, writes rows, and returns the outcome and the new registers. The same entries on the same state give the
// same bytes on every replica.

import { conditionHolds } from './condition.ts'
import { assertNever, UnknownKindError } from './errors.ts'
import { fingerprint, fingerprint32 } from './fingerprint.ts'
import { encodeTokenRow, evict, evictionDue, isForgotten, lookUp, remember } from './idempotency.ts'
import { refused } from './refusals.ts'
import type { ParsedRequest } from './request.ts'
import { clusterVersionOf, parseRequest } from './request.ts'
import {
  dataKey,
  decodeKeyMeta,
  decodeKeyRow,
  encodeKeyHead,
  rememberedBytes,
  tokenKey,
  valueBytesOf,
} from './rows.ts'
import { lookUpSlot, openSession, rememberInSlot, sweep, sweepDue } from './sessions.ts'
import { CLUSTER_VERSION, equalSettings, settingsFault } from './settings.ts'
import type {
  Apply,
  Command,
  KeyCommand,
  KeyMeta,
  KeyRow,
  KvState,
  Outcome,
  OutcomeOfKey,
  Revision,
  Rows,
  SessionSlot,
} from './types.ts'
import { asRevision } from './types.ts'

/** The registers while an entry is applied. */
type Draft = { -readonly [name in keyof KvState]: KvState[name] }

/** What a request comes to. */
interface Result {
  readonly outcome: Outcome
  /** This outcome was remembered. The entry changed no key and no setting. */
  readonly replayed: boolean
}

export const applyEntry: Apply = (kind, version, body, clusterTimeMs, before, rows) => {
  const request = parseRequest(kind, version, body)
  const state: Draft = { ...before, clusterTimeMs: Math.max(before.clusterTimeMs, clusterTimeMs) }
  const { token, slot, command } = request
  const { clusterVersion } = before.settings
  // A member that knows only this cluster version stops here, so the others must not go on.
  if (clusterVersion < CLUSTER_VERSION && clusterVersion < clusterVersionOf({ command, idempotency: slot }))
    throw new UnknownKindError(
      `entry kind ${kind}${slot === undefined ? '' : ' in a session'} at cluster version ${clusterVersion}`,
    )
  const { outcome, replayed } =
    slot !== undefined
      ? inSession(request, slot, fingerprint32(kind, body.subarray(request.askedAt)), state, rows)
      : token !== undefined
        ? underToken(request, token, fingerprint(kind, body.subarray(request.askedAt)), state, rows)
        : evicting({ outcome: execute(command, state, rows), replayed: false }, state, rows)
  if (sweepDue(state)) state.sessions = sweep(state, rows)
  return { outcome, replayed, state }
}

function underToken(
  request: ParsedRequest,
  token: Uint8Array,
  print: Uint8Array,
  state: Draft,
  rows: Rows,
): Result {
  const known = rows.read(tokenKey(token), false)
  const said = answerOfToken(request, known?.bytes, print, state)
  if (said !== undefined) return evicting(said, state, rows)

  const outcome = refusalOfSince(request, state) ?? execute(request.command, state, rows)
  const tokenRow = encodeTokenRow(print, outcome)
  state.tokens = evict(state, rememberedBytes(token, tokenRow), rows)
  state.tokens = remember(state.tokens, token, tokenRow, outcome.revision, state.clusterTimeMs, rows)
  return { outcome, replayed: false }
}

/** Applying any entry also forgets outcomes that are too old. */
function evicting(result: Result, state: Draft, rows: Rows): Result {
  if (evictionDue(state, 0)) state.tokens = evict(state, 0, rows)
  return result
}

function inSession(
  { command }: ParsedRequest,
  slot: SessionSlot,
  print: number,
  state: Draft,
  rows: Rows,
): Result {
  if (wantsPrev(command)) return evicting(refusal(state, 'prev-with-token'), state, rows)
  const known = lookUpSlot(slot, print, command, state, rows)
  if (known.kind === 'settled') return evicting(known, state, rows)
  const outcome = execute(command, state, rows)
  state.sessions = rememberInSlot(state.sessions, slot, print, outcome, known.rowBytes, rows)
  return evicting({ outcome, replayed: false }, state, rows)
}

const wantsPrev = (command: Command): boolean => 'key' in command && command.prev

const refusal = (state: KvState, ...[reason, numbers]: Tail<Parameters<typeof refused>>): Result => ({
  outcome: refused(state.revision, reason, numbers),
  replayed: false,
})
type Tail<T extends unknown[]> = T extends [unknown, ...infer Rest] ? Rest : never

/** The answer that the token alone decides; undefined: the request must be executed. */
function answerOfToken(
  { command, since }: ParsedRequest,
  tokenRow: Uint8Array | undefined,
  print: Uint8Array,
  state: KvState,
): Result | undefined {
  if (wantsPrev(command)) return refusal(state, 'prev-with-token')
  const known = lookUp(tokenRow, print, command)
  if (known === 'other-request') return refusal(state, 'token-reused')
  if (known !== undefined) return { outcome: known, replayed: true }
  if (since !== undefined && isForgotten(since, state))
    return refusal(state, 'token-expired', [state.tokens.horizon, since])
  return undefined
}

/**
 * This refusal does not depend on the request's age. It is remembered like any other refusal, so that a late copy of
 * the request gets the same answer when the store has reached that revision.
 */
function refusalOfSince({ since }: ParsedRequest, { revision }: KvState): Outcome | undefined {
  if (since === undefined || since <= revision) return undefined
  return refused(revision, 'since-ahead', [since, revision])
}

function execute(command: Command, state: Draft, rows: Rows): Outcome {
  switch (command.kind) {
    case 'put':
    case 'delete':
      return executeOnKey(command, state, rows)
    case 'batch': {
      const outcomes = command.commands.map((each) => executeOnKey(each, state, rows))
      return { kind: 'batch', revision: state.revision, outcomes }
    }
    case 'settings':
      return changeSettings(command.settings, state)
    case 'open-session': {
      const { revision, sessions, settings } = state
      state.sessions = openSession(state, rows)
      return { kind: 'session', revision, session: sessions.next, ageMsMax: settings.idempotencyAgeMsMax }
    }
    default:
      return assertNever(command, 'command')
  }
}

function executeOnKey(command: KeyCommand, state: Draft, rows: Rows): OutcomeOfKey {
  const rowKey = dataKey(command.key)
  const current = readCurrent(command, rowKey, rows)
  return command.kind === 'put'
    ? put(command, rowKey, current, state, rows)
    : remove(command, rowKey, current, state, rows)
}

/** A key as it was before the command. */
interface Current extends KeyMeta {
  readonly valueBytes: number
  /** The row with its value; only when the request asks for the row before. */
  readonly row: KeyRow | undefined
}

function readCurrent({ key, prev }: KeyCommand, rowKey: Uint8Array, rows: Rows): Current | null {
  const found = rows.read(rowKey, !prev)
  if (found === undefined) return null
  const { bytes, length } = found
  const { createRevision, modRevision, version } = decodeKeyMeta(key, bytes)
  const row = prev ? decodeKeyRow(key, bytes) : undefined
  return { key, createRevision, modRevision, version, valueBytes: valueBytesOf(length), row }
}

function put(
  { key, value, condition, prev }: Extract<KeyCommand, { kind: 'put' }>,
  rowKey: Uint8Array,
  current: Current | null,
  state: Draft,
  rows: Rows,
): OutcomeOfKey {
  const { settings } = state
  const fault = keyFault(key, state)
  if (fault !== undefined) return fault
  if (value.length > settings.valueBytesMax)
    return refused(state.revision, 'value-too-large', [value.length, settings.valueBytesMax])

  if (!conditionHolds(condition, current)) return preconditionFailed(current, state)

  const freed = current === null ? 0 : key.length + current.valueBytes
  const storeBytes = state.storeBytes - freed + key.length + value.length
  if (storeBytes > settings.storeBytesMax && storeBytes > state.storeBytes)
    return refused(state.revision, 'store-full', [storeBytes, settings.storeBytesMax])

  const revision = asRevision(state.revision + 1)
  const createRevision = current === null ? revision : current.createRevision
  const version = current === null ? 1 : current.version + 1
  const meta = { createRevision, modRevision: revision, version }
  const head = encodeKeyHead(meta, current === null ? NONE : current.modRevision)
  rows.write({ key: rowKey, value: head, rest: value })
  state.revision = revision
  state.storeBytes = storeBytes
  if (current === null) state.keys++
  return {
    kind: 'put',
    revision,
    createRevision,
    modRevision: revision,
    version,
    prev: prevOf(prev, current),
  }
}

/** A key that exists can always be deleted, even when the store is full or limits were lowered. */
function remove(
  { key, condition, prev: wantsRow }: Extract<KeyCommand, { kind: 'delete' }>,
  rowKey: Uint8Array,
  current: Current | null,
  state: Draft,
  rows: Rows,
): OutcomeOfKey {
  const fault = current === null ? keyFault(key, state) : undefined
  if (fault !== undefined) return fault
  if (!conditionHolds(condition, current)) return preconditionFailed(current, state)

  const prev = prevOf(wantsRow, current)
  if (current === null) return { kind: 'delete', deleted: 0, revision: state.revision, prev }
  rows.write({ key: rowKey, value: undefined })
  state.revision = asRevision(state.revision + 1)
  state.storeBytes -= key.length + current.valueBytes
  state.keys--
  return { kind: 'delete', deleted: 1, revision: state.revision, prev }
}

/**
 * Raises the revision when a setting changes. Outcomes depend on keys and settings only, and both change only together
 * with the revision. `isForgotten` relies on that.
 */
function changeSettings(change: Partial<KvState['settings']>, state: Draft): Outcome {
  const fault = settingsFault(change, state.settings)
  if (fault !== undefined) return refused(state.revision, fault.reason, fault.numbers)
  const settings = { ...state.settings, ...change }
  if (!equalSettings(settings, state.settings)) {
    state.revision = asRevision(state.revision + 1)
    state.settings = settings
  }
  return { kind: 'settings', revision: state.revision, settings }
}

/** undefined: the request did not ask for it; null: the key did not exist. */
const prevOf = (asked: boolean, current: Current | null): KeyRow | null | undefined =>
  asked ? (current?.row ?? null) : undefined

const NONE: Revision = asRevision(0)

function keyFault(key: Uint8Array, { revision, settings }: KvState): OutcomeOfKey | undefined {
  if (key.length === 0) return refused(revision, 'empty-key')
  if (key.length <= settings.keyBytesMax) return undefined
  return refused(revision, 'key-too-long', [key.length, settings.keyBytesMax])
}

function preconditionFailed(current: KeyMeta | null, { revision }: KvState): OutcomeOfKey {
  if (current === null) return { kind: 'precondition-failed', revision, current }
  const { key, createRevision, modRevision, version } = current
  return {
    kind: 'precondition-failed',
    revision,
    current: { key, createRevision, modRevision, version },
  }
}
