// KV.Txn

import { RPC } from '../../../etcd/rpcs.ts'
import { serveUnary } from '../rpc.ts'
import { checkTxn, decodeTxn, encodeResults } from '../txn.ts'

export const txn = serveUnary(RPC.txn, async (request, call) => {
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
})
