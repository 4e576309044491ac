// KV.Compact

import { CompactionRequest, CompactionResponse } from '../../../etcd/messages/kv.ts'
import { asRevision } from '../../../operations/forms/index.ts'
import type { UnaryRpc } from '../rpc.ts'

export const compact: UnaryRpc<CompactionRequest, CompactionResponse> = {
  kind: 'unary',
  path: '/etcdserverpb.KV/Compact',
  gateway: ['/v3/kv/compaction'],
  request: CompactionRequest,
  response: CompactionResponse,
  async run({ revision }, call) {
    const { result } = await call.execute({
      kind: 'compact',
      revision: asRevision(Math.max(0, revision)),
      idempotency: undefined,
    })
    return { header: call.header(result.revision) }
  },
}
