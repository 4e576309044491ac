// KV.Range

import { RangeRequest, RangeResponse } from '../../../etcd/messages/kv.ts'
import { ETCD_ERRORS, GRPC, GrpcError } from '../../../etcd/status.ts'
import { asRevision } from '../../../operations/forms/index.ts'
import { encodeRow } from '../fields.ts'
import type { UnaryRpc } from '../rpc.ts'

export const range: UnaryRpc<RangeRequest, RangeResponse> = {
  kind: 'unary',
  path: '/etcdserverpb.KV/Range',
  gateway: '/v3/kv/range',
  request: RangeRequest,
  response: RangeResponse,
  async run({ key, rangeEnd, revision, serializable }, call) {
    if (key.length === 0) throw ETCD_ERRORS.emptyKey
    if (rangeEnd.length > 0) throw new GrpcError(GRPC.unimplemented, 'ranges')
    const answer = await call.execute({
      kind: 'get',
      key,
      revision: revision > 0 ? asRevision(revision) : undefined,
      freshness: { consistency: serializable ? 'stale' : 'linearizable' },
    })
    if (answer.kind === 'unchanged') throw new Error('a get without a condition is answered with its record')
    const { result } = answer
    const kvs = result === undefined ? [] : [encodeRow(result)]
    return { header: call.header(answer.head.revision), kvs, count: kvs.length }
  },
}
