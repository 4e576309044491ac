// Lease.LeaseRevoke

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { decodeLeaseId } from '../fields.ts'
import { serveUnary } from '../rpc.ts'

export const leaseRevoke = serveUnary(RPC.leaseRevoke, async ({ id }, call) => {
  if (id === 0n) throw ETCD_ERRORS.leaseNotFound
  const { result } = await call.execute({ kind: 'revoke', id: decodeLeaseId(id), idempotency: undefined })
  return { header: call.header(result.revision) }
})
