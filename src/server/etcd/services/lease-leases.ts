// Lease.LeaseLeases

import type { LeaseStatus } from '../../../etcd/messages/lease.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import type { LeaseId } from '../../../operations/forms/index.ts'
import { encodeLeaseId } from '../fields.ts'
import { serveUnary } from '../rpc.ts'

/** Memory of a lease in the response. */
const LEASE_BYTES = 32

export const leaseLeases = serveUnary(RPC.leaseLeases, async (_request, call) => {
  const leases: LeaseStatus[] = []
  let after: LeaseId | undefined
  for (;;) {
    const { result, head } = await call.execute({
      kind: 'list-leases',
      after,
      limit: call.api.limits.pageRowsMax,
      freshness: {},
    })
    call.hold(LEASE_BYTES * result.leases.length)
    for (const { id } of result.leases) leases.push({ id: encodeLeaseId(id) })
    after = result.leases.at(-1)?.id
    if (!result.more || after === undefined) return { header: call.header(head.revision), leases }
  }
})
