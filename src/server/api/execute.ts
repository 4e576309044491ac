// Executes the operations of clients on one node. Every operation of every wire passes through `execute`: here stand
// the checks that need a meaning, the prices in memory, and the errors.

import type { Command, KeyCommand } from '../../kv/index.ts'
import { conditionHolds } from '../../kv/index.ts'
import { leaseNumbers, rejection } from '../../kv/rejections.ts'
import { comparisonHolds } from '../../kv/txn.ts'
import {
  ApiError,
  type Condition,
  type FreshnessOptions,
  type Idempotency,
  type KeyRange,
  type KeyRow,
  keyAfter,
  type LeaseDescription,
  type LeaseId,
  type PutLease,
  type ReadGrant,
  type Revision,
} from '../../operations/forms/index.ts'
import { featureRefusal } from '../../operations/forms/settings.ts'
import {
  type BatchedCommand,
  type KvTxn,
  type KvTxnResult,
  type Operation,
  type OperationKind,
  type OperationOf,
  onlyReads,
  operationFacts,
  wantsPrev,
} from '../../operations/index.ts'
import { RENEW_LEASES_MAX } from '../../operations/keep-alive.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { LeaseNow } from '../node/leases/lease-rows.ts'
import type { Result } from '../node/result.ts'
import type { PermittedWatch } from '../node/watch/index.ts'
import { type AnswerOf, type AnswerTo, NO_HEAD, type Respond, type WatchAnswer } from './answer.ts'
import type { Api } from './api.ts'
import { changeAuth, describeAuth, describeSelf, logIn, showRoles, showUsers } from './auth.ts'
import { backUp } from './backup.ts'
import type { Reservation } from './budget.ts'
import type { Call } from './call.ts'
import { changeLeaderLeases, changeMembers, type ResponseGuard, transferLeadership } from './cluster.ts'
import { abandoned, changeOutcomes, errorOfNode, errorOfOutcome, preconditionFailed } from './errors.ts'
import { showStatus } from './member-reports.ts'
import { decide, refusalNow, refusalOfLeases } from './permit.ts'
import { type AppliedAnswer, propose } from './propose.ts'
import { checkTime, errorOfScan, finish, type Instant } from './ranges.ts'
import { checkRevision, readOptions, timeLeftMs } from './read-options.ts'
import { sharerOf } from './session-shares.ts'
import { describeCluster, describeSettings } from './status.ts'
import {
  type AnswerEstimate,
  answerOfKeyChange,
  checkTxn,
  estimateAnswer,
  evaluateTxn,
  keyChangeOf,
  keyGetOf,
  resultOfKeyGet,
  withLeases,
} from './txn.ts'
import { beginWatch } from './watch.ts'

/** Executes one operation. Calls `answer` exactly once, possibly before it returns. */
export function execute<O extends Operation>(
  api: Api,
  operation: O,
  call: Call,
  answer: Respond<AnswerOf<O['kind']>>,
): void {
  call.operation = operation
  const respond = api.audit === undefined ? answer : api.audit.watch(operation, call, answer)
  if (api.node.auth.enabled)
    decide(api.node, operation, call, (refusal) => runPermitted(api, operation, call, refusal, respond))
  else runPermitted(api, operation, call, refusalNow(api.node, call), respond)
}

/**
 * Decides on an operation that is not executed yet, as others come first. Calls `done` with its refusal, which has a
 * line in the audit log, or with undefined.
 */
export function checkPermitted(
  api: Api,
  operation: Operation,
  call: Call,
  done: (refusal: ApiError | undefined) => void,
): void {
  call.operation = operation
  decide(api.node, operation, call, (refusal) => {
    if (refusal === undefined || api.audit === undefined) done(refusal)
    else api.audit.watch(operation, call, () => done(refusal))(refusal)
  })
}

function runPermitted<O extends Operation>(
  api: Api,
  operation: O,
  call: Call,
  refusal: ApiError | undefined,
  respond: Respond<AnswerOf<O['kind']>>,
): void {
  if (refusal !== undefined) {
    respond(refusal)
    return
  }
  try {
    // Before it proposes or reads anything: clients that take no answers are to be asked for fewer.
    if (operationFacts(operation).label !== 'other') api.outbound.check(0)
    // TypeScript does not see that executor and operation are of one kind.
    const executor = EXECUTORS[operation.kind] as Executor<O, O['kind']>
    executor(api, operation, call, respond)
  } catch (error) {
    // Nothing was proposed.
    respond(api.toApiError(error))
  }
}

type Executor<O, K extends OperationKind> = (
  api: Api,
  operation: O,
  call: Call,
  respond: Respond<AnswerOf<K>>,
) => void

/** A missing executor, or one that answers with the result of another operation, does not compile. */
const EXECUTORS: { readonly [K in OperationKind]: Executor<OperationOf<K>, K> } = {
  put(api, operation, call, respond) {
    const { lease, idempotency } = operation
    const put = lease === undefined ? operation : { ...operation, lease: withMinimumTtl(api.node, lease) }
    changeKey(api, put, idempotency, call, respond)
  },
  delete: (api, operation, call, respond) => changeKey(api, operation, operation.idempotency, call, respond),
  get,
  range: (api, operation, call, respond) =>
    api.ranges.execute(call, operation, respond, (error) => respond(api.toApiError(error))),
  batch: changeKeys,
  'delete-range': deleteRange,
  txn,
  compact: (api, operation, call, respond) => propose(api, operation, operation.idempotency, call, respond),
  'raise-revision'(api, operation, call, respond) {
    const refusal = featureRefusal(api.node.status().settings, 'revisionRaise')
    if (refusal !== undefined) throw new ApiError('bad_request', refusal)
    propose(api, operation, operation.idempotency, call, respond)
  },
  watch,
  grant(api, operation, call, respond) {
    const ttlMs = Math.max(api.node.leaseTtlMsMin, operation.ttlMs)
    propose(api, { ...operation, ttlMs }, operation.idempotency, call, respond)
  },
  revoke: (api, operation, call, respond) => propose(api, operation, operation.idempotency, call, respond),
  'keep-alive': keepAlive,
  'show-lease': showLease,
  'list-leases': listLeases,
  'open-session': openSession,
  status: showStatus,
  cluster: ({ node }, { kind }, _call, respond) =>
    respond({ kind, result: describeCluster(node), head: NO_HEAD }),
  settings: ({ node }, { kind }, _call, respond) =>
    respond({ kind, result: describeSettings(node), head: NO_HEAD }),
  backup: backUp,
  'add-member': (api, operation, call, respond) =>
    changeMembers(api.node, operation, call, guardedBy(api, respond), (result) =>
      respond({ kind: 'add-member', result, head: NO_HEAD }),
    ),
  'remove-member': (api, operation, call, respond) =>
    changeMembers(api.node, operation, call, guardedBy(api, respond), (result) =>
      respond({ kind: 'remove-member', result, head: NO_HEAD }),
    ),
  'replace-member': (api, operation, call, respond) =>
    changeMembers(api.node, operation, call, guardedBy(api, respond), (result) =>
      respond({ kind: 'replace-member', result, head: NO_HEAD }),
    ),
  'transfer-leadership': (api, operation, call, respond) =>
    transferLeadership(api.node, operation, call, guardedBy(api, respond), respond),
  'change-settings': changeSettings,
  'show-auth': ({ node }, { kind }, _call, respond) =>
    respond({ kind, result: describeAuth(node), head: NO_HEAD }),
  'show-self': ({ node }, { kind }, call, respond) =>
    respond({ kind, result: describeSelf(node, call), head: NO_HEAD }),
  'log-in': logIn,
  'show-users': showUsers,
  'show-roles': showRoles,
  'change-auth': changeAuth,
}

/** Wraps callbacks: what they throw becomes the answer. */
const guardedBy =
  (api: Api, respond: Respond<never>): ResponseGuard =>
  (run) =>
  (value) => {
    try {
      run(value)
    } catch (error) {
      respond(api.toApiError(error))
    }
  }

// ---------------------------------------------------------------------------------------------------------------------
// Changes

/** Proposes a change for whose answer memory was reserved. It passes to the wire with the answer. */
function proposeReserved<C extends Command>(
  api: Api,
  command: C,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond<AppliedAnswer<C>>,
  reservation: Reservation,
): void {
  try {
    propose(api, command, idempotency, call, (answer) => {
      passRoom(call, reservation)
      respond(answer)
    })
  } catch (error) {
    reservation.release()
    throw error
  }
}

/** The answer exists. Its wire still has to encode it. */
function passRoom(call: Call, reservation: Reservation) {
  if (call.holdRoom === undefined) reservation.release()
  else call.holdRoom(reservation)
}

/** No lease ends because an election takes its usual time. */
const withMinimumTtl = (node: KvNode, lease: PutLease): PutLease =>
  'ttlMs' in lease ? { ttlMs: Math.max(node.leaseTtlMsMin, lease.ttlMs) } : lease

/** Throws `ApiError`: a remembered outcome has no values. */
function checkPrev(prev: boolean, idempotency: Idempotency | undefined): void {
  if (!prev || idempotency === undefined) return
  const name = 'token' in idempotency ? 'Idempotency-Key' : 'Kv-Session'
  throw new ApiError('bad_request', `prev cannot be combined with ${name}: values are not remembered`)
}

/** Size of a record beside its key and value, as JSON. */
const RECORD_BYTES = 48

function changeKey<C extends KeyCommand>(
  api: Api,
  command: C,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond<AppliedAnswer<C>>,
) {
  if (!command.prev) return propose(api, command, idempotency, call, respond)
  checkPrev(true, idempotency)
  const estimate = { keys: [command.key], recordBytesMax: Number.POSITIVE_INFINITY, bytes: 0 }
  proposeEstimated(api, command, idempotency, call, respond, estimate)
}

/**
 * Proposes a change whose answer may have records. The answer to a change is never refused, so room for the current
 * records is reserved. Concurrent writers may exceed it; the limits of proposals bound by how much.
 */
function proposeEstimated<C extends Command>(
  api: Api,
  command: C,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond<AppliedAnswer<C>>,
  { keys, recordBytesMax, bytes }: AnswerEstimate,
) {
  const reservation = api.outbound.reserve()
  const guarded = guardedBy(api, respond)
  let recordBytes = 0
  const next = guarded((at: number): void => {
    const key = recordBytes < recordBytesMax ? keys[at] : undefined
    if (key === undefined) {
      reservation.grow(bytes + Math.min(recordBytes, recordBytesMax))
      proposeReserved(api, command, idempotency, call, respond, reservation)
      return
    }
    api.node.get(key, (error, row) => {
      if (error !== undefined) return respond(api.toApiError(errorOfScan(error)))
      if (row !== undefined)
        recordBytes += call.expansion * (RECORD_BYTES + row.key.length + row.value.length)
      // A value may have a megabyte, and many changes may arrive at once.
      api.outbound.turns.run(() => next(at + 1))
    })
  })
  api.outbound.turns.run(() => next(0))
}

/** Largest size of the result of one change without its key. */
const CHANGE_RESULT_BYTES_MAX = 512

type Batch = Extract<Command, { readonly kind: 'batch' }>

function changeKeys(
  api: Api,
  { commands: requested, idempotency }: OperationOf<'batch'>,
  call: Call,
  respond: Respond<AnswerTo<'batch'>>,
): void {
  const { node } = api
  let bytes = 0
  const commands = requested.map((command) => {
    // Only a failed condition is answered with the key.
    const keyBytes = command.condition === undefined ? 0 : call.expansion * command.key.length
    bytes += CHANGE_RESULT_BYTES_MAX + keyBytes
    if (command.kind !== 'put' || command.lease === undefined) return command
    return { ...command, lease: withMinimumTtl(node, command.lease) }
  })
  const reservation = api.outbound.reserve()
  reservation.grow(bytes)
  const command: Batch = { kind: 'batch', commands }
  const answer = (applied: ApiError | AppliedAnswer<Batch>) =>
    respond(applied instanceof ApiError ? applied : answerBatch(applied))
  proposeReserved(api, command, idempotency, call, answer, reservation)
}

const answerBatch = ({
  kind,
  result: { revision, outcomes },
  head,
}: AppliedAnswer<Batch>): AnswerTo<'batch'> => ({
  kind,
  result: { kind, revision, outcomes: changeOutcomes(outcomes) },
  head,
})

/**
 * A range with too many keys is refused with their number, if the user may read it. They are counted after the refusal:
 * the first copy of a change with a token may have deleted them before it, and then a refusal by their number would be
 * wrong.
 */
function deleteRange(
  api: Api,
  { kind, range, idempotency }: OperationOf<'delete-range'>,
  call: Call,
  respond: Respond<AnswerTo<'delete-range'>>,
): void {
  propose(api, { kind, range }, idempotency, call, (answer) => {
    if (!(answer instanceof ApiError) || answer.code !== 'range_too_large' || !mayRead(api, range, call))
      return respond(answer)
    const { revision, replayed, code, message } = answer
    const count = async (instant: Instant): Promise<void> => {
      const options = { ...range, reverse: false, revision: undefined }
      const keys = await api.ranges.count(instant, instant.listKeys(options))
      const detail = `${message}: ${keys} keys when they were counted`
      respond(new ApiError(code, detail, { revision, replayed, members: { count: keys } }))
    }
    api.ranges.readInstant(call, { consistency: 'stale', minRevision: revision }, count, () =>
      respond(answer),
    )
  })
}

const mayRead = ({ node: { auth } }: Api, range: KeyRange, { permit }: Call): boolean =>
  !auth.enabled || auth.state.rightsOfUser(permit?.madeAt ?? 0)?.mayRead(range) === true

function changeSettings(
  api: Api,
  { kind, settings, leases, idempotency }: OperationOf<'change-settings'>,
  call: Call,
  respond: Respond<AnswerTo<'change-settings'>>,
): void {
  const { node } = api
  if (leases !== undefined && idempotency !== undefined)
    throw new ApiError(
      'bad_request',
      'leases cannot be changed under an Idempotency-Key or Kv-Session: change them in a request of their own, without one',
    )
  const guarded = guardedBy(api, respond)
  if (Object.keys(settings).length === 0) {
    if (leases === undefined) respond({ kind, result: describeSettings(node), head: NO_HEAD })
    else changeLeaderLeases(node, leases, false, call, guarded, respond)
    return
  }
  // Two entries: first the limits, then the leases of the core.
  propose(api, { kind: 'settings', settings }, idempotency, call, (applied) => {
    if (applied instanceof ApiError) return respond(applied)
    if (leases !== undefined) return changeLeaderLeases(node, leases, true, call, guarded, respond)
    // A replay has the settings of that time.
    const { result, head } = applied
    const { leaderLeases } = describeSettings(node)
    respond({
      kind,
      result: { settings: result.settings, leaderLeases },
      head: { revision: result.revision, replayed: head.replayed },
    })
  })
}

function openSession(
  api: Api,
  operation: OperationOf<'open-session'>,
  call: Call,
  respond: Respond<AnswerTo<'open-session'>>,
): void {
  const user = sharerOf(call)
  api.sessions.begin(user)
  try {
    propose(api, operation, undefined, call, (answer) => {
      api.sessions.end(user, answer instanceof ApiError ? undefined : answer.result.session)
      respond(answer)
    })
  } catch (error) {
    api.sessions.end(user, undefined)
    throw error
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Reads

type GetAnswer = AnswerOf<'get'>

function get(api: Api, operation: OperationOf<'get'>, call: Call, respond: Respond<GetAnswer>): void {
  const { key, revision, condition, freshness } = operation
  const { node, ranges } = api
  if (revision !== undefined) {
    const read = async (instant: Instant): Promise<void> => {
      const { grant } = instant
      checkRevision(node, revision, grant)
      const range = { start: key, end: keyAfter(key), reverse: false, revision }
      const row = await ranges.first(instant, instant.list(range))
      respond(answerGet(row, condition, grant))
    }
    ranges.readInstant(call, freshness, read, (error) => respond(api.toApiError(error)))
    return
  }
  call.withdraw = node.read(readOptions(freshness, timeLeftMs(call)), (result) => {
    if (!result.ok) return respond(errorOfNode(result.problem, true))
    if (call.isAbandoned()) return respond(abandoned())
    const refusal = refusalNow(node, call)
    if (refusal !== undefined) return respond(refusal)
    const grant = result.value
    node.get(key, (error, row) =>
      respond(error === undefined ? answerGet(row, condition, grant) : api.toApiError(errorOfScan(error))),
    )
  })
}

function answerGet(
  row: KeyRow | undefined,
  condition: Condition | undefined,
  grant: ReadGrant,
): ApiError | GetAnswer {
  if (row === undefined || condition === undefined) return { kind: 'get', result: row, head: grant }
  if (!conditionHolds({ ...condition, ifNoneMatch: undefined }, row))
    return preconditionFailed(row, grant.revision, { grant })
  return conditionHolds(condition, row)
    ? { kind: 'get', result: row, head: grant }
    : { kind: 'unchanged', row, head: grant }
}

function txn(api: Api, operation: OperationOf<'txn'>, call: Call, respond: Respond<AnswerTo<'txn'>>): void {
  const { kind, revision, freshness, idempotency } = operation
  const { node } = api
  const txn = withLeases(operation.txn, (lease) => withMinimumTtl(node, lease))
  checkTxn(node, txn)
  if (onlyReads(txn)) {
    const read = async (instant: Instant): Promise<void> => {
      const { grant } = instant
      checkRevision(node, revision, grant)
      const { settings } = node.status()
      const checkAt = (at: Revision): void => checkRevision(node, at, grant)
      const { result, reservation } = await evaluateTxn(txn, instant, api.ranges, revision, settings, checkAt)
      passRoom(call, reservation)
      const { succeeded, results } = result
      respond({ kind, result: { revision: grant.revision, succeeded, results }, head: grant })
    }
    api.ranges.readInstant(call, freshness, read, (error) => respond(api.toApiError(error)))
    return
  }
  checkNoRead(revision, freshness)
  checkPrev(wantsPrev(txn), idempotency)
  const { settings } = node.status()
  const change = idempotency === undefined ? keyChangeOf(txn, settings) : undefined
  if (change === undefined) proposeTxn(api, txn, idempotency, call, respond)
  else changeOneKey(api, txn, change, call, respond)
}

function proposeTxn(
  api: Api,
  txn: KvTxn,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond<AnswerTo<'txn'>>,
): void {
  const estimate = estimateAnswer(txn, api.node.status().settings, call.expansion)
  proposeEstimated(api, { kind: 'txn', txn }, idempotency, call, respond, estimate)
}

/** Proposes the change of a transaction with the comparison as its condition. */
function changeOneKey(
  api: Api,
  txn: KvTxn,
  change: BatchedCommand,
  call: Call,
  respond: Respond<AnswerTo<'txn'>>,
): void {
  const settle = (answer: ApiError | AppliedAnswer<BatchedCommand>): void => {
    if (!(answer instanceof ApiError)) respond(answerOfKeyChange(answer))
    else if (answer.code !== 'precondition_failed' || answer.revision === undefined) respond(answer)
    else answerFailure(api, txn, answer.revision, call, respond)
  }
  propose(api, change, undefined, call, guardedBy(api, respond)(settle))
}

/**
 * Answers a transaction whose comparison failed at this revision. This node has applied the entry, and reads the key
 * without a scan, of which it has few. It means the same here as in the log, unless the comparison holds by now: then
 * the transaction is proposed.
 */
function answerFailure(
  api: Api,
  txn: KvTxn,
  minRevision: Revision,
  call: Call,
  respond: Respond<AnswerTo<'txn'>>,
): void {
  const { node } = api
  const failing = keyGetOf(txn)
  if (failing === undefined) {
    respond(failureOf(minRevision, []))
    return
  }
  const { comparison, get } = failing
  const guarded = guardedBy(api, respond)
  const answer = (row: KeyRow | undefined, revision: Revision): void => {
    if (comparisonHolds(comparison, row, undefined)) {
      proposeTxn(api, txn, undefined, call, respond)
      return
    }
    const reservation = api.outbound.reserve()
    if (row !== undefined) reservation.grow(row.key.length + row.value.length)
    passRoom(call, reservation)
    respond(failureOf(revision, [resultOfKeyGet(get, row)]))
  }
  const read = (granted: Result<ReadGrant>): void => {
    if (!granted.ok) throw errorOfNode(granted.problem, true)
    const refusal = refusalNow(node, call)
    if (refusal !== undefined) throw refusal
    node.get(get.where.key, (error, row) => {
      if (error !== undefined) respond(api.toApiError(errorOfScan(error)))
      else guarded(() => answer(row, granted.value.revision))(undefined)
    })
  }
  const freshness: FreshnessOptions = { consistency: 'stale', minRevision }
  call.withdraw = node.read(readOptions(freshness, timeLeftMs(call)), guarded(read))
}

const failureOf = (revision: Revision, results: KvTxnResult['results']): AnswerTo<'txn'> => ({
  kind: 'txn',
  result: { revision, succeeded: false, results },
  head: { replayed: false },
})

/** Throws `ApiError` if a transaction with changes has an option of reads. */
function checkNoRead(revision: unknown, { consistency, maxStalenessMs, minRevision }: FreshnessOptions) {
  const options = { consistency, max_staleness: maxStalenessMs, min_revision: minRevision, revision }
  const names = Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  if (names.length > 0)
    throw new ApiError('bad_request', `${names.join(' and ')}: this transaction is no read`)
}

function watch(
  api: Api,
  { kind, request, maxStalenessMs }: OperationOf<'watch'>,
  call: Call,
  respond: Respond<WatchAnswer>,
): void {
  const { node } = api
  const begin = (result: Result<ReadGrant>) => {
    if (!result.ok) return respond(errorOfNode(result.problem, true))
    if (call.isAbandoned()) return respond(abandoned())
    const refusal = refusalNow(node, call)
    if (refusal !== undefined) return respond(refusal)
    try {
      if (call.openSink === undefined) throw new Error('a watch needs a sink')
      const sink = call.openSink()
      const right = rightToWatch(node, call)
      const closed = call.permit?.principal.token?.hold()
      respond({
        kind,
        watch: beginWatch(node, { ...request, right, closed }, sink),
        sink,
        head: result.value,
      })
    } catch (error) {
      respond(api.toApiError(error))
    }
  }
  const beginWithMajority = () => {
    call.withdraw = node.read({ consistency: 'linearizable', timeoutMs: timeLeftMs(call) }, begin)
  }
  // The events from a revision on are the same on each node. Who may read them is known only by a majority.
  if (request.from === undefined || maxStalenessMs === undefined || node.auth.enabled) {
    beginWithMajority()
    return
  }
  const fresh = { consistency: 'stale', maxStalenessMs, timeoutMs: timeLeftMs(call) } as const
  call.withdraw = node.read(fresh, (result) =>
    // A node that is cut off must refuse the watch.
    !result.ok && result.problem.code === 'too_stale' ? beginWithMajority() : begin(result),
  )
}

/** The right of a watch, which is decided anew only if its user or one of his roles has changed. */
function rightToWatch(node: KvNode, call: Call): NonNullable<PermittedWatch['right']> {
  const name = call.permit?.principal.user ?? ''
  const now = () => {
    const { enabled, state } = node.auth
    return { enabled, user: state.users.get(name), rights: state.findRights(name) }
  }
  let decided = now()
  return () => {
    const { enabled, user, rights } = now()
    const isSame = user !== undefined && user === decided.user && rights === decided.rights
    if (isSame && enabled && decided.enabled) return 'held'
    const refusal = refusalNow(node, call)
    if (refusal !== undefined && call.permit === undefined) return 'unknown'
    if (refusal !== undefined) return refusal.code === 'unauthenticated' ? 'no-user' : 'ended'
    decided = { enabled, user, rights }
    return 'held'
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Leases

function keepAlive(
  api: Api,
  { kind, ids, one }: OperationOf<'keep-alive'>,
  call: Call,
  respond: Respond<AnswerTo<'keep-alive'>>,
): void {
  api.node.keepAlive(ids, timeLeftMs(call), (result) => {
    if (!result.ok) return respond(errorOfNode(result.problem))
    const ttlsMs = result.value
    const [id] = ids
    if (one && id !== undefined && ttlsMs[0] === undefined) return respond(missingLease(api.node, id))
    respond({ kind, result: ttlsMs, head: { revision: api.node.revision } })
  })
}

/** The error for a lease that does not exist, as the state machine words it. */
const missingLease = (node: KvNode, id: LeaseId, grant?: ReadGrant): ApiError =>
  errorOfOutcome(rejection(node.revision, 'lease-not-found', leaseNumbers(id)), { grant })

function showLease(
  api: Api,
  { kind, id, keys, freshness }: OperationOf<'show-lease'>,
  call: Call,
  respond: Respond<AnswerOf<'show-lease'>>,
): void {
  const { node, ranges } = api
  const show = async (instant: Instant): Promise<void> => {
    const { grant } = instant
    const now = node.lease(id)
    if (now === undefined || now.isEnding) throw missingLease(node, id, grant)
    const [lease = { id, ...now }] = await asLeaderKnows(api, [{ id, ...now }], freshness, call)
    if (!keys) return respond({ kind, result: { lease, keys: undefined }, head: grant })
    const scan = instant.open(() => node.keysOfLease(id))
    const refusal = await refusalOfLeases(node, call)
    if (refusal !== undefined) throw refusal
    await ranges.stream(
      instant,
      scan,
      undefined,
      (stream) => respond({ kind: 'lease-keys', lease, keys: stream, head: grant }),
      (all) => respond({ kind, result: { lease, keys: all }, head: grant }),
    )
  }
  ranges.readInstant(call, freshness, show, (error) => respond(api.toApiError(error)))
}

/** The leases with the times that the leader knows. A stale read is answered without it. */
async function asLeaderKnows(
  { node }: Api,
  leases: readonly LeaseDescription[],
  { consistency }: FreshnessOptions,
  call: Call,
): Promise<readonly LeaseDescription[]> {
  if (consistency === 'stale') return leases
  const known: (number | undefined)[] = []
  for (let at = 0; at < leases.length; at += RENEW_LEASES_MAX) {
    const ids = leases.slice(at, at + RENEW_LEASES_MAX).map(({ id }) => id)
    // Without an answer of the leader there is still time for one from the rows.
    const timeoutMs = timeLeftMs(call) / 2
    known.push(
      ...(await new Promise<readonly (number | undefined)[]>((done) =>
        node.remainingTtls(ids, timeoutMs, done),
      )),
    )
  }
  return leases.map((lease, at) => ({ ...lease, remainingTtlMs: known[at] ?? lease.remainingTtlMs }))
}

/** A user lists the leases that he was granted. */
function mayList({ node: { auth } }: Api, { owner }: LeaseNow, { permit }: Call): boolean {
  if (!auth.enabled || permit === undefined) return true
  return owner?.madeAt === permit.madeAt || auth.state.rightsOfUser(permit.madeAt)?.isAdmin === true
}

/** Size of a lease in a list. */
const LEASE_BYTES = 100

function listLeases(
  api: Api,
  operation: OperationOf<'list-leases'>,
  call: Call,
  respond: Respond<AnswerTo<'list-leases'>>,
): void {
  const { kind, after, limit = api.limits.pageRowsDefault } = operation
  const { node, ranges } = api
  const list = async (instant: Instant): Promise<void> => {
    const scan = instant.open(() => node.listLeases(after))
    const leases: LeaseDescription[] = []
    const reservation = ranges.reserve()
    try {
      let isMore = false
      // Leases of others do not count. No page ends with one: `next` would name it.
      for await (const { rows, more } of ranges.slices(call, scan, Number.MAX_SAFE_INTEGER)) {
        const listed = rows.filter((lease) => !lease.isEnding && mayList(api, lease, call))
        const room = limit - leases.length
        reservation.grow(LEASE_BYTES * Math.min(room, listed.length))
        leases.push(...listed.slice(0, room))
        isMore = more === true || listed.length > room
        if (leases.length === limit) break
        checkTime(call)
      }
      await finish(scan)
      const shown = await asLeaderKnows(api, leases, operation.freshness, call)
      reservation.release()
      respond({ kind, result: { leases: shown, more: isMore }, head: instant.grant })
    } finally {
      reservation.release()
    }
  }
  ranges.readInstant(call, operation.freshness, list, (error) => respond(api.toApiError(error)))
}
