// Calls about leases. Most clients make few of them, so each loads its operation when it is made. Keep-alives do not:
// the lease ends if one is late.

import { DisagreementError } from '../operations/forms/decode.ts'
import { type LeaseId, parseLeaseId } from '../operations/forms/index.ts'
import type { KeepAliveResult } from '../operations/keep-alive.ts'
import type { revoke as Revoke } from '../operations/revoke.ts'
import type { RequestCall } from './administration.ts'
import { unexpected } from './decode.ts'
import { QuorateError } from './errors.ts'
import type {
  GrantedLease,
  KeptLease,
  LeaseInfo,
  LeaseOptions,
  NewLease,
  RevokedLease,
} from './lease-types.ts'
import { ANY_FRESHNESS } from './request.ts'
import { type NodeAnswer, resultFrom } from './transport/transport.ts'
import type { CallOptions } from './types.ts'
import { checkCall, checkGrant, checkKeepAliveMany, checkLeaseCall, LEASE } from './validate-arguments.ts'

/** A node takes so many ids in one request. */
export const KEEP_ALIVE_MAX = 1_000
const PAGE_LEASES = 1_000

/** Calls that leases need of the client. */
export interface LeaseCalls {
  readonly call: RequestCall
  /** Up to KEEP_ALIVE_MAX ids. */
  keepAlive(ids: readonly LeaseId[], options: CallOptions): Promise<NodeAnswer<KeepAliveResult>>
}

export async function grantLease(
  { call }: LeaseCalls,
  lease: NewLease,
  options: CallOptions,
): Promise<GrantedLease> {
  checkGrant(lease, options)
  const id = lease.id === undefined ? undefined : parseLeaseId(lease.id, 'id')
  const request = { kind: 'grant', id, ttlMs: lease.ttlMs, idempotency: undefined } as const
  const { grant } = await import('../operations/grant.ts')
  const granted = resultFrom(await call(grant, request, options))
  return { id: granted.lease, ttlMs: granted.ttlMs }
}

export async function keepAlive(
  calls: LeaseCalls,
  id: string,
  options: CallOptions,
): Promise<{ readonly ttlMs: number }> {
  checkLeaseCall('keepLeaseAlive', id, options)
  const [kept] = await keepAliveMany(calls, [id], options)
  if (kept?.ttlMs !== undefined) return { ttlMs: kept.ttlMs }
  throw new QuorateError(`there is no lease ${id}: it has ended, or was revoked`, {
    code: 'lease_not_found',
    written: 'no',
  })
}

export async function keepAliveMany(
  calls: Pick<LeaseCalls, 'keepAlive'>,
  ids: readonly string[],
  options: CallOptions,
): Promise<readonly KeptLease[]> {
  checkKeepAliveMany(ids, options)
  const requested = ids.map((id) => parseLeaseId(id, 'id'))
  const kept: KeptLease[] = []
  const startedAt = performance.now()
  while (kept.length < requested.length) {
    const some = requested.slice(kept.length, kept.length + KEEP_ALIVE_MAX)
    const { timeoutMs } = options
    const left = timeoutMs && { timeoutMs: Math.max(1, timeoutMs - (performance.now() - startedAt)) }
    const ttlsMs = resultFrom(await calls.keepAlive(some, { ...options, ...left }))
    kept.push(...some.map((id, at) => ({ id, ttlMs: ttlsMs[at] })))
  }
  return kept
}

/** undefined: there is no such lease. */
export async function show(
  { call }: LeaseCalls,
  id: string,
  options: LeaseOptions,
): Promise<(LeaseInfo & { readonly keys?: readonly Uint8Array[] }) | undefined> {
  checkLeaseCall('lease', id, options, LEASE)
  const request = {
    kind: 'show-lease',
    id: parseLeaseId(id, 'id'),
    keys: options.keys === true,
    freshness: ANY_FRESHNESS,
  } as const
  const { showLease } = await import('../operations/show-lease.ts')
  try {
    const { lease, keys } = resultFrom(await call(showLease, request, options))
    return keys === undefined ? lease : { ...lease, keys }
  } catch (error) {
    if (error instanceof QuorateError && error.code === 'lease_not_found') return undefined
    throw error
  }
}

/** All leases, in the order of their ids. Pages may be of different times. */
export async function* leases(
  { call }: LeaseCalls,
  options: CallOptions,
): AsyncGenerator<LeaseInfo, void, undefined> {
  checkCall('leases', options)
  const { listLeases } = await import('../operations/list-leases.ts')
  let after: LeaseId | undefined
  do {
    const request = { kind: 'list-leases', after, limit: PAGE_LEASES, freshness: ANY_FRESHNESS } as const
    const answer = await call(listLeases, request, options)
    const { leases: listed, more } = resultFrom(answer)
    const last = listed.at(-1)?.id
    // Each page ends later than the one before, so the list has an end, and has all leases then.
    if (more && (last === undefined || BigInt(last) <= BigInt(after ?? 0)))
      throw unexpected(new DisagreementError('the next leases do not come later'), answer.endpoint.url, 'no')
    yield* listed
    after = more ? last : undefined
  } while (after !== undefined)
}

export async function revokeLease(
  { call }: LeaseCalls,
  id: string,
  options: CallOptions,
): Promise<RevokedLease> {
  checkLeaseCall('revokeLease', id, options)
  const { revoke } = await import('../operations/revoke.ts')
  return revokeBy(revoke, call, id, options)
}

/** Revokes a lease by an operation that is loaded already: a session must be able to end its lease at any time. */
export async function revokeBy(
  operation: typeof Revoke,
  call: RequestCall,
  id: string,
  options: CallOptions,
): Promise<RevokedLease> {
  const request = { kind: 'revoke', id: parseLeaseId(id, 'id'), idempotency: undefined } as const
  const { deleted, revision } = resultFrom(await call(operation, request, options))
  return { deleted, revision }
}
