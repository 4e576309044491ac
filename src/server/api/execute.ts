// Executes the operations of clients on one node. Every operation of every wire passes through `execute`: here stand
// the checks that need a meaning, the prices in memory, and the errors.

import type { Command } from '../../kv/index.ts'
import { conditionHolds } from '../../kv/index.ts'
import { leaseNumbers, rejection } from '../../kv/rejections.ts'
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
} from '../../operations/forms/index.ts'
import {
  type BatchedCommand,
  bytesOfTxn,
  type Operation,
  type OperationOf,
  onlyReads,
  wantsPrev,
} from '../../operations/index.ts'
import { RENEW_LEASES_MAX } from '../../operations/keep-alive.ts'
import { assertNever } from '../../raft/index.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { LeaseNow } from '../node/leases/lease-rows.ts'
import type { PermittedWatch } from '../node/watch/index.ts'
import type { Api } from './api.ts'
import { changeAuth, logIn, showAuth, showUsersOrRoles } from './auth.ts'
import { backUp } from './backup.ts'
import type { Reservation } from './budget.ts'
import {
  changeLeaderLeases,
  changeMembers,
  type Guarded,
  respondSettings,
  transferLeadership,
} from './cluster.ts'
import { errorOfNode, errorOfOutcome, preconditionFailed } from './errors.ts'
import type { ApiResult, Call, Respond } from './operation.ts'
import { decide, isExpired, refusalNow, refusalOfLeases } from './permit.ts'
import { propose } from './propose.ts'
import { checkTime, errorOfScan, finish, type Instant } from './ranges.ts'
import { checkRevision, readOptions, timeLeftMs } from './read-options.ts'
import { type AnswerEstimate, checkTxn, estimateAnswer, evaluateTxn, withLeases } from './txn.ts'
import { beginWatch } from './watch.ts'

/** Executes one operation. Calls `respond` exactly once, possibly before it returns. */
export function execute(api: Api, operation: Operation, call: Call, answer: Respond): void {
  call.operation = operation
  const respond = api.audit === undefined ? answer : api.audit.watch(operation, call, answer)
  if (!api.node.auth.enabled) {
    run(api, operation, call, respond)
    return
  }
  decide(api.node, operation, call, (refusal) => {
    if (refusal === undefined) run(api, operation, call, respond)
    else respond(refusal)
  })
}

function run(api: Api, operation: Operation, call: Call, respond: Respond) {
  try {
    // Rights may have been checked when the connection was opened, or when the request arrived.
    if (!api.node.auth.enabled && call.isUnidentified !== true) call.checkServed?.()
    dispatch(api, operation, call, respond)
  } catch (error) {
    // Nothing was proposed.
    respond(api.errorOf(error))
  }
}

function dispatch(api: Api, operation: Operation, call: Call, respond: Respond) {
  const { node } = api
  switch (operation.kind) {
    case 'put': {
      const { lease } = operation
      const put = lease === undefined ? operation : { ...operation, lease: raised(node, lease) }
      return changeKey(api, put, operation.idempotency, call, respond)
    }
    case 'delete':
      return changeKey(api, operation, operation.idempotency, call, respond)
    case 'get':
      return get(api, operation, call, respond)
    case 'range':
      return api.ranges.execute(call, operation, respond, (error) => respond(api.errorOf(error)))
    case 'batch':
      return changeKeys(api, operation.commands, operation.idempotency, call, respond)
    case 'delete-range':
      return deleteRange(api, operation.range, operation.idempotency, call, respond)
    case 'txn':
      return txn(api, operation, call, respond)
    case 'compact':
    case 'revoke':
      return propose(api, operation, operation.idempotency, call, respond)
    case 'watch':
      return watch(api, operation, call, respond)
    case 'grant': {
      const ttlMs = Math.max(node.leaseTtlMsMin, operation.ttlMs)
      return propose(api, { ...operation, ttlMs }, operation.idempotency, call, respond)
    }
    case 'keep-alive':
      return keepAlive(api, operation, call, respond)
    case 'show-lease':
      return showLease(api, operation, call, respond)
    case 'list-leases':
      return listLeases(api, operation, call, respond)
    case 'open-session':
      return propose(api, operation, undefined, call, respond)
    case 'status':
    case 'cluster':
      return respond({ kind: operation.kind, status: node.status() })
    case 'settings':
      return respondSettings(node, respond)
    case 'backup':
      return backUp(api, operation.history, call, respond)
    case 'add-member':
    case 'remove-member':
    case 'replace-member':
      return changeMembers(node, operation, call, guardedBy(api, respond), respond)
    case 'transfer-leadership':
      return transferLeadership(node, operation.to, call, guardedBy(api, respond), respond)
    case 'change-settings':
      return changeSettings(api, operation, call, respond)
    case 'show-auth':
      return showAuth(api, respond)
    case 'log-in':
      return logIn(api, operation, call, respond)
    case 'show-users':
    case 'show-roles':
      return showUsersOrRoles(api, operation, call, respond)
    case 'change-auth':
      return changeAuth(api, operation, call, respond)
    default:
      return assertNever(operation)
  }
}

/** Wraps callbacks: what they throw becomes the answer. */
const guardedBy =
  (api: Api, respond: Respond): Guarded =>
  (run) =>
  (value) => {
    try {
      run(value)
    } catch (error) {
      respond(api.errorOf(error))
    }
  }

// ---------------------------------------------------------------------------------------------------------------------
// Changes

/** The same for an answer whose memory was reserved. */
function proposeReserved(
  api: Api,
  command: Command,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond,
  reservation: Reservation,
) {
  try {
    propose(api, command, idempotency, call, (result) => {
      passRoom(call, reservation)
      respond(result)
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
const raised = (node: KvNode, lease: PutLease): PutLease =>
  'ttlMs' in lease ? { ttlMs: Math.max(node.leaseTtlMsMin, lease.ttlMs) } : lease

/** Throws `ApiError`: a remembered outcome has no values. */
export function checkPrev(prev: boolean, idempotency: Idempotency | undefined): void {
  if (!prev || idempotency === undefined) return
  const name = 'token' in idempotency ? 'Idempotency-Key' : 'Kv-Session'
  throw new ApiError('bad_request', `prev cannot be combined with ${name}: values are not remembered`)
}

/** Size of a record beside its key and value, as JSON. */
const RECORD_BYTES = 48

function changeKey(
  api: Api,
  command: Extract<Command, { kind: 'put' | 'delete' }>,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond,
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
function proposeEstimated(
  api: Api,
  command: Command,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond,
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
      if (error !== undefined) return respond(api.errorOf(errorOfScan(error)))
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

function changeKeys(
  api: Api,
  changes: readonly BatchedCommand[],
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond,
) {
  const { node } = api
  let bytes = 0
  const commands = changes.map((command) => {
    // Only a failed condition is answered with the key.
    const keyBytes = command.condition === undefined ? 0 : call.expansion * command.key.length
    bytes += CHANGE_RESULT_BYTES_MAX + keyBytes
    if (command.kind !== 'put' || command.lease === undefined) return command
    return { ...command, lease: raised(node, command.lease) }
  })
  const reservation = api.outbound.reserve()
  reservation.grow(bytes)
  proposeReserved(api, { kind: 'batch', commands }, idempotency, call, respond, reservation)
}

/**
 * A range with too many keys is refused with their number, if the user may read it. They are counted after the refusal:
 * the first copy of a change with a token may have deleted them before it, and then a refusal by their number would be
 * wrong.
 */
function deleteRange(
  api: Api,
  range: KeyRange,
  idempotency: Idempotency | undefined,
  call: Call,
  respond: Respond,
) {
  propose(api, { kind: 'delete-range', range }, idempotency, call, (result) => {
    if (!(result instanceof ApiError) || result.code !== 'range_too_large' || !mayRead(api, range, call))
      return respond(result)
    const { revision, replayed, code, message } = result
    const count = async (instant: Instant): Promise<void> => {
      const options = { ...range, reverse: false, revision: undefined }
      const keys = await api.ranges.count(instant, instant.listKeys(options))
      const detail = `${message}: ${keys} keys when they were counted`
      respond(new ApiError(code, detail, { revision, replayed, members: { count: keys } }))
    }
    api.ranges.readInstant(call, { consistency: 'stale', minRevision: revision }, count, () =>
      respond(result),
    )
  })
}

const mayRead = ({ node: { auth } }: Api, range: KeyRange, { permit }: Call): boolean =>
  !auth.enabled || auth.state.rightsOfUser(permit?.madeAt ?? 0)?.mayRead(range) === true

function changeSettings(api: Api, operation: OperationOf<'change-settings'>, call: Call, respond: Respond) {
  const { settings, leases, idempotency } = operation
  const { node } = api
  if (leases !== undefined && idempotency !== undefined)
    throw new ApiError(
      'bad_request',
      'leases cannot be changed under an Idempotency-Key or Kv-Session: change them in a request of their own, without one',
    )
  const guarded = guardedBy(api, respond)
  if (Object.keys(settings).length === 0) {
    if (leases === undefined) respondSettings(node, respond)
    else changeLeaderLeases(node, leases, false, call, guarded, respond)
    return
  }
  // Two entries: first the limits, then the leases of the core.
  propose(api, { kind: 'settings', settings }, idempotency, call, (result) => {
    if (result instanceof ApiError || result.kind !== 'applied' || result.outcome.kind !== 'settings')
      return respond(result)
    if (leases !== undefined) return changeLeaderLeases(node, leases, true, call, guarded, respond)
    const { outcome, replayed } = result
    // A replay has the settings of that time.
    const { raft } = node.status()
    const { settings, revision } = outcome
    respond({ kind: 'settings', settings, leaderLeases: raft.leaderLeases, revision, replayed })
  })
}

// ---------------------------------------------------------------------------------------------------------------------
// Reads

function get(api: Api, operation: OperationOf<'get'>, call: Call, respond: Respond) {
  const { key, revision, condition, freshness } = operation
  const { node, ranges } = api
  if (revision !== undefined) {
    const read = async (instant: Instant): Promise<void> => {
      const { grant } = instant
      checkRevision(node, revision, grant)
      const range = { start: key, end: keyAfter(key), reverse: false, revision }
      const row = await ranges.first(instant, instant.list(range))
      respond(foundResult(row, condition, grant))
    }
    ranges.readInstant(call, freshness, read, (error) => respond(api.errorOf(error)))
    return
  }
  call.withdraw = node.read(readOptions(freshness, timeLeftMs(call)), (result) => {
    if (!result.ok) return respond(errorOfNode(result.problem, true))
    if (call.isAbandoned()) return respond(abandoned())
    const refusal = refusalNow(node, call)
    if (refusal !== undefined) return respond(refusal)
    const grant = result.value
    node.get(key, (error, row) =>
      respond(error === undefined ? foundResult(row, condition, grant) : api.errorOf(errorOfScan(error))),
    )
  })
}

function foundResult(row: KeyRow | undefined, condition: Condition | undefined, grant: ReadGrant): ApiResult {
  if (row === undefined || condition === undefined) return { kind: 'found', grant, row, isUnchanged: false }
  if (!conditionHolds({ ...condition, ifNoneMatch: undefined }, row))
    return preconditionFailed(row, grant.revision, { grant })
  return { kind: 'found', grant, row, isUnchanged: !conditionHolds(condition, row) }
}

/** The error of an operation whose client has disconnected. It is never sent. */
const abandoned = (): ApiError => new ApiError('cancelled', 'the client has gone')

function txn(api: Api, operation: OperationOf<'txn'>, call: Call, respond: Respond) {
  const { revision, freshness, idempotency } = operation
  const { node } = api
  const txn = withLeases(operation.txn, (lease) => raised(node, lease))
  checkTxn(node, txn)
  if (onlyReads(txn)) {
    // Its bytes wait with it until the read is granted.
    const release = api.inbound.hold(bytesOfTxn(txn))
    const fail = (error: unknown): void => {
      release()
      respond(api.errorOf(error))
    }
    const read = async (instant: Instant): Promise<void> => {
      release()
      const { grant } = instant
      checkRevision(node, revision, grant)
      const { settings } = node.status()
      const { result, reservation } = await evaluateTxn(txn, instant, api.ranges, revision, settings)
      passRoom(call, reservation)
      respond({ kind: 'txn-read', grant, txn, result })
    }
    try {
      api.ranges.readInstant(call, freshness, read, fail)
    } catch (error) {
      fail(error)
    }
    return
  }
  checkNoRead(revision, freshness)
  checkPrev(wantsPrev(txn), idempotency)
  const estimate = estimateAnswer(txn, node.status().settings, call.expansion)
  proposeEstimated(api, { kind: 'txn', txn }, idempotency, call, respond, estimate)
}

/** Throws `ApiError` if a transaction with changes has an option of reads. */
function checkNoRead(revision: unknown, { consistency, maxStalenessMs, minRevision }: FreshnessOptions) {
  const options = { consistency, max_staleness: maxStalenessMs, min_revision: minRevision, revision }
  const names = Object.entries(options).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  if (names.length > 0)
    throw new ApiError('bad_request', `${names.join(' and ')}: this transaction is no read`)
}

function watch(api: Api, { request }: OperationOf<'watch'>, call: Call, respond: Respond) {
  const { node } = api
  call.withdraw = node.read({ consistency: 'linearizable', timeoutMs: timeLeftMs(call) }, (result) => {
    if (!result.ok) return respond(errorOfNode(result.problem, true))
    if (call.isAbandoned()) return respond(abandoned())
    const refusal = refusalNow(node, call)
    if (refusal !== undefined) return respond(refusal)
    try {
      if (call.openSink === undefined) throw new Error('a watch needs a sink')
      const sink = call.openSink()
      const endsAt = call.permit?.principal.tokenEndsAt
      const rightMs = endsAt === undefined ? undefined : Math.max(0, endsAt - Date.now())
      const begun = beginWatch(node, { ...request, right: rightToWatch(node, call), rightMs }, sink)
      respond({ kind: 'watching', grant: result.value, watch: begun, sink })
    } catch (error) {
      respond(api.errorOf(error))
    }
  })
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
    if (isSame && enabled && decided.enabled && !isExpired(call.permit?.principal)) return 'held'
    const refusal = refusalNow(node, call)
    if (refusal !== undefined && call.permit === undefined) return 'unknown'
    if (refusal !== undefined) return refusal.code === 'unauthenticated' ? 'no-user' : 'ended'
    decided = { enabled, user, rights }
    return 'held'
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Leases

function keepAlive(api: Api, operation: OperationOf<'keep-alive'>, call: Call, respond: Respond) {
  const { ids, one } = operation
  api.node.keepAlive(ids, timeLeftMs(call), (result) => {
    if (!result.ok) return respond(errorOfNode(result.problem))
    const ttlsMs = result.value
    const [id] = ids
    if (one && id !== undefined && ttlsMs[0] === undefined) return respond(missingLease(api.node, id))
    respond({ kind: 'kept-alive', ids, ttlsMs, one })
  })
}

/** The same error as that of the state machine. */
const missingLease = (node: KvNode, id: LeaseId, grant?: ReadGrant): ApiError =>
  errorOfOutcome(rejection(node.revision, 'lease-not-found', leaseNumbers(id)), { grant })

function showLease(api: Api, operation: OperationOf<'show-lease'>, call: Call, respond: Respond) {
  const { id, keys } = operation
  const { node, ranges } = api
  const show = async (instant: Instant): Promise<void> => {
    const { grant } = instant
    const now = node.lease(id)
    if (now === undefined) throw missingLease(node, id, grant)
    const [lease = { id, ...now }] = await asLeaderKnows(api, [{ id, ...now }], operation.freshness, call)
    if (!keys) return respond({ kind: 'lease', grant, lease, keys: undefined })
    const scan = instant.open(() => node.keysOfLease(id))
    const refusal = await refusalOfLeases(node, call)
    if (refusal !== undefined) throw refusal
    await ranges.stream(instant, scan, undefined, true, (rows) =>
      respond({ kind: 'lease', grant, lease, keys: rows }),
    )
  }
  ranges.readInstant(call, operation.freshness, show, (error) => respond(api.errorOf(error)))
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

function listLeases(api: Api, operation: OperationOf<'list-leases'>, call: Call, respond: Respond) {
  const { after, limit = api.limits.pageRowsDefault } = operation
  const { node, ranges } = api
  const list = async (instant: Instant): Promise<void> => {
    const scan = instant.open(() => node.listLeases(after))
    const leases: LeaseDescription[] = []
    const reservation = ranges.reserve()
    try {
      let isMore = false
      // Leases of others do not count. No page ends with one: `next` would name it.
      for await (const { rows, more } of ranges.slices(call, scan, Number.MAX_SAFE_INTEGER)) {
        const listed = rows.filter((lease) => mayList(api, lease, call))
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
      respond({ kind: 'leases', grant: instant.grant, leases: shown, more: isMore })
    } finally {
      reservation.release()
    }
  }
  ranges.readInstant(call, operation.freshness, list, (error) => respond(api.errorOf(error)))
}
