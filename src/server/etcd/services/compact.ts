// KV.Compact

import { RPC } from '../../../etcd/rpcs.ts'
import { asRevision } from '../../../operations/forms/index.ts'
import { decodeRevision, FIRST_REVISION } from '../fields.ts'
import { serveUnary } from '../rpc.ts'

export const compact = serveUnary(RPC.compact, async ({ revision }, call) => {
  const to = decodeRevision(revision) ?? asRevision(0)
  const { result } = await call.execute({
    kind: 'compact',
    revision: to,
    // A second compaction to one revision is an error of etcd, where a new store is compacted to none.
    onlyForward: to === FIRST_REVISION ? undefined : true,
    idempotency: undefined,
  })
  return { header: call.header(result.revision) }
})
