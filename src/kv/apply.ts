// What a committed entry does to the store. A pure function of the entry, the state, and the rows as they were before
// the entry, which it reads by their keys. It returns the outcome, the changed rows and the new state. The same entries
// on the same state give the same bytes on every replica.

import { conditionHolds } from './condition.ts'
import { assertNever } from './errors.ts'
import { fingerprint } from './fingerprint.ts'
import { encodeTokenRow, evict, evictionDue, isForgotten, lookUp, remember } from './idempotency.ts'
import { refused } from './refusals.ts'
import type { ParsedRequest } from './request.ts'
import { parseRequest } from './request.ts'
import {
  dataKey,
  decodeKeyMeta,
  decodeKeyRow,
  encodeKeyHead,
  rememberedBytes,
  tokenKey,
  valueBytesOf,
} from './rows.ts'
import { equalSettings, settingsFault } from './settings.ts'
import type {
  Applied,
  Apply,
  Command,
  KeyMeta,
  KeyRow,
  KvState,
  Outcome,
  ReadRow,
  Reason,
  Refusal,
  Revision,
  RowChange,
} from './types.ts'
import { asRevision } from './types.ts'

export const applyEntry: Apply = (kind, version, body, clusterTimeMs, before, read) => {
  const request = parseRequest(kind, version, body)
  const { command, token } = request
  const state = clusterTimeMs > before.clusterTimeMs ? { ...before, clusterTimeMs } : before

  if (token === undefined) return evictAfter(execute(command, state, read), false, read)

  const known = read(tokenKey(token), false)
  const print = fingerprint(kind, body.subarray(request.askedAt))
  const said = answerOfToken(request, known?.bytes, print, state)
  if (said !== undefined) return evictAfter(unchanged(said.outcome, state), said.replayed, read)

  const { outcome, changes, state: done } = refusalOfSince(request, state) ?? execute(command, state, read)
  const tokenRow = encodeTokenRow(print, outcome)
  const left = evict(done, rememberedBytes(token, tokenRow), changes, read)
  const tokens = remember(left, token, tokenRow, outcome.revision, state.clusterTimeMs, changes)
  return { outcome, replayed: false, changes, state: { ...done, tokens } }
}

/** Applying any entry also forgets outcomes that are too old. */
function evictAfter({ outcome, changes, state }: Executed, replayed: boolean, read: ReadRow): Applied {
  const tokens = evictionDue(state, 0) ? evict(state, 0, changes, read) : state.tokens
  return { outcome, replayed, changes, state: tokens === state.tokens ? state : { ...state, tokens } }
}

/** A key as it was before the entry. */
interface Current extends KeyMeta {
  readonly valueBytes: number
  /** The row with its value; only when the request asks for the row before. */
  readonly row: KeyRow | undefined
}

function readCurrent({ key, prev }: KeyCommand, rowKey: Uint8Array, read: ReadRow): Current | null {
  const found = read(rowKey, !prev)
  if (found === undefined) return null
  const { bytes, length } = found
  const { createRevision, modRevision, version } = decodeKeyMeta(key, bytes)
  const row = prev ? decodeKeyRow(key, bytes) : undefined
  return { key, createRevision, modRevision, version, valueBytes: valueBytesOf(length), row }
}

type KeyCommand = Exclude<Command, { kind: 'settings' }>

interface Executed {
  readonly outcome: Outcome
  readonly changes: RowChange[]
  readonly state: KvState
}

/** The answer that the token alone decides; undefined: the request must be executed. */
function answerOfToken(
  { command, since }: ParsedRequest,
  tokenRow: Uint8Array | undefined,
  print: Uint8Array,
  state: KvState,
): { readonly outcome: Outcome; readonly replayed: boolean } | undefined {
  const { revision, tokens } = state
  const refuse = (reason: Reason, numbers?: Refusal['numbers']) => ({
    outcome: refused(revision, reason, numbers),
    replayed: false,
  })
  if (command.kind !== 'settings' && command.prev) return refuse('prev-with-token')

  const known = lookUp(tokenRow, print, command)
  if (known === 'other-request') return refuse('token-reused')
  if (known !== undefined) return { outcome: known, replayed: true }
  if (since !== undefined && isForgotten(since, state))
    return refuse('token-expired', [tokens.horizon, since])
  return undefined
}

/**
 * This refusal does not depend on the request's age. It is remembered like any other refusal, so that a late copy of
 * the request gets the same answer when the store has reached that revision.
 */
function refusalOfSince({ since }: ParsedRequest, state: KvState): Executed | undefined {
  if (since === undefined || since <= state.revision) return undefined
  return refuse(state, 'since-ahead', [since, state.revision])
}

function execute(command: Command, state: KvState, read: ReadRow): Executed {
  switch (command.kind) {
    case 'put':
      return put(command, state, read)
    case 'delete':
      return remove(command, state, read)
    case 'settings':
      return changeSettings(command.settings, state)
    default:
      return assertNever(command, 'command')
  }
}

function put(command: Extract<Command, { kind: 'put' }>, state: KvState, read: ReadRow): Executed {
  const { key, value, condition, prev } = command
  const { settings } = state
  const rowKey = dataKey(key)
  const current = readCurrent(command, rowKey, read)
  const fault = keyFault(key, state)
  if (fault !== undefined) return unchanged(fault, state)
  if (value.length > settings.valueBytesMax)
    return refuse(state, 'value-too-large', [value.length, settings.valueBytesMax])

  if (!conditionHolds(condition, current)) return preconditionFailed(current, state)

  const freed = current === null ? 0 : key.length + current.valueBytes
  const storeBytes = state.storeBytes - freed + key.length + value.length
  if (storeBytes > settings.storeBytesMax && storeBytes > state.storeBytes)
    return refuse(state, 'store-full', [storeBytes, settings.storeBytesMax])

  const revision = asRevision(state.revision + 1)
  const createRevision = current === null ? revision : current.createRevision
  const version = current === null ? 1 : current.version + 1
  const meta = { createRevision, modRevision: revision, version }
  const head = encodeKeyHead(meta, current === null ? NONE : current.modRevision)
  return {
    outcome: {
      kind: 'put',
      revision,
      createRevision,
      modRevision: revision,
      version,
      prev: prevOf(prev, current),
    },
    changes: [{ key: rowKey, value: head, rest: value }],
    state: { ...state, revision, storeBytes, keys: state.keys + (current === null ? 1 : 0) },
  }
}

/** A key that exists can always be deleted, even when the store is full or limits were lowered. */
function remove(command: Extract<Command, { kind: 'delete' }>, state: KvState, read: ReadRow): Executed {
  const { key, condition } = command
  const rowKey = dataKey(key)
  const current = readCurrent(command, rowKey, read)
  const fault = current === null ? keyFault(key, state) : undefined
  if (fault !== undefined) return unchanged(fault, state)
  if (!conditionHolds(condition, current)) return preconditionFailed(current, state)

  const prev = prevOf(command.prev, current)
  if (current === null)
    return unchanged({ kind: 'delete', deleted: 0, revision: state.revision, prev }, state)
  const revision = asRevision(state.revision + 1)
  const storeBytes = state.storeBytes - key.length - current.valueBytes
  return {
    outcome: { kind: 'delete', deleted: 1, revision, prev },
    changes: [{ key: rowKey, value: undefined }],
    state: { ...state, revision, storeBytes, keys: state.keys - 1 },
  }
}

/**
 * Raises the revision when a setting changes. Outcomes depend on keys and settings only, and both change only together
 * with the revision. `isForgotten` relies on that.
 */
function changeSettings(change: Partial<KvState['settings']>, state: KvState): Executed {
  const fault = settingsFault(change, state.settings)
  if (fault !== undefined) return refuse(state, fault.reason, fault.numbers)
  const settings = { ...state.settings, ...change }
  if (equalSettings(settings, state.settings))
    return unchanged({ kind: 'settings', revision: state.revision, settings }, state)
  const revision = asRevision(state.revision + 1)
  return {
    outcome: { kind: 'settings', revision, settings },
    changes: [],
    state: { ...state, revision, settings },
  }
}

/** undefined: the request did not ask for it; null: the key did not exist. */
const prevOf = (asked: boolean, current: Current | null): KeyRow | null | undefined =>
  asked ? (current?.row ?? null) : undefined

const NONE: Revision = asRevision(0)

function keyFault(key: Uint8Array, { revision, settings }: KvState): Outcome | undefined {
  if (key.length === 0) return refused(revision, 'empty-key')
  if (key.length <= settings.keyBytesMax) return undefined
  return refused(revision, 'key-too-long', [key.length, settings.keyBytesMax])
}

function preconditionFailed(current: KeyMeta | null, state: KvState): Executed {
  if (current === null)
    return unchanged({ kind: 'precondition-failed', revision: state.revision, current }, state)
  const { key, createRevision, modRevision, version } = current
  const meta = { key, createRevision, modRevision, version }
  return unchanged({ kind: 'precondition-failed', revision: state.revision, current: meta }, state)
}

const refuse = (state: KvState, reason: Reason, numbers: Refusal['numbers']): Executed =>
  unchanged(refused(state.revision, reason, numbers), state)

const unchanged = (outcome: Outcome, state: KvState): Executed => ({ outcome, changes: [], state })
