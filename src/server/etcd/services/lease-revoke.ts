// Lease.LeaseRevoke

import { LeaseRevokeRequest, LeaseRevokeResponse } from '../../../etcd/messages/lease.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { decodeLeaseId } from '../fields.ts'
import type { UnaryRpc } from '../rpc.ts'

export const leaseRevoke: UnaryRpc<LeaseRevokeRequest, LeaseRevokeResponse> = {
  kind: 'unary',
  path: '/etcdserverpb.Lease/LeaseRevoke',
  gateway: ['/v3/lease/revoke', '/v3/kv/lease/revoke'],
  request: LeaseRevokeRequest,
  response: LeaseRevokeResponse,
  async run({ id }, call) {
    if (id === 0n) throw ETCD_ERRORS.leaseNotFound
    const { result } = await call.execute({ kind: 'revoke', id: decodeLeaseId(id), idempotency: undefined })
    return { header: call.header(result.revision) }
  },
}
