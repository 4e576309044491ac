// Transactions: the arguments of `txn` in the form in which they are sent (`txn-wire.ts`), and what an answer means.

import { disagree } from '../operations/forms/disagreement.ts'
import { durationText } from '../operations/forms/index.ts'
import { checkKeyLength } from './address.ts'
import { arrayIn, type Json, objectOf, recordFromJson, wholeNumberIn } from './decode.ts'
import { ownBytes, ownKey } from './operation.ts'
import type {
  DeleteRange,
  TxnDeleteResult,
  TxnGetResult,
  TxnOperationResult,
  TxnPutOptions,
  TxnPutResult,
  TxnResult,
} from './txn-types.ts'
import type { WireComparison, WireRange, WireTxn, WireTxnOperation } from './txn-wire.ts'
import type { KvRecord } from './types.ts'
import {
  type Check,
  checkFields,
  checkOneLease,
  checkOptions,
  checkValue,
  described,
  isBytes,
  isFlag,
  isLease,
  isObject,
  isOneOf,
  isPositive,
  isTtl,
  isWholeNumber,
} from './validators.ts'

// ---------------------------------------------------------------------------------------------------------------------
// Arguments

/** Far more than any node accepts. It ends the check of a transaction that contains itself. */
const DEPTH_MAX = 64

const LISTS = ['compare', 'success', 'failure'] as const
/** If it got lost, the operations would be done without a condition. */
const CONDITIONS: ReadonlySet<string> = new Set(['compare'])

/** Throws a TypeError that names what is wrong. */
export function wireTxn(fields: unknown, where = 'txn', depth = 1): WireTxn {
  if (depth > DEPTH_MAX) throw new TypeError(`txn: transactions are nested more than ${DEPTH_MAX} deep`)
  checkOptions(where, fields, { compare: isList, success: isList, failure: isList }, CONDITIONS)
  const lists = fields as Readonly<Record<(typeof LISTS)[number], readonly unknown[] | undefined>>
  const nameOf = (list: (typeof LISTS)[number], at: number) =>
    `${where}${depth === 1 ? ': ' : '.'}${list}[${at}]`
  const operations = (list: 'success' | 'failure') =>
    (lists[list] ?? []).map((each, at) => sentOperation(each, nameOf(list, at), depth))
  return {
    compare: (lists.compare ?? []).map((each, at) => sentComparison(each, nameOf('compare', at))),
    success: operations('success'),
    failure: operations('failure'),
  }
}

const isList: Check = (value) => (Array.isArray(value) ? undefined : 'a list')

const PLACE = { key: isBytes, prefix: isBytes, start: isBytes, end: isBytes }

const TARGETS: Readonly<Record<string, string>> = {
  value: 'value',
  version: 'version',
  create_revision: 'create_revision',
  createRevision: 'create_revision',
  mod_revision: 'mod_revision',
  modRevision: 'mod_revision',
  lease: 'lease',
}

const isLeaseOrNone: Check = (value) =>
  value === '0' || isLease(value) === undefined ? undefined : `${isLease(value)}; "0" is no lease`

const COMPARISON = { target: isOneOf(...Object.keys(TARGETS)), op: isOneOf('=', '!=', '<', '>') }

function sentComparison(comparison: unknown, where: string): WireComparison {
  checkValue(where, 'a comparison', comparison, isObject)
  const fields = comparison as Readonly<Record<string, unknown>>
  if ('exists' in fields) {
    checkFields(where, fields, { key: isBytes, exists: isFlag })
    return { key: ownKey(fields.key as string), exists: fields.exists === true }
  }
  const known: Readonly<Record<string, Check>> = { ...PLACE, ...COMPARISON, to: anything, exists: isFlag }
  checkOptions(where, fields, known)
  const { target, op, to } = fields
  checkFields(where, { target, op }, COMPARISON)
  const name = TARGETS[target as string] ?? ''
  checkValue(where, 'to', to, name === 'value' ? isBytes : name === 'lease' ? isLeaseOrNone : isWholeNumber)
  const sent = name === 'value' ? ownBytes(to as string) : (to as string | number)
  return { ...sentPlace(fields, where), target: name, op: op as string, to: sent }
}

const anything: Check = () => undefined

function sentOperation(operation: unknown, where: string, depth: number): WireTxnOperation {
  checkValue(where, 'an operation', operation, isObject)
  const [entry, ...others] = Object.entries(operation as object)
  if (entry === undefined || others.length > 0)
    throw new TypeError(
      `${where}: an operation has one of put, get, delete, txn, not ${described(operation)}`,
    )
  const [kind, fields] = entry
  checkOptions(where, operation as object, { put: isObject, get: isObject, delete: isObject, txn: isObject })
  checkValue(where, kind, fields, isObject)
  return OPERATIONS[kind as keyof typeof OPERATIONS](fields, `${where}.${kind}`, depth)
}

type Fields = Readonly<Record<string, unknown>>

const OPERATIONS = {
  put: (fields: Fields, where: string): WireTxnOperation => {
    checkOptions(where, fields, { ...PUT, ...PUT_OPTIONS, prev: isFlag })
    const { key, value, prev } = fields
    checkFields(where, { key, value }, PUT)
    const options = sentPutOptions(fields, where)
    return {
      put: { key: ownKey(key as string), value: ownBytes(value as string), ...options, ...flag({ prev }) },
    }
  },
  get: (fields: Fields, where: string): WireTxnOperation => {
    checkOptions(where, fields, {
      ...PLACE,
      limit: isPositive,
      keysOnly: isFlag,
      count: isFlag,
      countOnly: isFlag,
    })
    const { limit, keysOnly, count, countOnly } = fields
    const flags = flag({ keys_only: keysOnly, count, count_only: countOnly })
    const limited = limit === undefined ? {} : { limit: limit as number }
    return { get: { ...sentPlace(fields, where), ...limited, ...flags } }
  },
  delete: (fields: Fields, where: string): WireTxnOperation => {
    checkOptions(where, fields, { ...PLACE, prev: isFlag })
    return { delete: { ...sentPlace(fields, where), ...flag({ prev: fields.prev }) } }
  },
  txn: (fields: Fields, where: string, depth: number): WireTxnOperation => ({
    txn: wireTxn(fields, where, depth + 1),
  }),
}

const PUT = { key: isBytes, value: isBytes }
const PUT_OPTIONS = { lease: isLease, ttlMs: isTtl }

/** The options of a put in a transaction. */
export function checkPutOptions(where: string, options: TxnPutOptions): void {
  checkOptions(where, options, PUT_OPTIONS)
  checkOneLease(where, options)
}

function sentPutOptions({ lease, ttlMs }: TxnPutOptions, where: string): { lease?: string; ttl?: string } {
  checkPutOptions(where, { lease, ttlMs })
  if (ttlMs !== undefined) return { ttl: durationText(ttlMs) }
  return lease === undefined ? {} : { lease }
}

/** A flag that is not set is not sent. */
const flag = (flags: Readonly<Record<string, unknown>>): Readonly<Record<string, true>> =>
  Object.fromEntries(Object.entries(flags).flatMap(([name, value]) => (value === true ? [[name, true]] : [])))

/** A field of a place that is there, but undefined, would make the place larger. */
function sentPlace(fields: Fields, where: string): WireRange {
  for (const [name, check] of Object.entries(PLACE))
    if (name in fields) checkValue(where, name, fields[name], check)
  const { key, prefix, start, end } = fields as Readonly<Record<keyof typeof PLACE, string | undefined>>
  const forms = [key, prefix, start ?? end].filter((form) => form !== undefined)
  if (forms.length !== 1) throw new TypeError(`${where}: name either key, or prefix, or start and end`)
  if (key !== undefined) return { key: ownKey(key) }
  if (prefix !== undefined) return { prefix: ownBound(prefix) }
  return {
    ...(start === undefined ? {} : { start: ownBound(start) }),
    ...(end === undefined ? {} : { end: ownBound(end) }),
  }
}

function ownBound(bound: string | Uint8Array): Buffer {
  const bytes = ownBytes(bound)
  checkKeyLength(bytes)
  return bytes
}

/** Without a range nothing is deleted, and everything only if the caller says so. */
export function wireRange(fields: DeleteRange): WireRange & { readonly all?: true } {
  checkOptions('deleteRange', fields, { ...PLACE_OF_RANGE, all: isFlag })
  const { all, ...place } = fields as Fields
  if (all === true) {
    if (Object.keys(place).length > 0)
      throw new TypeError('deleteRange: all cannot be combined with prefix, start or end')
    return { prefix: Buffer.alloc(0), all: true }
  }
  if (Object.keys(place).length === 0)
    throw new TypeError('deleteRange: name prefix, or start and end; { all: true } deletes all keys')
  const range = sentPlace(place, 'deleteRange')
  const isAll = range.prefix?.length === 0 || (range.end === undefined && range.start?.length === 0)
  if (isAll) throw new TypeError('deleteRange: this range has all keys: say { all: true } if that is meant')
  return range
}

const PLACE_OF_RANGE = { prefix: isBytes, start: isBytes, end: isBytes }

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** Throws if it is not the answer to this transaction. */
export function txnResult({ success, failure }: WireTxn, json: Json): TxnResult {
  const { succeeded } = json
  if (typeof succeeded !== 'boolean') return disagree('"succeeded" is neither true nor false')
  const operations = succeeded ? success : failure
  const results = arrayIn(json, 'results')
  if (results.length !== operations.length)
    disagree(`it has ${results.length} results of ${operations.length} operations`)
  return {
    succeeded,
    revision: wholeNumberIn(json, 'revision'),
    results: operations.map((operation, at) => operationResult(operation, objectOf(results[at], 'a result'))),
  }
}

function operationResult(operation: WireTxnOperation, json: Json): TxnOperationResult {
  if ('put' in operation) return { put: putResult(objectOf(json.put, 'the result of a put')) }
  if ('get' in operation)
    return { get: getResult(objectOf(json.get, 'the result of a get'), operation.get.keys_only) }
  if ('delete' in operation) return { delete: deleteResult(objectOf(json.delete, 'the result of a delete')) }
  return { txn: txnResult(operation.txn, objectOf(json.txn, 'the result of a transaction')) }
}

function putResult(json: Json): TxnPutResult {
  const { prev } = json
  const revisions = {
    createRevision: wholeNumberIn(json, 'create_revision'),
    modRevision: wholeNumberIn(json, 'mod_revision'),
    version: wholeNumberIn(json, 'version'),
  }
  if (prev === undefined) return revisions
  return { ...revisions, prev: prev === null ? null : recordFromJson(objectOf(prev, '"prev"')) }
}

function getResult(json: Json, keysOnly = false): TxnGetResult {
  if (json.omitted === true) return { omitted: true }
  const { more } = json
  if (typeof more !== 'boolean') return disagree('"more" is neither true nor false')
  const kvs = recordsIn(json, 'kvs', keysOnly)
  return json.count === undefined ? { kvs, more } : { kvs, more, count: wholeNumberIn(json, 'count') }
}

function deleteResult(json: Json): TxnDeleteResult {
  const deleted = wholeNumberIn(json, 'deleted')
  return json.prev === undefined ? { deleted } : { deleted, prev: recordsIn(json, 'prev') }
}

const recordsIn = (json: Json, name: string, keysOnly = false): readonly KvRecord[] =>
  arrayIn(json, name).map((record) => recordFromJson(objectOf(record, 'a record'), keysOnly))
