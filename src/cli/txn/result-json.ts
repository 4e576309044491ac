// The result of a transaction in the JSON of `POST /v1/txn`.

import type {
  KvRecord,
  Txn,
  TxnGetResult,
  TxnOperation,
  TxnOperationResult,
  TxnResult,
} from '../../client/index.ts'
import { printedMetaJson, printedRecordJson } from '../format/json.ts'

/** `txn`: the transaction that was made. */
export const txnResultJson = (txn: Txn, result: TxnResult): object => ({
  succeeded: result.succeeded,
  revision: result.revision,
  results: resultsJson(txn, result),
})

function resultsJson(txn: Txn, { succeeded, results }: TxnResult): readonly object[] {
  const operations = (succeeded ? txn.success : txn.failure) ?? []
  return results.map((result, at) => operationJson(operations[at], result))
}

function operationJson(operation: TxnOperation | undefined, result: TxnOperationResult): object {
  if (result.put !== undefined) {
    const { prev, createRevision, modRevision, version } = result.put
    const put = { create_revision: createRevision, mod_revision: modRevision, version }
    return { put: prev === undefined ? put : { ...put, prev: prev && printedRecordJson(prev) } }
  }
  if (result.get !== undefined) {
    const isKeysOnly = operation !== undefined && 'get' in operation && operation.get.keysOnly === true
    return { get: getJson(result.get, isKeysOnly) }
  }
  if (result.delete !== undefined) {
    const { deleted, prev } = result.delete
    return { delete: prev === undefined ? { deleted } : { deleted, prev: prev.map(printedRecordJson) } }
  }
  const inner = operation !== undefined && 'txn' in operation ? operation.txn : {}
  return { txn: txnResultJson(inner, result.txn) }
}

function getJson(result: TxnGetResult, isKeysOnly: boolean): object {
  if (result.omitted) return { omitted: true }
  const { kvs, more, count } = result
  return { kvs: kvs.map(isKeysOnly ? withoutValue : printedRecordJson), more, count }
}

const withoutValue = (record: KvRecord): object => ({
  ...printedMetaJson(record),
  ...(record.lease === undefined ? {} : { lease: record.lease }),
})
