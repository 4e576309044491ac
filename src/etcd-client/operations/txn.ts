import { RPC } from '../../etcd/rpcs.ts'
import { onlyReads } from '../../operations/forms/transactions.ts'
import type { TxnOutcome, TxnRequest } from '../../operations/txn.ts'
import { checkFreshness, isSerializable, readAt, revisionFrom } from '../fields.ts'
import { notInEtcd } from '../problems.ts'
import { endUnusedLeases, withLeases } from './leases.ts'
import type { EtcdOperation } from './operation.ts'
import { decodeTxnResult, encodeTxn } from './transactions.ts'

export const txn: EtcdOperation<TxnRequest, TxnOutcome> = (
  { txn: requested, revision = 0, freshness },
  calls,
) =>
  withLeases(calls, async (granted) => {
    const isRead = onlyReads(requested)
    const serializable = isRead && isSerializable(freshness)
    if (revision > 0 && requested.compare.length > 0) throw notInEtcd('a comparison at an earlier revision')
    const request = await encodeTxn(requested, { revision, serializable }, calls, granted)
    const run = isRead ? calls.read : calls.change
    const { header, succeeded, responses } = await readAt(revision, freshness, run(RPC.txn, request))
    if (isRead) checkFreshness(freshness, header)
    endUnusedLeases(granted, succeeded ? request.success : request.failure, calls)
    const at = revisionFrom(header)
    const result = { ...decodeTxnResult(requested, succeeded, responses, at), revision: at }
    return isRead ? { result, header, served: serializable ? 'stale' : 'linearizable' } : { result, header }
  })
