// KV.Txn

import { RPC } from '../../../etcd/rpcs.ts'
import { throwKeyNotFound } from '../errors.ts'
import { serveUnary } from '../rpc.ts'
import { checkTxn, decodeTxn, encodeResults } from '../txn.ts'

export const txn = serveUnary(RPC.txn, async (request, call) => {
  checkTxn(request)
  const operation = { kind: 'txn' as const, txn: decodeTxn(request), freshness: {}, idempotency: undefined }
  const { result } = await call.execute(operation).catch(throwKeyNotFound)
  const { succeeded, revision, results } = result
  const branch = succeeded ? request.success : request.failure
  return { header: call.header(revision), succeeded, responses: encodeResults(branch, results, revision) }
})
