// KV.Put

import { PutRequest, PutResponse } from '../../../etcd/messages/kv.ts'
import { decodeLease, encodePrev } from '../fields.ts'
import type { UnaryRpc } from '../rpc.ts'
import { checkPut } from '../txn.ts'

export const put: UnaryRpc<PutRequest, PutResponse> = {
  kind: 'unary',
  path: '/etcdserverpb.KV/Put',
  gateway: ['/v3/kv/put'],
  request: PutRequest,
  response: PutResponse,
  async run(request, call) {
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
  },
}
