// Transactions and their results as maps of the multiplexed connection, both ends. Names are those of `POST /v1/txn`,
// and bytes stand in place of strings.

import { decodeObject, type Fields } from '../forms/decode.ts'
import { durationText } from '../forms/durations.ts'
import type { Where } from '../forms/places.ts'
import { ApiError } from '../forms/problems.ts'
import type { KeyRevisions, KeyRow, Revision } from '../forms/store.ts'
import type {
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
} from '../forms/transactions.ts'
import {
  type ComparisonFields,
  decodeTxnDocument,
  encodeTxnFields,
  NO_LEASE_ID,
  OPERATORS,
  type OperationFields,
  type PutFields,
  TARGETS,
  type TxnFields,
  type WhereFields,
} from '../forms/txn-fields.ts'
import { decodeTxnResult } from '../forms/txn-results.ts'
import {
  decodeBytes,
  decodeChoice,
  decodeFlag,
  decodeMap,
  decodeOptionalNumber,
  decodeText,
  invalidField,
  isNil,
  type NamedFields,
  nestedBytes,
} from './fields.ts'
import { ITEM_BYTES } from './form.ts'
import { encodedWhereBytes } from './options.ts'
import { decodeRecord, RECORD_BYTES } from './records.ts'

// ---------------------------------------------------------------------------------------------------------------------
// From a client

export const encodeTxn = (txn: KvTxn): object => encodeTxnFields(txn, { encodeComparison, encodeWhere })

const encodeComparison = ({ where, target, op, to }: KvComparison): object => ({
  ...encodeWhere(where),
  target,
  op,
  to: to ?? NO_LEASE_ID,
})

/** A range that is not named by a prefix always has its start, also if that is empty. */
function encodeWhere(where: Where): Record<string, unknown> {
  if ('key' in where) return { key: where.key }
  if (where.isPrefix === true) return { prefix: where.start }
  return where.end === undefined ? { start: where.start } : { start: where.start, end: where.end }
}

/** Bytes of all strings and byte strings of a transaction; names do not count. */
export function txnCredit({ compare, success, failure }: KvTxn): number {
  let bytes = 0
  for (const each of compare)
    bytes += encodedWhereBytes(each.where) + each.target.length + each.op.length + comparedBytes(each)
  for (const each of success) bytes += operationCredit(each)
  for (const each of failure) bytes += operationCredit(each)
  return bytes
}

function comparedBytes(comparison: KvComparison): number {
  if (comparison.target === 'value') return comparison.to.length
  return comparison.target === 'lease' ? (comparison.to ?? NO_LEASE_ID).length : 0
}

function operationCredit(operation: KvTxnOperation): number {
  switch (operation.kind) {
    case 'put': {
      const { key, value, lease } = operation
      const bytes = key.length + value.length
      if (lease === undefined) return bytes
      return bytes + ('id' in lease ? lease.id : durationText(lease.ttlMs)).length
    }
    case 'get':
    case 'delete':
      return encodedWhereBytes(operation.where)
    case 'txn':
      return txnCredit(operation.txn)
  }
}

/** At most the bytes of a transaction in a message, beyond its credit. */
export function txnOverhead({ compare, success, failure }: KvTxn): number {
  // A name of the change and the freshness of a read stand beside it.
  let bytes = ITEM_BYTES * (2 + compare.length)
  for (const each of success) bytes += operationOverhead(each)
  for (const each of failure) bytes += operationOverhead(each)
  return bytes
}

const operationOverhead = (operation: KvTxnOperation): number =>
  ITEM_BYTES + (operation.kind === 'txn' ? txnOverhead(operation.txn) : 0)

// ---------------------------------------------------------------------------------------------------------------------
// At a node

/** Throws `ApiError`, which names the field. `bytesMax`: limit on its keys and values. */
export function decodeTxn(field: unknown, bytesMax: number): KvTxn {
  const bytes = nestedBytes(field)
  if (bytes > bytesMax)
    throw new ApiError('request_too_large', `transaction of ${bytes} bytes, at most ${bytesMax}`)
  return decodeTxnDocument(decodeTxnFields(field, 'txn'), decodeBytes)
}

const WHERE = ['key', 'prefix', 'start', 'end'] as const

function decodeTxnFields(field: unknown, name: string): TxnFields<Uint8Array> {
  const options = decodeMap(field, name, ['compare', 'success', 'failure'] as const)
  const list = <T>(of: 'compare' | 'success' | 'failure', decode: (each: unknown, name: string) => T) =>
    decodeList(options.get(of), `${name}.${of}`).map((each, at) => decode(each, `${name}.${of}[${at}]`))
  return {
    compare: list('compare', decodeComparison),
    success: list('success', decodeOperation),
    failure: list('failure', decodeOperation),
  }
}

function decodeList(field: unknown, name: string): readonly unknown[] {
  if (isNil(field)) return []
  if (Array.isArray(field)) return field
  throw invalidField(name, 'a list')
}

function decodeComparison(field: unknown, name: string): ComparisonFields<Uint8Array> {
  const options = decodeMap(field, name, [...WHERE, 'target', 'op', 'to', 'exists'] as const)
  const to = options.get('to')
  return pickDefined({
    ...decodeWhere(options, name),
    target: decodeChoice(options.get('target'), `${name}.target`, TARGETS),
    op: decodeChoice(options.get('op'), `${name}.op`, OPERATORS),
    to:
      typeof to === 'number' ? decodeOptionalNumber(to, `${name}.to`, 0, MAX) : decodeSome(to, `${name}.to`),
    exists: decodeFlag(options.get('exists'), `${name}.exists`),
  })
}

function decodeOperation(field: unknown, name: string): OperationFields<Uint8Array> {
  const options = decodeMap(field, name, ['put', 'get', 'delete', 'txn'] as const)
  const [entry, ...others] = options
  if (entry === undefined || others.length > 0)
    throw invalidField(name, 'a map with one of put, get, delete, txn')
  const [kind, fields] = entry
  const inside = `${name}.${kind}`
  switch (kind) {
    case 'put':
      return { put: decodePut(fields, inside) }
    case 'get': {
      const get = decodeMap(fields, inside, [...WHERE, 'limit', 'keys_only', 'count', 'count_only'] as const)
      return {
        get: pickDefined({
          ...decodeWhere(get, inside),
          limit: decodeOptionalNumber(get.get('limit'), `${inside}.limit`, 1, MAX),
          keys_only: decodeFlag(get.get('keys_only'), `${inside}.keys_only`),
          count: decodeFlag(get.get('count'), `${inside}.count`),
          count_only: decodeFlag(get.get('count_only'), `${inside}.count_only`),
        }),
      }
    }
    case 'delete': {
      const removed = decodeMap(fields, inside, [...WHERE, 'prev'] as const)
      const prev = decodeFlag(removed.get('prev'), `${inside}.prev`)
      return { delete: pickDefined({ ...decodeWhere(removed, inside), prev }) }
    }
    case 'txn':
      return { txn: decodeTxnFields(fields, inside) }
  }
}

function decodePut(fields: unknown, name: string): PutFields<Uint8Array> {
  const put = decodeMap(fields, name, ['key', 'value', 'lease', 'ttl', 'prev'] as const)
  const options = pickDefined({
    lease: decodeText(put.get('lease'), `${name}.lease`),
    ttl: decodeText(put.get('ttl'), `${name}.ttl`),
    prev: decodeFlag(put.get('prev'), `${name}.prev`),
  })
  const [key, value] = [put.get('key'), put.get('value')]
  return { key: decodeBytes(key, `${name}.key`), value: decodeBytes(value, `${name}.value`), ...options }
}

/** Which of these fields may stand together is checked with the transaction. */
function decodeWhere(options: NamedFields<(typeof WHERE)[number]>, name: string): WhereFields<Uint8Array> {
  const bytes = (field: (typeof WHERE)[number]) => decodeSome(options.get(field), `${name}.${field}`)
  return pickDefined({ key: bytes('key'), prefix: bytes('prefix'), start: bytes('start'), end: bytes('end') })
}

const decodeSome = (field: unknown, name: string): Uint8Array | string | undefined =>
  isNil(field) ? undefined : typeof field === 'string' ? field : decodeBytes(field, name)

const MAX = Number.MAX_SAFE_INTEGER

type DefinedFields<T> = { readonly [Name in keyof T]?: Exclude<T[Name], undefined> }

/** Drops the fields that are undefined. */
const pickDefined = <T extends object>(fields: T): DefinedFields<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as DefinedFields<T>

// ---------------------------------------------------------------------------------------------------------------------
// Results, from a node

export function encodeTxnResult(
  { success, failure }: KvTxn,
  { succeeded, results }: KvTxnResult,
  revision: Revision,
): object {
  const operations = succeeded ? success : failure
  return {
    succeeded,
    revision,
    results: results.map((result, at) => encodeOperationResult(operations[at], result, revision)),
  }
}

function encodeOperationResult(
  operation: KvTxnOperation | undefined,
  result: KvTxnOperationResult,
  revision: Revision,
): object {
  switch (result.kind) {
    case 'put': {
      const { prev } = result
      const revisions = encodeRevisions(result)
      return {
        put: prev === undefined ? revisions : { ...revisions, prev: prev && encodeTxnRecord(prev, false) },
      }
    }
    case 'get': {
      if (result.found === undefined) return { get: { omitted: true } }
      const { records, more, count } = result.found
      const keysOnly = operation?.kind === 'get' && operation.keysOnly
      const kvs = records.map((row) => encodeTxnRecord(row, keysOnly))
      return { get: count === undefined ? { kvs, more } : { kvs, more, count } }
    }
    case 'delete': {
      const { deleted, prev } = result
      return {
        delete:
          prev === undefined
            ? { deleted }
            : { deleted, prev: prev.map((row) => encodeTxnRecord(row, false)) },
      }
    }
    case 'txn':
      return { txn: encodeTxnResult(nestedTxn(operation), result, revision) }
  }
}

function nestedTxn(operation: KvTxnOperation | undefined): KvTxn {
  if (operation?.kind === 'txn') return operation.txn
  throw new Error('the results are those of another transaction')
}

const encodeRevisions = ({ createRevision, modRevision, version }: KeyRevisions) => ({
  create_revision: createRevision,
  mod_revision: modRevision,
  version,
})

function encodeTxnRecord(row: KeyRow, keysOnly: boolean): object {
  const { key, value, lease, by } = row
  const record: Record<string, unknown> = keysOnly ? { key } : { key, value }
  Object.assign(record, encodeRevisions(row))
  if (lease !== undefined) record.lease = lease
  if (by !== undefined && !keysOnly) record.by = by
  return record
}

/** Memory of a result of a transaction without records. */
const TXN_RESULT_BYTES = 60

/** Memory of the results of a transaction. */
export function txnResultBytes({ success, failure }: KvTxn, { succeeded, results }: KvTxnResult): number {
  const operations = succeeded ? success : failure
  return results.reduce((sum, result, at) => sum + operationResultBytes(operations[at], result), 0)
}

function operationResultBytes(operation: KvTxnOperation | undefined, result: KvTxnOperationResult): number {
  switch (result.kind) {
    case 'put':
      return TXN_RESULT_BYTES + (result.prev ? recordBytes(result.prev, false) : 0)
    case 'get': {
      const keysOnly = operation?.kind === 'get' && operation.keysOnly
      return TXN_RESULT_BYTES + sumOfRecords(result.found?.records, keysOnly)
    }
    case 'delete':
      return TXN_RESULT_BYTES + sumOfRecords(result.prev, false)
    case 'txn':
      return TXN_RESULT_BYTES + txnResultBytes(nestedTxn(operation), result)
  }
}

const sumOfRecords = (records: readonly KeyRow[] = [], keysOnly: boolean): number =>
  records.reduce((sum, row) => sum + recordBytes(row, keysOnly), 0)

const recordBytes = ({ key, value }: KeyRow, keysOnly: boolean): number =>
  RECORD_BYTES + key.length + (keysOnly ? 0 : value.length)

// ---------------------------------------------------------------------------------------------------------------------
// Results, at a client

/** Throws `DisagreementError` if it is not the result of this transaction. */
export const decodeTxnItem = (txn: KvTxn, field: unknown): KvTxnResult =>
  decodeTxnResult(txn, decodeObject(field, 'the result of a transaction'), decodeTxnRecord)

const decodeTxnRecord = ({
  key,
  value = null,
  create_revision,
  mod_revision,
  version,
  lease,
  by,
}: Fields): KeyRow => decodeRecord([key, value, create_revision, mod_revision, version, lease, by])
