// KV.Put

import { PutRequest, PutResponse } from '../../../etcd/messages/kv.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { decodeLease, encodeRow } from '../fields.ts'
import type { UnaryRpc } from '../rpc.ts'

export const put: UnaryRpc<PutRequest, PutResponse> = {
  kind: 'unary',
  path: '/etcdserverpb.KV/Put',
  gateway: '/v3/kv/put',
  request: PutRequest,
  response: PutResponse,
  async run({ key, value, lease, prevKv }, call) {
    if (key.length === 0) throw ETCD_ERRORS.emptyKey
    const { result } = await call.execute({
      kind: 'put',
      key,
      value,
      condition: undefined,
      prev: prevKv,
      lease: decodeLease(lease),
      idempotency: undefined,
    })
    return { header: call.header(result.revision), prevKv: result.prev ? encodeRow(result.prev) : undefined }
  },
}
