// KV.Compact

import { RPC } from '../../../etcd/rpcs.ts'
import { asRevision } from '../../../operations/forms/index.ts'
import { decodeRevision } from '../fields.ts'
import { serveUnary } from '../rpc.ts'

export const compact = serveUnary(RPC.compact, async ({ revision }, call) => {
  const { result } = await call.execute({
    kind: 'compact',
    revision: decodeRevision(revision) ?? asRevision(0),
    // To the same revision again is an error of etcd.
    onlyForward: true,
    idempotency: undefined,
  })
  return { header: call.header(result.revision) }
})
