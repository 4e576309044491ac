// The result of a transaction as a client decodes it. The wires have the same fields, in which a record has a form of
// its own.

import {
  decodeBoolean,
  decodeList,
  decodeObject,
  decodeRevisions,
  decodeWholeNumber,
  disagree,
  type Fields,
} from './decode.ts'
import type { KeyRow } from './store.ts'
import type { KvTxn, KvTxnOperation, KvTxnOperationResult, KvTxnResult } from './transactions.ts'

/** Decodes a record. Throws `DisagreementError`. */
type DecodeRecord = (fields: Fields, keysOnly?: boolean) => KeyRow

/** Throws `DisagreementError` if it is not the result of this transaction. */
export function decodeTxnResult(
  { success, failure }: KvTxn,
  fields: Fields,
  decodeRecord: DecodeRecord,
): KvTxnResult {
  const succeeded = decodeBoolean(fields.succeeded, 'succeeded')
  const operations = succeeded ? success : failure
  const results = decodeList(fields.results, 'results')
  if (results.length !== operations.length)
    disagree(`it has ${results.length} results of ${operations.length} operations`)
  return {
    succeeded,
    results: operations.map((operation, at) =>
      decodeOperationResult(operation, decodeObject(results[at], 'a result'), decodeRecord),
    ),
  }
}

function decodeOperationResult(
  operation: KvTxnOperation,
  result: Fields,
  decodeRecord: DecodeRecord,
): KvTxnOperationResult {
  switch (operation.kind) {
    case 'put': {
      const { prev, ...put } = decodeObject(result.put, 'the result of a put')
      const before = prev === undefined || prev === null ? prev : decodeRecord(decodeObject(prev, '"prev"'))
      return { kind: 'put', ...decodeRevisions(put), prev: before }
    }
    case 'get': {
      const { omitted, kvs, more, count } = decodeObject(result.get, 'the result of a get')
      if (omitted === true) return { kind: 'get', found: undefined }
      const found = {
        records: decodeRecordList(kvs, 'kvs', (each) => decodeRecord(each, operation.keysOnly)),
        more: decodeBoolean(more, 'more'),
        count: count === undefined ? undefined : decodeWholeNumber(count, 'count'),
      }
      return { kind: 'get', found }
    }
    case 'delete': {
      const { deleted, prev } = decodeObject(result.delete, 'the result of a delete')
      return {
        kind: 'delete',
        deleted: decodeWholeNumber(deleted, 'deleted'),
        prev: prev === undefined ? undefined : decodeRecordList(prev, 'prev', (each) => decodeRecord(each)),
      }
    }
    case 'txn': {
      const nested = decodeObject(result.txn, 'the result of a transaction')
      return { kind: 'txn', ...decodeTxnResult(operation.txn, nested, decodeRecord) }
    }
  }
}

const decodeRecordList = (
  value: unknown,
  name: string,
  decode: (fields: Fields) => KeyRow,
): readonly KeyRow[] => decodeList(value, name).map((each) => decode(decodeObject(each, 'a record')))
