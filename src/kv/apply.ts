// Applies a committed entry. A pure function of the entry, the registers, and the rows: it reads rows by
// their keys, writes rows, and returns the outcome and the new registers. The same entries on the same state give the
// same bytes on every replica.

import { assertNever } from '../bytes/index.ts'
import {
  asRevision,
  type KeyRow,
  type RecordMetadata,
  type Revision,
  type SessionSlot,
} from '../operations/forms/index.ts'
import { hasFeature } from '../operations/forms/settings.ts'
import type { ApplyContext, MutableState } from './apply-context.ts'
import { executeAuthChange, readAuthState } from './auth/changes.ts'
import { meetsLeaseDemands } from './auth/lease-rights.ts'
import { isMet } from './auth/rights.ts'
import { lookUpSlot, openClientSession, rememberInSlot, sweep } from './client-sessions.ts'
import type { ParsedRequest } from './codec/request.ts'
import { parseRequest } from './codec/request.ts'
import { type ChangeOrigin, rememberedBytes, tokenKey } from './codec/rows.ts'
import { commandDemands, isOfNode } from './commands.ts'
import { conditionHolds } from './condition.ts'
import { EventWriter, forget } from './history.ts'
import {
  encodeTokenRecord,
  evict,
  isForgotten,
  lookUp,
  remember as rememberToken,
  TOKEN_USERS_MAX,
} from './idempotency.ts'
import {
  type KeyMetadata,
  keepFault,
  keyFault,
  keyMeta,
  metadataKey,
  putFault,
  readCurrent,
  readKeyRow,
  removeKey,
  writeKey,
  writtenBytes,
} from './keys.ts'
import { executeOnLeases } from './lease-commands.ts'
import { LeaseChecks } from './leases.ts'
import { rejection } from './rejections.ts'
import { equalSettings, keyLimits, settingsFault } from './settings.ts'
import { runSteps, type Steps } from './steps.ts'
import { deleteRange, executeTxn } from './txn.ts'
import type {
  Apply,
  ApplyResult,
  Command,
  KeyCommand,
  KvState,
  LeaseCommand,
  Outcome,
  OutcomeOfKey,
  Rows,
} from './types.ts'
import { SYSTEM_PRINCIPAL } from './types.ts'

/** The result of executing one request. */
interface Result {
  readonly outcome: Outcome
  /** This outcome was remembered. The entry changed no key and no setting. */
  readonly replayed: boolean
}

interface BegunEntry {
  readonly request: ParsedRequest
  readonly work: ApplyContext
}

/** An entry between its first and its last step. */
interface OpenEntry extends BegunEntry {
  /** The result that token or slot alone decide; undefined: the command must be executed. */
  readonly settled: Result | undefined
  /** Remembers the outcome of the command under its token or slot. */
  readonly remember: (outcome: Outcome) => void
}

export const applyEntry: Apply = (kind, version, body, clusterTimeMs, before, rows) => {
  const begun = beginEntry(kind, version, body, clusterTimeMs, before, rows)
  const isDecided = isPermittedByRevision(begun) && needsNoLease(begun)
  const entry = openEntry(begun, isDecided ? undefined : runSteps(checkRights(begun)))
  return closeEntry(
    entry,
    entry.settled ?? rememberOutcome(entry, execute(entry.request.command, entry.work)),
  )
}

/**
 * Applies an entry that may name many keys, in steps. Between two steps the rows are those of half an entry, so nobody
 * else may see them.
 */
export function* applySteps(...args: Parameters<Apply>): Steps<ApplyResult> {
  const begun = beginEntry(...args)
  const entry = openEntry(begun, yield* checkRights(begun))
  if (entry.settled !== undefined) return closeEntry(entry, entry.settled)
  const { command } = entry.request
  const outcome =
    command.kind === 'batch'
      ? yield* executeBatch(command.commands, entry.work)
      : namesMany(command)
        ? yield* executeSteps(command, entry.work)
        : execute(command, entry.work)
  return closeEntry(entry, rememberOutcome(entry, outcome))
}

function beginEntry(...[kind, version, body, clusterTimeMs, before, rows]: Parameters<Apply>): BegunEntry {
  const request = parseRequest(kind, version, body)
  const state: MutableState = { ...before, clusterTimeMs: Math.max(before.clusterTimeMs, clusterTimeMs) }
  const { principal, madeAt, timeMs } = request
  const isUser = state.auth.enabled && principal !== SYSTEM_PRINCIPAL
  const by = isUser ? { name: principal, madeAt } : undefined
  const origin = by === undefined && timeMs === undefined ? NO_ORIGIN : originOf(by?.name, timeMs)
  const originOfDeletion = hasFeature(before.settings, 'changeTimes') ? origin : NO_ORIGIN
  const work: ApplyContext = { state, rows, events: findEventWriter(rows), by, origin, originOfDeletion }
  work.events.begin(before, rows)
  return { request, work }
}

const NO_ORIGIN: ChangeOrigin = {}

const originOf = (by: string | undefined, timeMs: number | undefined): ChangeOrigin => ({
  ...(by === undefined ? {} : { by }),
  ...(timeMs === undefined ? {} : { timeMs }),
})

/** `unpermitted`: the refusal of a request that its user has no right to. */
function openEntry({ request, work }: BegunEntry, unpermitted: Result | undefined): OpenEntry {
  const { token, slot } = request
  if (unpermitted !== undefined) return { request, work, settled: unpermitted, remember: rememberNothing }
  if (slot !== undefined) return openInSessionSlot(request, slot, work)
  if (token !== undefined) return openUnderToken(request, token, work)
  return { request, work, settled: undefined, remember: () => evictDue(work) }
}

/**
 * A request is decided under the rights of one auth revision (`src/server/api/permit.ts`). When it is applied under
 * another, and the rights of now do not permit it, it is refused, and its node decides again. Nothing of it is
 * remembered. The same for rights on leases, which may have other keys or another owner by now.
 */
function* checkRights(begun: BegunEntry): Steps<Result | undefined> {
  const { request, work } = begun
  if (!isPermittedByRevision(begun) && !(yield* isPermittedNow(request, work)))
    return rightsChangedRefusal(request, work.state)
  if (needsNoLease(begun)) return undefined
  const decision = yield* meetsLeaseDemands(request.leaseDemands, request.madeAt, work)
  if (decision === 'met') return undefined
  return decision === 'unmet'
    ? rightsChangedRefusal(request, work.state)
    : refusalResult(work.state, 'range-too-large', keyLimits(work.state.settings))
}

/** Whether the request needs no check of its user and his roles. */
function isPermittedByRevision({ request, work }: BegunEntry): boolean {
  const { principal, authRevision, command } = request
  const { enabled, revision } = work.state.auth
  if (!enabled && authRevision === undefined) return true
  const isByNode = principal === SYSTEM_PRINCIPAL
  return isOfNode(command) === isByNode && (isByNode || authRevision === revision)
}

/**
 * Whether the rights of now permit a request that was permitted under others. Not if its user has a new password: its
 * node must find out whether the user is still known by what the request has shown. In steps: a batch may name a
 * thousand keys, and each is sought in all roles of the user.
 */
function* isPermittedNow(
  { command, principal, authRevision = 0, madeAt }: ParsedRequest,
  work: ApplyContext,
): Steps<boolean> {
  if (!work.state.auth.enabled || principal === SYSTEM_PRINCIPAL || isOfNode(command)) return false
  const users = readAuthState(work)
  const user = users.userMadeAt(madeAt)
  const rights = users.rightsOfUser(madeAt)
  if (user === undefined || rights === undefined || user.epoch > authRevision) return false
  for (const [at, demand] of commandDemands(command, user.name).entries()) {
    if (at > 0) yield
    if (!isMet(demand, rights)) return false
  }
  return true
}

const rightsChangedRefusal = ({ authRevision = 0 }: ParsedRequest, state: KvState): Result =>
  refusalResult(state, 'rights-changed', [state.auth.revision, authRevision])

const needsNoLease = ({ request }: BegunEntry): boolean => request.leaseDemands.length === 0

const rememberNothing = (): void => {}

function rememberOutcome({ remember }: OpenEntry, outcome: Outcome): Result {
  remember(outcome)
  return { outcome, replayed: false }
}

/** Applying any entry also forgets outcomes that are too old. */
function evictDue({ state, rows }: ApplyContext): void {
  state.idempotencyTokens = evict(state, 0, rows)
}

function closeEntry({ work }: OpenEntry, { outcome, replayed }: Result): ApplyResult {
  const { state, rows } = work
  state.clientSessions = sweep(state, rows)
  state.history = work.events.end(state, rows)
  return { outcome, replayed, state }
}

/** The event writer of a store, to which one entry is applied at a time. */
function findEventWriter(rows: Rows): EventWriter {
  const known = eventWriters.get(rows)
  if (known !== undefined) return known
  const writer = new EventWriter()
  eventWriters.set(rows, writer)
  return writer
}

const eventWriters = new WeakMap<Rows, EventWriter>()

function openUnderToken(request: ParsedRequest, token: Uint8Array, work: ApplyContext): OpenEntry {
  const { state, rows } = work
  const { print, madeAt } = request
  const known = rows.read(tokenKey(token), false)
  const decided = findTokenResult(request, known?.bytes, state)
  const remember = (outcome: Outcome): void => {
    const record = encodeTokenRecord(madeAt, print, outcome)
    state.idempotencyTokens = evict(state, rememberedBytes(token, record), rows)
    state.idempotencyTokens = rememberToken(
      state.idempotencyTokens,
      { token, madeAt },
      record,
      outcome.revision,
      state.clusterTimeMs,
      rows,
      known !== undefined,
    )
  }
  if (decided !== undefined) {
    evictDue(work)
    return { request, work, settled: decided, remember }
  }
  const outcome = checkSince(request, state)
  if (outcome === undefined) return { request, work, settled: undefined, remember }
  remember(outcome)
  return { request, work, settled: { outcome, replayed: false }, remember }
}

function openInSessionSlot(request: ParsedRequest, slot: SessionSlot, work: ApplyContext): OpenEntry {
  const { state, rows } = work
  const { command, print } = request
  const known = wantsPrev(command)
    ? refusalResult(state, 'prev-with-token')
    : lookUpSlot(slot, print, command, work)
  const rowBytes = 'rowBytes' in known ? known.rowBytes : 0
  const remember = (outcome: Outcome): void => {
    state.clientSessions = rememberInSlot(state.clientSessions, slot, print, outcome, rowBytes, rows)
    evictDue(work)
  }
  if (!('outcome' in known)) return { request, work, settled: undefined, remember }
  evictDue(work)
  return { request, work, settled: known, remember }
}

const wantsPrev = (command: Command): boolean => 'key' in command && command.prev

const refusalResult = (state: KvState, ...[reason, numbers]: Tail<Parameters<typeof rejection>>): Result => ({
  outcome: rejection(state.revision, reason, numbers),
  replayed: false,
})
type Tail<T extends unknown[]> = T extends [unknown, ...infer Rest] ? Rest : never

/** The answer that the token alone decides; undefined: the request must be executed. */
function findTokenResult(
  request: ParsedRequest,
  tokenRow: Uint8Array | undefined,
  state: KvState,
): Result | undefined {
  const { command, since } = request
  if (wantsPrev(command)) return refusalResult(state, 'prev-with-token')
  const known = lookUp(tokenRow, request)
  if (known === 'other-request') return refusalResult(state, 'token-reused')
  if (known === 'too-many-users') return refusalResult(state, 'too-many-token-users', [TOKEN_USERS_MAX, 0])
  if (known !== undefined) return { outcome: known, replayed: true }
  if (since !== undefined && isForgotten(since, state))
    return refusalResult(state, 'token-expired', [state.idempotencyTokens.horizon, since])
  return undefined
}

/**
 * This refusal does not depend on the request's age. It is remembered like any other refusal, so that a late copy of
 * the request gets the same answer when the store has reached that revision.
 */
function checkSince({ since }: ParsedRequest, { revision }: KvState): Outcome | undefined {
  if (since === undefined || since <= revision) return undefined
  return rejection(revision, 'since-ahead', [since, revision])
}

function execute(command: Command, work: ApplyContext): Outcome {
  const { state } = work
  switch (command.kind) {
    case 'put':
    case 'delete':
      return executeOnKey(command, work)
    case 'batch': {
      const outcomes = command.commands.map((each) => executeOnKey(each, work))
      return { kind: 'batch', revision: state.revision, outcomes }
    }
    case 'settings':
      return changeSettings(command.settings, state)
    case 'raise-revision':
      return raiseRevision(command.revision, work)
    case 'open-session': {
      const { revision, clientSessions, settings } = state
      state.clientSessions = openClientSession(work)
      return {
        kind: 'session',
        revision,
        session: clientSessions.next,
        ageMsMax: settings.idempotencyAgeMsMax,
      }
    }
    default:
      return runSteps(executeSteps(command, work))
  }
}

/** A command on keys or users that it does not name one by one, or on leases. */
type CommandOnMany = Extract<Command, { kind: 'auth' | 'compact' | 'delete-range' | 'txn' }> | LeaseCommand

const namesMany = (command: Command): command is CommandOnMany => {
  switch (command.kind) {
    case 'put':
    case 'delete':
    case 'batch':
    case 'settings':
    case 'raise-revision':
    case 'open-session':
      return false
    default:
      return true
  }
}

function* executeSteps(command: CommandOnMany, work: ApplyContext): Steps<Outcome> {
  switch (command.kind) {
    case 'auth':
      return yield* executeAuthChange(command, work)
    case 'compact':
      return yield* compact(command, work)
    case 'delete-range':
      return yield* deleteRange(command.range, work)
    case 'txn':
      return yield* executeTxn(command.txn, work)
    case 'grant':
    case 'renew':
    case 'revoke':
    case 'expire':
      return yield* executeOnLeases(command, work)
    default:
      return assertNever(command, 'command')
  }
}

function* executeBatch(commands: readonly KeyCommand[], work: ApplyContext): Steps<Outcome> {
  const outcomes: OutcomeOfKey[] = []
  for (const each of commands) {
    outcomes.push(executeOnKey(each, work))
    yield
  }
  return { kind: 'batch', revision: work.state.revision, outcomes }
}

function executeOnKey(command: KeyCommand, work: ApplyContext): OutcomeOfKey {
  const rowKey = metadataKey(command.key)
  const current = readCurrent(command.key, rowKey, work.rows)
  return command.kind === 'put' ? put(command, rowKey, current, work) : remove(command, rowKey, current, work)
}

function put(
  command: Extract<KeyCommand, { kind: 'put' }>,
  rowKey: Uint8Array,
  current: KeyMetadata | null,
  work: ApplyContext,
): OutcomeOfKey {
  const { key, value, condition, prev: wantsRow, lease } = command
  const { state } = work
  const { settings } = state
  const fault = putFault(key, value, state)
  if (fault !== undefined) return fault
  if (!conditionHolds(condition, current)) return preconditionFailed(current, state)

  const leaseFault = lease && new LeaseChecks(work).fault(key, lease, current)
  if (leaseFault !== undefined) return leaseFault
  const missing = keepFault(command, current, state)
  if (missing !== undefined) return missing

  const freed = current === null ? 0 : key.length + current.valueBytes
  const storeBytes = state.storeBytes - freed + key.length + writtenBytes(command, current)
  if (storeBytes > settings.storeBytesMax && storeBytes > state.storeBytes)
    return rejection(state.revision, 'store-full', [settings.storeBytesMax, 0])

  const prev = readPrev(wantsRow, current, work.rows)
  const revision = asRevision(state.revision + 1)
  const { createRevision, version } = writeKey(command, rowKey, current, revision, work)
  return { kind: 'put', revision, createRevision, modRevision: revision, version, prev }
}

/** A key that exists can always be deleted, even when the store is full or limits were lowered. */
function remove(
  { key, condition, prev: wantsRow }: Extract<KeyCommand, { kind: 'delete' }>,
  rowKey: Uint8Array,
  current: KeyMetadata | null,
  work: ApplyContext,
): OutcomeOfKey {
  const { state } = work
  const fault = current === null ? keyFault(key, state) : undefined
  if (fault !== undefined) return fault
  if (!conditionHolds(condition, current)) return preconditionFailed(current, state)

  const prev = readPrev(wantsRow, current, work.rows)
  if (current === null) return { kind: 'delete', deleted: 0, revision: state.revision, prev }
  const revision = asRevision(state.revision + 1)
  removeKey(current, rowKey, revision, work)
  return { kind: 'delete', deleted: 1, revision, prev }
}

function* compact(
  { revision: to, onlyForward }: Extract<Command, { kind: 'compact' }>,
  { state, rows }: ApplyContext,
): Steps<Outcome> {
  const { revision, history } = state
  if (to !== undefined) {
    // To the same revision again: most clients want no more than they have.
    if (to < history.compacted || (onlyForward && to === history.compacted))
      return rejection(revision, 'compacted', [to, history.compacted])
    if (to > revision) return rejection(revision, 'future-revision', [to, revision])
    state.history = { ...history, compacted: to }
  }
  state.history = yield* forget(state, rows)
  return { kind: 'compacted', revision, compactRevision: state.history.compacted }
}

/**
 * Raises the revision when a setting changes. Outcomes depend on keys and settings only, and both change only together
 * with the revision. `isForgotten` relies on that.
 */
function changeSettings(change: Partial<KvState['settings']>, state: MutableState): Outcome {
  const fault = settingsFault(change)
  if (fault !== undefined) return rejection(state.revision, fault.reason, fault.numbers)
  const { clusterVersion } = state.settings
  // No version that knows only 1 is at more than 1, so this decides as it does.
  if (change.clusterVersion !== undefined && change.clusterVersion < clusterVersion)
    return rejection(state.revision, 'cluster-version-lowered', [clusterVersion, change.clusterVersion])
  const settings = { ...state.settings, ...change }
  if (!equalSettings(settings, state.settings)) {
    state.revision = asRevision(state.revision + 1)
    state.settings = settings
  }
  return { kind: 'settings', revision: state.revision, settings }
}

/**
 * Raises the revision of a store without keys, as a restore does: the revisions between are skipped. To the same
 * revision again, it changes nothing.
 */
function raiseRevision(to: Revision, { state, events }: ApplyContext): Outcome {
  const { revision, keys } = state
  if (to < revision) return rejection(revision, 'revision-passed', [revision, to])
  if (to > revision) {
    if (keys > 0) return rejection(revision, 'store-not-empty', [keys, to])
    state.revision = to
    events.skip()
  }
  return { kind: 'revision-raised', revision: to }
}

/** The record before the change: undefined without the `prev` flag; null if the key did not exist. */
const readPrev = (wantsPrev: boolean, current: KeyMetadata | null, rows: Rows): KeyRow | null | undefined =>
  wantsPrev ? current && readKeyRow(current, rows) : undefined

function preconditionFailed(current: RecordMetadata | null, { revision }: KvState): OutcomeOfKey {
  if (current === null) return { kind: 'precondition-failed', revision, current }
  return { kind: 'precondition-failed', revision, current: keyMeta(current) }
}
