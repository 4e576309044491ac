// Lease.LeaseLeases

import { EncodedValues } from '../../../etcd/message.ts'
import { LeaseLeasesResponse } from '../../../etcd/messages/lease.ts'
import { RPC } from '../../../etcd/rpcs.ts'
import type { LeaseId } from '../../../operations/forms/index.ts'
import { encodeLeaseId } from '../fields.ts'
import { readInTurn } from '../read-turns.ts'
import { serveUnary } from '../rpc.ts'

/** There may be a million: they are encoded while they are read, which takes as long as it takes. */
export const leaseLeases = serveUnary(RPC.leaseLeases, async (_request, call) => {
  const parts: Uint8Array[] = []
  let count = 0
  let after: LeaseId | undefined
  for (;;) {
    const list = (deadline: number) =>
      call.execute(
        { kind: 'list-leases', after, limit: call.api.limits.pageRowsMax, freshness: {} },
        { deadline },
      )
    const { result, head } = await readInTurn(call, list)
    const part = LeaseLeasesResponse.encode({
      leases: result.leases.map(({ id }) => ({ id: encodeLeaseId(id) })),
    })
    call.hold(part.length)
    parts.push(part)
    count += result.leases.length
    after = result.leases.at(-1)?.id
    if (result.more && after !== undefined && !call.isOver) continue
    const leases = new EncodedValues(parts, count, (each) => LeaseLeasesResponse.decode(each).leases)
    return { header: call.header(head.revision), leases }
  }
})
