// Transactions of a workload over etcd's API (KV.Txn).

import type { RequestOp, ResponseOp } from '../../../../src/etcd/messages/kv.ts'
import { RPC } from '../../../../src/etcd/rpcs.ts'
import type { StoreStep, StoreTransaction } from '../../../workload/transaction.ts'
import { endAll, endsFrom, isRead, type StepResult, wrongTransaction } from '../transactions.ts'
import { type RequestEnd, WrongAnswer } from '../wire.ts'
import {
  deletedOne,
  encodeKey,
  encodeValue,
  isAt,
  metaOfPut,
  requestOp,
  resultOfRead,
  revisionFrom,
} from './fields.ts'
import { changeFailed, type GrpcCalls, readFailed } from './grpc-nodes.ts'

/** One end for each of its operations. */
export async function performTransaction(
  calls: GrpcCalls,
  txn: StoreTransaction,
): Promise<readonly RequestEnd[]> {
  const { unchanged, steps, before } = txn
  const end = await calls.unary(RPC.txn, {
    compare: [...unchanged].map(([key, revision]) => isAt(key, revision)),
    success: steps.map((step) => encodeStep(step, before)),
    failure: unchanged.size === 0 ? [] : steps.filter(isRead).map((step) => encodeStep(step, before)),
  })
  if (end.kind !== 'answer') return endAll(txn, steps.every(isRead) ? readFailed(end) : changeFailed(end))
  const { header, succeeded, responses } = end.answer
  try {
    const revision = revisionFrom(header)
    const ends = endsFrom({ succeeded, revision, results: responses }, txn, (result, step) =>
      decodeStep(result, step, revision),
    )
    return ends ?? wrongTransaction(txn, `succeeded ${succeeded}, ${responses.length} results`)
  } catch (error) {
    if (!(error instanceof WrongAnswer)) throw error
    return wrongTransaction(txn, error.message)
  }
}

function encodeStep(step: StoreStep, before: ReadonlyMap<string, string>): RequestOp {
  const key = encodeKey(step.key)
  switch (step.f) {
    case 'get':
      return requestOp({ requestRange: { key } })
    case 'del':
      return requestOp({ requestDeleteRange: { key } })
    case 'put':
      return requestOp({ requestPut: { key, value: encodeValue(step.value), prevKv: true } })
    case 'append': {
      const value = Buffer.from((before.get(step.key) ?? '') + step.value)
      return requestOp({ requestPut: { key, value, prevKv: true } })
    }
  }
}

function decodeStep(
  { responseRange, responseDeleteRange, responsePut }: ResponseOp,
  step: StoreStep,
  revision: number,
): StepResult | undefined {
  switch (step.f) {
    case 'get':
      return responseRange && resultOfRead(step.key, responseRange.kvs)
    case 'del':
      return responseDeleteRange && { deleted: deletedOne(responseDeleteRange.deleted) }
    case 'put':
    case 'append':
      return responsePut && metaOfPut(step.key, responsePut, revision)
  }
}
