// KV.Txn

import { RPC } from '../../../etcd/rpcs.ts'
import { onlyReads } from '../../../operations/index.ts'
import { throwKeyNotFound } from '../errors.ts'
import { readInTurn } from '../read-turns.ts'
import { serveUnary } from '../rpc.ts'
import { checkTxn, decodeTxn, encodeResults } from '../txn.ts'

export const txn = serveUnary(RPC.txn, async (request, call) => {
  checkTxn(request)
  const operation = { kind: 'txn' as const, txn: decodeTxn(request), freshness: {}, idempotency: undefined }
  const commit = () => call.execute(operation)
  // A transaction without changes reads as a range does.
  const committed = onlyReads(operation.txn) ? readInTurn(call, commit) : commit()
  const { result } = await committed.catch(throwKeyNotFound)
  const { succeeded, revision, results } = result
  const branch = succeeded ? request.success : request.failure
  return { header: call.header(revision), succeeded, responses: encodeResults(branch, results, revision) }
})
