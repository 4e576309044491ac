// KV.Put

import { RPC } from '../../../etcd/rpcs.ts'
import { decodeLease, encodePrev } from '../fields.ts'
import { serveUnary } from '../rpc.ts'
import { checkPut } from '../txn.ts'

export const put = serveUnary(RPC.put, async (request, call) => {
  checkPut(request)
  const { key, value, lease, prevKv } = request
  const { result } = await call.execute({
    kind: 'put',
    key,
    value,
    condition: undefined,
    prev: prevKv,
    lease: decodeLease(lease),
    idempotency: undefined,
  })
  return { header: call.header(result.revision), prevKv: encodePrev(result.prev) }
})
