// Operations that are not about single keys, over etcd's API: ranges that are deleted, compaction, leases.

import { RPC } from '../../../../src/etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../../src/etcd/status.ts'
import type { RecordedResult } from '../../../workload/history.ts'
import { type OneRequest, type RequestEnd, WrongAnswer } from '../wire.ts'
import { encodeBounds, revisionFrom } from './fields.ts'
import { changeEnd, type GrpcCalls, isRefusedWith, readEnd } from './grpc-nodes.ts'

const ok = (result: RecordedResult): RequestEnd => ({ kind: 'ok', result })

const REFUSED = ok({ applied: false })

/** etcd has times in seconds. */
const SECOND_MS = 1_000

export async function performStore(calls: GrpcCalls, op: OneRequest): Promise<RequestEnd> {
  switch (op.f) {
    case 'del-range':
      return changeEnd(await calls.unary(RPC.deleteRange, encodeBounds(op)), ({ header, deleted }) =>
        ok({ removed: deleted, revision: revisionFrom(header) }),
      )
    case 'compact': {
      const end = await calls.unary(RPC.compact, { revision: op.revision })
      if (isRefusedWith(end, ETCD_ERRORS.compacted)) return REFUSED
      return changeEnd(end, ({ header }) => ok({ revision: revisionFrom(header) }))
    }
    case 'grant':
      return changeEnd(
        await calls.unary(RPC.leaseGrant, { ttl: Math.ceil(op.ttlMs / SECOND_MS) }),
        (granted) => ok({ lease: String(granted.id), ttlMs: granted.ttl * SECOND_MS }),
      )
    case 'keep-alive':
      return changeEnd(await calls.first(RPC.leaseKeepAlive, { id: BigInt(op.lease) }), ({ id, ttl }) => {
        if (String(id) !== op.lease) throw new WrongAnswer(`the lease ${id} was kept alive`)
        return ttl > 0 ? ok({ ttlMs: ttl * SECOND_MS }) : REFUSED
      })
    case 'revoke': {
      const end = await calls.unary(RPC.leaseRevoke, { id: BigInt(op.lease) })
      if (isRefusedWith(end, ETCD_ERRORS.leaseNotFound)) return REFUSED
      return changeEnd(end, ({ header }) => ok({ revision: revisionFrom(header) }))
    }
    case 'lease':
      return readEnd(await calls.unary(RPC.leaseTimeToLive, { id: BigInt(op.lease) }), ({ ttl }) =>
        ttl < 0 ? REFUSED : ok({ ttlMs: ttl * SECOND_MS }),
      )
  }
}
