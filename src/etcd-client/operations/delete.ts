import type { ResponseHeader } from '../../etcd/messages/header.ts'
import type { DeleteRangeResponse } from '../../etcd/messages/kv.ts'
import { RPC } from '../../etcd/rpcs.ts'
import type { DeleteOutcome, DeleteRequest } from '../../operations/delete.ts'
import type { DeleteRangeOutcome, DeleteRangeRequest } from '../../operations/delete-range.ts'
import { decodeRow, encodeWhere, revisionFrom } from '../fields.ts'
import type { EtcdOperation } from './operation.ts'
import { asRequestOp, encodeCondition, preconditionFailed } from './transactions.ts'

export const del: EtcdOperation<DeleteRequest, DeleteOutcome> = async ({ key, condition, prev }, calls) => {
  const requestDeleteRange = { key, prevKv: prev }
  const outcome = (
    { deleted, prevKvs: [found] }: DeleteRangeResponse,
    header: ResponseHeader | undefined,
  ): DeleteOutcome => ({
    kind: 'delete',
    deleted: deleted === 0 ? 0 : 1,
    revision: revisionFrom(header),
    prev: prev ? (found === undefined ? null : decodeRow(found)) : undefined,
  })
  if (condition === undefined) {
    const response = await calls.change(RPC.deleteRange, requestDeleteRange)
    return { result: outcome(response, response.header), header: response.header }
  }
  const { header, responses } = await calls.change(RPC.txn, {
    compare: encodeCondition(key, condition),
    success: [asRequestOp({ requestDeleteRange })],
    failure: [asRequestOp({ requestRange: { key, keysOnly: true } })],
  })
  const [response] = responses
  if (response?.responseDeleteRange === undefined) throw preconditionFailed(response?.responseRange)
  return { result: outcome(response.responseDeleteRange, header), header }
}

export const deleteRange: EtcdOperation<DeleteRangeRequest, DeleteRangeOutcome> = async (
  { range },
  calls,
) => {
  const { header, deleted } = await calls.change(RPC.deleteRange, encodeWhere(range))
  return { result: { kind: 'delete-range', revision: revisionFrom(header), deleted }, header }
}
