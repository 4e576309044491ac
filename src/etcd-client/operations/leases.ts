// Leases. etcd counts their time in seconds, and may grant more than was requested.

import type { ResponseHeader } from '../../etcd/messages/header.ts'
import type { RequestOp } from '../../etcd/messages/kv.ts'
import { RPC } from '../../etcd/rpcs.ts'
import { disagree } from '../../operations/forms/decode.ts'
import { ApiError, type LeaseId } from '../../operations/forms/index.ts'
import type { LeaseDescription } from '../../operations/forms/leases.ts'
import type { GrantOutcome, GrantRequest } from '../../operations/grant.ts'
import type { KeepAliveRequest, KeepAliveResult } from '../../operations/keep-alive.ts'
import type { LeasesResult, ListLeasesRequest } from '../../operations/list-leases.ts'
import type { RevokeOutcome, RevokeRequest } from '../../operations/revoke.ts'
import type { ShowLeaseRequest, ShowLeaseResult } from '../../operations/show-lease.ts'
import { decodeLeaseId, encodeSeconds, revisionFrom } from '../fields.ts'
import { isNotMade } from '../problems.ts'
import type { EtcdCalls, EtcdOperation } from './operation.ts'

const PAGE_LEASES = 1_000

export const grant: EtcdOperation<GrantRequest, GrantOutcome> = async ({ id, ttlMs }, calls) => {
  const request = { ttl: encodeSeconds(ttlMs), id: BigInt(id ?? 0) }
  const { header, ...granted } = await calls.change(RPC.leaseGrant, request)
  const lease = decodeLeaseId(granted.id)
  return {
    result: { kind: 'granted', revision: revisionFrom(header), lease, ttlMs: granted.ttl * 1_000 },
    header,
  }
}

/** etcd does not say how many keys it has deleted. They are counted before. */
export const revoke: EtcdOperation<RevokeRequest, RevokeOutcome> = async ({ id }, calls) => {
  const { keys } = await calls.prepare(RPC.leaseTimeToLive, { id: BigInt(id), keys: true })
  const { header } = await calls.change(RPC.leaseRevoke, { id: BigInt(id) })
  return { result: { kind: 'revoked', revision: revisionFrom(header), deleted: keys.length }, header }
}

export const keepAlive: EtcdOperation<KeepAliveRequest, KeepAliveResult> = async ({ ids, one }, calls) => {
  const stream = calls.duplex(RPC.leaseKeepAlive)
  const missing = new Set(ids.map(BigInt))
  for (const id of missing) stream.send({ id })
  stream.halfClose()
  const ttlsMs = new Map<bigint, number | undefined>()
  let header: ResponseHeader | undefined
  for await (const { header: newest, id, ttl } of stream) {
    header = newest
    ttlsMs.set(id, ttl > 0 ? ttl * 1_000 : undefined)
    missing.delete(id)
    if (missing.size === 0) break
  }
  // A lease of which the stream has said nothing may live.
  if (missing.size > 0) return disagree('the stream of keep-alives has ended before its last response')
  const result = ids.map((id) => ttlsMs.get(BigInt(id)))
  if (one && result[0] === undefined) throw leaseNotFound()
  return { result, header }
}

export const showLease: EtcdOperation<ShowLeaseRequest, ShowLeaseResult> = async (
  { id, keys: wantsKeys },
  calls,
) => {
  const { header, lease, keys } = await readLease(id, wantsKeys, calls)
  if (lease === undefined) throw leaseNotFound()
  return { result: { lease, keys: wantsKeys ? keys : undefined }, header, served: 'linearizable' }
}

/** etcd lists ids alone, so it is asked for each lease of the page. */
export const listLeases: EtcdOperation<ListLeasesRequest, LeasesResult> = async (
  { after, limit = PAGE_LEASES },
  calls,
) => {
  const { header, leases } = await calls.read(RPC.leaseLeases, {})
  const ids = leases.map(({ id }) => id).filter((id) => id > BigInt(after ?? 0))
  const left = ids.toSorted((a, b) => (a < b ? -1 : 1))
  const found: LeaseDescription[] = []
  while (found.length < limit && left.length > 0) {
    const some = left.splice(0, limit - found.length)
    const read = await Promise.all(some.map((id) => readLease(decodeLeaseId(id), false, calls)))
    // Some may have ended meanwhile.
    found.push(...read.flatMap(({ lease }) => lease ?? []))
  }
  return { result: { leases: found, more: left.length > 0 }, header, served: 'linearizable' }
}

async function readLease(id: LeaseId, wantsKeys: boolean, calls: EtcdCalls) {
  const { header, ttl, grantedTtl, keys } = await calls.read(RPC.leaseTimeToLive, {
    id: BigInt(id),
    keys: wantsKeys,
  })
  const lease: LeaseDescription | undefined =
    ttl < 0 ? undefined : { id, grantedTtlMs: grantedTtl * 1_000, remainingTtlMs: ttl * 1_000 }
  return { header, lease, keys }
}

const leaseNotFound = () => new ApiError('lease_not_found', 'there is no lease with this id')

// ---------------------------------------------------------------------------------------------------------------------
// Leases of puts that were not made

const endLeases = (ids: readonly bigint[], calls: EtcdCalls): void => {
  for (const id of ids) calls.cleanUp(RPC.leaseRevoke, { id })
}

/** Runs an operation that grants leases for its puts. If its change was certainly not made, they end. */
export async function withLeases<R>(calls: EtcdCalls, run: (granted: bigint[]) => Promise<R>): Promise<R> {
  const granted: bigint[] = []
  try {
    return await run(granted)
  } catch (error) {
    if (isNotMade(error)) endLeases(granted, calls)
    throw error
  }
}

/** `done`: the branch of the transaction that was done. */
export function endUnusedLeases(
  granted: readonly bigint[],
  done: readonly RequestOp[],
  calls: EtcdCalls,
): void {
  if (granted.length === 0) return
  const used = new Set(findLeases(done))
  endLeases(
    granted.filter((id) => !used.has(id)),
    calls,
  )
}

/** The leases that the puts may use, with those of transactions within. */
const findLeases = (operations: readonly RequestOp[]): bigint[] =>
  operations.flatMap(({ requestPut, requestTxn }) => [
    ...(requestPut === undefined ? [] : [requestPut.lease]),
    ...findLeases([...(requestTxn?.success ?? []), ...(requestTxn?.failure ?? [])]),
  ])
