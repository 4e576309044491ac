// A transaction in the forms of the client library, and its answer in the JSON of `POST /v1/txn`.

import type {
  KvRecord,
  Place,
  Txn,
  TxnComparison,
  TxnOperation,
  TxnOperationResult,
  TxnResult,
} from '../../client/index.ts'
import { durationMs } from '../duration.ts'
import { bytesFromJson, bytesToJson } from '../format-json.ts'
import type {
  BytesJson,
  ComparisonJson,
  OperationJson,
  PlaceJson,
  RecordJson,
  ResultJson,
  TxnAnswerJson,
  TxnJson,
} from './json-types.ts'

export const toClientTxn = ({ compare, success, failure }: TxnJson): Txn => ({
  compare: compare.map(comparisonOf),
  success: success.map(operationOf),
  failure: failure.map(operationOf),
})

function comparisonOf(comparison: ComparisonJson): TxnComparison {
  if ('exists' in comparison) return { key: bytesFromJson(comparison.key), exists: comparison.exists }
  const { op } = comparison
  const place = placeOf(comparison)
  switch (comparison.target) {
    case 'value':
      return { ...place, op, target: comparison.target, to: bytesFromJson(comparison.to) }
    case 'lease':
      return { ...place, op, target: comparison.target, to: comparison.to }
    default:
      return { ...place, op, target: comparison.target, to: comparison.to }
  }
}

function operationOf(operation: OperationJson): TxnOperation {
  if ('put' in operation) {
    const { key, value, ttl, ...options } = operation.put
    const ttlMs = ttl === undefined ? {} : { ttlMs: durationMs(ttl) }
    return { put: { ...options, ...ttlMs, key: bytesFromJson(key), value: bytesFromJson(value) } }
  }
  if ('get' in operation) {
    const { limit, keys_only: keysOnly, count_only: countOnly } = operation.get
    return { get: { ...placeOf(operation.get), limit, keysOnly, countOnly } }
  }
  if ('delete' in operation) return { delete: { ...placeOf(operation.delete), prev: operation.delete.prev } }
  return { txn: toClientTxn(operation.txn) }
}

function placeOf(place: PlaceJson): Place {
  if ('key' in place) return { key: bytesFromJson(place.key) }
  if ('prefix' in place) return { prefix: bytesFromJson(place.prefix) }
  if (!('start' in place)) return { end: bytesFromJson(place.end) }
  const start = bytesFromJson(place.start)
  return place.end === undefined ? { start } : { start, end: bytesFromJson(place.end) }
}

/** The keys that it may put or delete, as far as they are text; undefined: it changes nothing. */
export function changedKeys({ success, failure }: TxnJson): readonly string[] | undefined {
  const found = [...success, ...failure].map((operation): readonly string[] | undefined => {
    if ('put' in operation) return textOf(operation.put.key)
    if ('delete' in operation) return 'key' in operation.delete ? textOf(operation.delete.key) : []
    return 'txn' in operation ? changedKeys(operation.txn) : undefined
  })
  const changed = found.filter((keys) => keys !== undefined)
  return changed.length === 0 ? undefined : changed.flat()
}

const textOf = (key: BytesJson): readonly string[] => (typeof key === 'string' ? [key] : [])

// ---------------------------------------------------------------------------------------------------------------------

/** `txn`: what was asked. */
export function resultJson(txn: TxnJson, { succeeded, revision, results }: TxnResult): TxnAnswerJson {
  const operations = succeeded ? txn.success : txn.failure
  return { succeeded, revision, results: results.map((result, at) => resultOf(operations[at], result)) }
}

function resultOf(operation: OperationJson | undefined, result: TxnOperationResult): ResultJson {
  if (result.put !== undefined) {
    const { createRevision, modRevision, version, prev } = result.put
    const put = { create_revision: createRevision, mod_revision: modRevision, version }
    return { put: prev === undefined ? put : { ...put, prev: prev && recordOf(prev) } }
  }
  if (result.get !== undefined) {
    if (result.get.omitted) return { get: { omitted: true } }
    const { kvs, more, count } = result.get
    const keysOnly = operation !== undefined && 'get' in operation && operation.get.keys_only === true
    return { get: { kvs: kvs.map((record) => recordOf(record, keysOnly)), more, count } }
  }
  if (result.delete !== undefined) {
    const { deleted, prev } = result.delete
    return {
      delete: prev === undefined ? { deleted } : { deleted, prev: prev.map((record) => recordOf(record)) },
    }
  }
  const inner = operation !== undefined && 'txn' in operation ? operation.txn : NO_TXN
  return { txn: resultJson(inner, result.txn) }
}

const NO_TXN: TxnJson = { compare: [], success: [], failure: [] }

const recordOf = (record: KvRecord, keysOnly = false): RecordJson => ({
  key: bytesToJson(record.keyBytes),
  ...(keysOnly ? {} : { value: bytesToJson(record.value) }),
  create_revision: record.createRevision,
  mod_revision: record.modRevision,
  version: record.version,
})
