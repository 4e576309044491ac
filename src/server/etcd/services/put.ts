// KV.Put

import { RPC } from '../../../etcd/rpcs.ts'
import { throwKeyNotFound } from '../errors.ts'
import { decodeKept, decodeLease, encodePrev } from '../fields.ts'
import { serveUnary } from '../rpc.ts'
import { checkPut } from '../txn.ts'

export const put = serveUnary(RPC.put, async (request, call) => {
  checkPut(request)
  const { key, value, lease, prevKv } = request
  const operation = {
    kind: 'put' as const,
    key,
    value,
    condition: undefined,
    prev: prevKv,
    lease: decodeLease(lease),
    ...decodeKept(request),
    idempotency: undefined,
  }
  const { result } = await call.execute(operation).catch(throwKeyNotFound)
  return { header: call.header(result.revision), prevKv: encodePrev(result.prev) }
})
