// Lease.LeaseGrant

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../etcd/status.ts'
import { TTL_MS_MAX, TTL_MS_MIN } from '../../../operations/forms/index.ts'
import { decodeLeaseId, encodeLeaseId, encodeSeconds } from '../fields.ts'
import { serveUnary } from '../rpc.ts'

/** In etcd an id may be negative. */
const NEGATIVE_ID = new GrpcError(GRPC.invalidArgument, 'etcdserver: the id of a lease is not negative')

export const leaseGrant = serveUnary(RPC.leaseGrant, async ({ id, ttl }, call) => {
  if (id < 0n) throw NEGATIVE_ID
  const ttlMs = ttl * 1000
  if (ttlMs > TTL_MS_MAX) throw ETCD_ERRORS.leaseTtlTooLarge
  const { result } = await call.execute({
    kind: 'grant',
    id: id === 0n ? undefined : decodeLeaseId(id),
    // Below the least one, etcd raises it too.
    ttlMs: Math.max(TTL_MS_MIN, ttlMs),
    idempotency: undefined,
  })
  return {
    header: call.header(result.revision),
    id: encodeLeaseId(result.lease),
    ttl: encodeSeconds(result.ttlMs),
  }
})
