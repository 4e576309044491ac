// Lease.LeaseLeases

import { LeaseLeasesRequest, LeaseLeasesResponse, type LeaseStatus } from '../../../etcd/messages/lease.ts'
import type { LeaseId } from '../../../operations/forms/index.ts'
import { encodeLeaseId } from '../fields.ts'
import type { UnaryRpc } from '../rpc.ts'

/** Memory of a lease in the response. */
const LEASE_BYTES = 32

export const leaseLeases: UnaryRpc<object, LeaseLeasesResponse> = {
  kind: 'unary',
  path: '/etcdserverpb.Lease/LeaseLeases',
  gateway: ['/v3/lease/leases', '/v3/kv/lease/leases'],
  request: LeaseLeasesRequest,
  response: LeaseLeasesResponse,
  async run(_request, call) {
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
  },
}
