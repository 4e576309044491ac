// Rights are decided here. What an operation demands is one of its facts (`src/operations/`). Where nothing is
// permitted, the answer is no.
//
// A change is decided when it arrives, under one auth revision. Its entry carries that revision. Under another, apply
// decides again by the rules of commands, and what it refuses is decided here once more. Apply decides on rights on
// leases too. A read is decided when it arrives, and again under the rights that the node has applied when the read is
// granted: those are at least as new as its read index. A watch is decided again whenever rights change.

import { decodeUtf8 } from '../../bytes/index.ts'
import {
  areTooManyKeys,
  distinct,
  isMet,
  isPermittedByKey,
  isPermittedByPrefix,
  isPermittedOnEmpty,
  isPermittedWithoutKeys,
  SYSTEM_PRINCIPAL,
} from '../../kv/index.ts'
import {
  type AccessDemand,
  ApiError,
  compareKeys,
  type KeyRange,
  type KvSettings,
  keyAfter,
  type LeaseDemand,
  NOTHING,
} from '../../operations/forms/index.ts'
import { type Operation, operationFacts } from '../../operations/index.ts'
import type { RaftMember } from '../../raft/types.ts'
import { asError } from '../../system/errors.ts'
import type { KvNode } from '../node/kv-node.ts'
import type { Call, Permit, Principal } from './call.ts'
import { errorOfNode } from './errors.ts'
import { timeLeftMs } from './read-options.ts'

/** All rights that a user needs for an operation. */
export const operationDemands = (operation: Operation, { user }: Principal): readonly AccessDemand[] =>
  operationFacts(operation).demands(operation, user)

// ---------------------------------------------------------------------------------------------------------------------

/** The part of a node by which rights are decided. */
export type RightsView = Pick<KvNode, 'auth' | 'keysOfLease' | 'lease' | 'read' | 'status'>

/** Keys of a lease that are read at once. */
const SLICE = { rowsMax: 256, bytesMax: 256 * 1024 }

/**
 * Decides on a call under the current rights. Calls `then` once, with what the call must be refused with, or without
 * anything; possibly before it returns.
 */
export function decide(
  node: RightsView,
  operation: Operation,
  call: Call,
  then: (refusal: ApiError | undefined) => void,
) {
  const { revision } = node.auth
  decideNow(node, operation, call, (refusal) => {
    // Nothing newer can help a caller without a name, or one whose rights are not checked.
    if (call.principal === undefined || !node.auth.enabled) return then(refusal)
    if (refusal === undefined && !namesUnknownLease(node, operation)) return then(refusal)
    const dependsOnLeases = call.permit?.demands.some((demand) => 'lease' in demand) === true
    whenNewest(node, newerWithinMs(call), (error) => {
      if (error !== undefined) return then(error)
      if (node.auth.revision === revision && !dependsOnLeases) return then(refusal)
      decideNow(node, operation, call, then)
    })
  })
}

/**
 * Whether a lease is to be kept alive that this node does not know: others may have granted it a moment ago. Apply does
 * not decide on it. The leader only notes it.
 */
const namesUnknownLease = (node: Pick<RightsView, 'lease'>, operation: Operation): boolean =>
  operation.kind === 'keep-alive' && operation.ids.some((id) => node.lease(id) === undefined)

/** How long a node that refuses a client waits for newer rights. */
export const NEWER_MS_MAX = 2_000

/** How long a node waits for newer rights before it refuses this call, whose answer must not be late. */
export const newerWithinMs = (call: Pick<Call, 'deadline'>): number =>
  Math.min(NEWER_MS_MAX, timeLeftMs(call))

/**
 * Calls `then` when this node has applied all changes that were acknowledged before. Until then it refuses nobody: a
 * right that was given a moment ago may not have reached it. `error`: the node cannot know them. All reads of one turn
 * of the event loop are one request to the leader.
 */
export function whenNewest(
  node: Pick<KvNode, 'read'>,
  timeoutMs: number,
  then: (error: ApiError | undefined) => void,
): void {
  node.read({ consistency: 'linearizable', timeoutMs }, (result) =>
    then(result.ok ? undefined : errorOfNode(result.problem, true)),
  )
}

function decideNow(
  node: RightsView,
  operation: Operation,
  call: Call,
  then: (refusal: ApiError | undefined) => void,
) {
  const { enabled, revision, state } = node.auth
  if (!enabled) {
    call.permit = undefined
    return then(unservedRefusal(call))
  }
  const { principal } = call
  if (principal === undefined && operationFacts(operation).open === undefined)
    return then(call.isUnidentified === true ? unidentified() : unauthenticated())
  const joins = principal instanceof JoiningNode && operationFacts(operation).isForJoining === true
  const demands = joins ? NOTHING : operationDemands(operation, principal ?? NOBODY)
  const madeAt = state.users.get(principal?.user ?? '')?.madeAt ?? 0
  // On a connection or a stream that stays open, each operation uses it.
  principal?.token?.use()
  call.permit = { principal: principal ?? NOBODY, madeAt, authRevision: revision, demands }
  const refusal = refusalNow(node, call)
  if (refusal !== undefined) return then(refusal)
  decideOnLeases(node, call.permit, then)
}

/** A node that joins, which shows a certificate of a node. It is of this class, whatever names certificates have. */
export class JoiningNode implements Principal {
  readonly user = SYSTEM_PRINCIPAL
  readonly epoch = undefined
  /** Whether the certificate has the name of this member, or the host of its peer address. */
  readonly isNamed: NodeNames

  constructor(isNamed: NodeNames) {
    this.isNamed = isNamed
  }
}

export type NodeNames = (member: Pick<RaftMember, 'name' | 'peer'>) => boolean

/**
 * Throws `ApiError` if a node that joins requests to be another member than it is. It may add itself, and replace the
 * member that it is. All else needs the right. `members`: those of the cluster now.
 */
export function checkJoin(
  { principal }: Pick<Call, 'principal'>,
  added: RaftMember,
  replaced: string | undefined,
  members: readonly RaftMember[],
): void {
  if (!(principal instanceof JoiningNode)) return
  const affected = members.filter(
    ({ id, name }) => id === added.id || name === added.name || name === replaced,
  )
  const other = [added, ...affected].find((member) => !principal.isNamed(member))
  if (other === undefined) return
  throw new ApiError(
    'permission_denied',
    `the certificate of the node has neither the name ${other.name} nor the host of ${other.peer}; a user with the permission admin may make this change`,
  )
}

const NOBODY: Principal = { user: '', epoch: undefined }

export const unauthenticated = (): ApiError =>
  new ApiError('unauthenticated', 'rights are checked: log in as a user, or show a certificate')

/**
 * The error for a user who does not exist. Who shows a certificate may learn that: a CA has signed the name. A password
 * is refused before, whether its user exists or not.
 */
export function noSuchUser(principal: Principal): ApiError {
  const { user, epoch } = principal
  if (principal instanceof JoiningNode)
    return new ApiError(
      'unauthenticated',
      'the certificate is one of a node, which may only join the cluster: log in as a user, or show the certificate of a user',
    )
  return new ApiError(
    'unauthenticated',
    epoch === undefined
      ? `the certificate names ${user}, and there is no such user: \`quorate user add ${user} --no-password\``
      : `there is no user ${JSON.stringify(user)}`,
  )
}

/** Rights were not checked when the call arrived, so nobody has asked who makes it. */
export const unidentified = (): ApiError =>
  new ApiError('not_ready', 'rights are checked since a moment ago: make the request again')

/** The error with which the call must be refused under the current rights, but for leases; undefined: it may run. */
export function refusalNow({ auth }: Pick<KvNode, 'auth'>, call: Call): ApiError | undefined {
  if (!auth.enabled) return unservedRefusal(call)
  const { permit } = call
  if (permit === undefined) return unidentified()
  const { principal, demands } = permit
  if (demands.length === 0) return undefined
  const rights = auth.state.findRights(principal.user)
  if (rights === undefined) return noSuchUser(principal)
  if (principal.epoch !== undefined && auth.state.users.get(principal.user)?.epoch !== principal.epoch)
    return new ApiError('unauthenticated', 'the password was changed: log in again')
  if (principal.token?.isOver === true)
    return new ApiError('unauthenticated', 'the token has expired: log in again')
  const refused = demands.find((demand) => !isMet(demand, rights))
  return refused && denied(principal, refused)
}

/** The error for a client that the node does not serve while rights are not checked. */
function unservedRefusal(call: Call): ApiError | undefined {
  // Otherwise rights were checked when the connection was opened, or when the request arrived, and are no longer.
  if (call.isUnidentified === true) return undefined
  try {
    call.checkServed?.()
    return undefined
  } catch (error) {
    if (error instanceof ApiError) return error
    throw error
  }
}

function denied({ user }: Principal, demand: AccessDemand): ApiError {
  const name = JSON.stringify(user)
  if ('range' in demand)
    return new ApiError('permission_denied', `user ${name} may not ${demand.to} ${rangeText(demand.range)}`)
  if ('lease' in demand) {
    const needed = NEEDED_ON_LEASE[demand.to]
    return new ApiError('permission_denied', `lease ${demand.lease}: user ${name} needs ${needed}`)
  }
  if (demand.to === 'change') return new ApiError('permission_denied', `user ${name} may not change anything`)
  return new ApiError('permission_denied', `user ${name} needs the role root, or the permission admin`)
}

const NEEDED_ON_LEASE = {
  attach: 'the right to write all of its keys, or to have been granted it if it has none',
  'keep-alive': 'to have been granted it, or the right to write all of its keys',
  revoke: 'the right to write all of its keys, or to have been granted it if it has none',
  'read-lease': 'the right to read all of its keys',
} as const satisfies Record<LeaseDemand['to'], string>

function rangeText({ start, end }: KeyRange): string {
  const text = (bytes: Uint8Array): string => JSON.stringify(decodeUtf8(bytes))
  if (end === undefined) return start.length === 0 ? 'all keys' : `all keys from ${text(start)} on`
  return compareKeys(keyAfter(start), end) === 0
    ? `the key ${text(start)}`
    : `all keys from ${text(start)} to ${text(end)}`
}

/** Decides again when the keys of a lease are read. Their scan begins before this returns. */
export function refusalOfLeases(node: RightsView, call: Call): Promise<ApiError | undefined> {
  if (!node.auth.enabled) return Promise.resolve(unservedRefusal(call))
  const { permit } = call
  if (permit === undefined) return Promise.resolve(unidentified())
  return new Promise((resolve) => decideOnLeases(node, permit, resolve))
}

function decideOnLeases(node: RightsView, permit: Permit, then: (refusal: ApiError | undefined) => void) {
  const demands = distinct(permit.demands.filter((demand) => 'lease' in demand))
  const next = (at: number) => {
    const demand = demands[at]
    if (demand === undefined) return then(undefined)
    decideOnLease(node, demand, permit, (error, isPermitted) => {
      if (error instanceof ApiError) then(error)
      else if (error !== undefined) then(new ApiError('not_ready', error.message))
      else if (isPermitted) next(at + 1)
      else then(denied(permit.principal, demand))
    })
  }
  next(0)
}

function decideOnLease(
  node: RightsView,
  demand: LeaseDemand,
  { madeAt }: Permit,
  done: (error: Error | undefined, isPermitted: boolean) => void,
) {
  const lease = node.lease(demand.lease)
  const rights = node.auth.state.rightsOfUser(madeAt)
  // The operation itself answers that there is no such lease.
  if (lease === undefined) return done(undefined, true)
  if (rights === undefined) return done(undefined, false)
  const isOwner = lease.owner?.madeAt === madeAt
  if (isPermittedWithoutKeys(demand, isOwner, rights)) return done(undefined, true)
  const { keyPrefix } = lease
  if (keyPrefix !== undefined && isPermittedByPrefix(demand, keyPrefix, rights)) return done(undefined, true)
  const { settings } = node.status()
  if (areTooManyKeys(lease.keyCount, lease.keyBytes, settings))
    return done(tooManyKeys(demand, settings), false)
  const scan = node.keysOfLease(demand.lease)
  let hasKeys = false
  const end = (error: Error | undefined, result: boolean): void => {
    scan.close()
    done(error, result)
  }
  const next = (): void =>
    scan.next(SLICE, (error, keys, more) => {
      if (error !== undefined) return end(asError(error), false)
      if (!keys.every((key) => isPermittedByKey(demand, key, rights))) return end(undefined, false)
      hasKeys ||= keys.length > 0
      if (more !== false) return next()
      const isMet = hasKeys || isPermittedOnEmpty(demand, isOwner)
      scan.finish((unread) => end(unread ?? undefined, unread === undefined && isMet))
    })
  next()
}

const tooManyKeys = ({ lease }: LeaseDemand, { rangeKeysMax, rangeBytesMax }: KvSettings): ApiError =>
  new ApiError(
    'range_too_large',
    `lease ${lease} has more than ${rangeKeysMax} keys (range_keys_max), or ${rangeBytesMax} bytes of keys ` +
      '(range_bytes_max): only who has a right to all keys with their common beginning may use it, or the role root',
  )
