// KV.Txn

import { TxnRequest, TxnResponse } from '../../../etcd/messages/kv.ts'
import type { UnaryRpc } from '../rpc.ts'
import { checkTxn, decodeTxn, encodeResults } from '../txn.ts'

export const txn: UnaryRpc<TxnRequest, TxnResponse> = {
  kind: 'unary',
  path: '/etcdserverpb.KV/Txn',
  gateway: ['/v3/kv/txn'],
  request: TxnRequest,
  response: TxnResponse,
  async run(request, call) {
    checkTxn(request)
    const { result } = await call.execute({
      kind: 'txn',
      txn: decodeTxn(request),
      freshness: {},
      idempotency: undefined,
    })
    const { succeeded, revision, results } = result
    const branch = succeeded ? request.success : request.failure
    return { header: call.header(revision), succeeded, responses: encodeResults(branch, results, revision) }
  },
}
