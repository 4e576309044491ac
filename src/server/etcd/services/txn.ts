// KV.Txn

import { RPC } from '../../../etcd/rpcs.ts'
import { ETCD_ERRORS } from '../../../etcd/status.ts'
import { bytesOfTxn, onlyReads } from '../../../operations/index.ts'
import { throwKeyNotFound } from '../errors.ts'
import { readInTurn } from '../read-turns.ts'
import { serveUnary } from '../rpc.ts'
import { checkTxn, decodeTxn, encodeResults } from '../txn.ts'

export const txn = serveUnary(RPC.txn, async (request, call) => {
  checkTxn(request)
  const operation = { kind: 'txn' as const, txn: decodeTxn(request), freshness: {}, idempotency: undefined }
  const commit = (deadline = call.deadline) => call.execute(operation, { deadline })
  const isRead = onlyReads(operation.txn)
  // A message may be larger than what etcd writes at a time.
  if (!isRead && bytesOfTxn(operation.txn) > call.api.limits.requestBytesMax)
    throw ETCD_ERRORS.requestTooLarge
  // A transaction without changes reads as a range does.
  const { result } = await (isRead ? readInTurn(call, commit) : commit()).catch(throwKeyNotFound)
  const { succeeded, revision, results } = result
  const branch = succeeded ? request.success : request.failure
  return { header: call.header(revision), succeeded, responses: encodeResults(branch, results, revision) }
})
