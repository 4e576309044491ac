// Transactions: the arguments of `txn` become a transaction of ../operations, and its result that of the library.

import {
  type KeyRange,
  type PutLease,
  parseLeaseId,
  parsePutLease,
  prefixRange,
  rangeAt,
  roundedMs,
  type Where,
} from '../operations/forms/index.ts'
import type {
  KvComparison,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
} from '../operations/forms/transactions.ts'
import type { TxnOutcome } from '../operations/txn.ts'
import { recordFrom } from './decode.ts'
import { ownBytes, ownKey, ownRange } from './request.ts'
import type { DeleteRange, TxnOperationResult, TxnOperator, TxnPutOptions, TxnResult } from './txn-types.ts'
import {
  bytesCheck,
  type Check,
  checkFields,
  checkOneLease,
  checkOptions,
  checkValue,
  choiceCheck,
  describeValue,
  flagCheck,
  leaseCheck,
  objectCheck,
  positiveCheck,
  ttlCheck,
  wholeNumberCheck,
} from './validators.ts'

// ---------------------------------------------------------------------------------------------------------------------
// Arguments

/** Far more than any node accepts. It ends the check of a transaction that contains itself. */
const DEPTH_MAX = 64

const LISTS = ['compare', 'success', 'failure'] as const
/** If it got lost, the operations would be done without a condition. */
const CONDITIONS: ReadonlySet<string> = new Set(['compare'])

/** Throws a TypeError that names what is wrong. */
export function readTxn(fields: unknown, where = 'txn', depth = 1): KvTxn {
  if (depth > DEPTH_MAX) throw new TypeError(`txn: transactions are nested more than ${DEPTH_MAX} deep`)
  checkOptions(where, fields, { compare: arrayCheck, success: arrayCheck, failure: arrayCheck }, CONDITIONS)
  const lists = fields as Readonly<Record<(typeof LISTS)[number], readonly unknown[] | undefined>>
  const operationName = (list: (typeof LISTS)[number], at: number) =>
    `${where}${depth === 1 ? ': ' : '.'}${list}[${at}]`
  const operations = (list: 'success' | 'failure') =>
    (lists[list] ?? []).map((each, at) => readOperation(each, operationName(list, at), depth))
  return {
    compare: (lists.compare ?? []).map((each, at) => readComparison(each, operationName('compare', at))),
    success: operations('success'),
    failure: operations('failure'),
  }
}

const arrayCheck: Check = (value) => (Array.isArray(value) ? undefined : 'a list')

const PLACE = { key: bytesCheck, prefix: bytesCheck, start: bytesCheck, end: bytesCheck }

const TARGETS = {
  value: 'value',
  version: 'version',
  create_revision: 'create_revision',
  createRevision: 'create_revision',
  mod_revision: 'mod_revision',
  modRevision: 'mod_revision',
  lease: 'lease',
} as const

const leaseOrNoneCheck: Check = (value) =>
  value === '0' || leaseCheck(value) === undefined ? undefined : `${leaseCheck(value)}; "0" is no lease`

const COMPARISON = { target: choiceCheck(...Object.keys(TARGETS)), op: choiceCheck('=', '!=', '<', '>') }

function readComparison(comparison: unknown, where: string): KvComparison {
  checkValue(where, 'a comparison', comparison, objectCheck)
  const fields = comparison as Fields
  if ('exists' in fields) {
    checkFields(where, fields, { key: bytesCheck, exists: flagCheck })
    const key = ownKey(fields.key as string)
    return { where: { key }, target: 'version', op: fields.exists === true ? '!=' : '=', to: 0 }
  }
  const known: Readonly<Record<string, Check>> = { ...PLACE, ...COMPARISON, to: anyCheck, exists: flagCheck }
  checkOptions(where, fields, known)
  const { target: name, op: operator, to } = fields
  checkFields(where, { target: name, op: operator }, COMPARISON)
  const target = TARGETS[name as keyof typeof TARGETS]
  const op = operator as TxnOperator
  switch (target) {
    case 'value': {
      checkValue(where, 'to', to, bytesCheck)
      const value = ownBytes(to as string)
      return { where: readPlace(fields, where), op, target, to: value }
    }
    case 'lease': {
      checkValue(where, 'to', to, leaseOrNoneCheck)
      const lease = to === '0' ? undefined : parseLeaseId(to as string, 'to')
      return { where: readPlace(fields, where), op, target, to: lease }
    }
    default:
      checkValue(where, 'to', to, wholeNumberCheck)
      return { where: readPlace(fields, where), op, target, to: to as number }
  }
}

const anyCheck: Check = () => undefined

function readOperation(operation: unknown, where: string, depth: number): KvTxnOperation {
  checkValue(where, 'an operation', operation, objectCheck)
  const [entry, ...others] = Object.entries(operation as object)
  if (entry === undefined || others.length > 0)
    throw new TypeError(
      `${where}: an operation has one of put, get, delete, txn, not ${describeValue(operation)}`,
    )
  const [kind, fields] = entry
  checkOptions(where, operation as object, {
    put: objectCheck,
    get: objectCheck,
    delete: objectCheck,
    txn: objectCheck,
  })
  checkValue(where, kind, fields, objectCheck)
  return READERS[kind as keyof typeof READERS](fields, `${where}.${kind}`, depth)
}

type Fields = Readonly<Record<string, unknown>>

const READERS = {
  put: (fields: Fields, where: string): KvTxnOperation => {
    checkOptions(where, fields, { ...PUT, ...PUT_OPTIONS, prev: flagCheck })
    const { key, value, prev } = fields
    checkFields(where, { key, value }, PUT)
    const lease = readPutLease(fields, where)
    return {
      kind: 'put',
      key: ownKey(key as string),
      value: ownBytes(value as string),
      prev: prev === true,
      lease,
    }
  },
  get: (fields: Fields, where: string): KvTxnOperation => {
    checkOptions(where, fields, {
      ...PLACE,
      limit: positiveCheck,
      keysOnly: flagCheck,
      count: flagCheck,
      countOnly: flagCheck,
    })
    const { limit, keysOnly, count, countOnly } = fields
    return {
      kind: 'get',
      where: readPlace(fields, where),
      limit: limit as number | undefined,
      keysOnly: keysOnly === true,
      count: count === true,
      countOnly: countOnly === true,
    }
  },
  delete: (fields: Fields, where: string): KvTxnOperation => {
    checkOptions(where, fields, { ...PLACE, prev: flagCheck })
    return { kind: 'delete', where: readPlace(fields, where), prev: fields.prev === true }
  },
  txn: (fields: Fields, where: string, depth: number): KvTxnOperation => ({
    kind: 'txn',
    txn: readTxn(fields, where, depth + 1),
  }),
}

const PUT = { key: bytesCheck, value: bytesCheck }
const PUT_OPTIONS = { lease: leaseCheck, ttlMs: ttlCheck }

/** The options of a put in a transaction. */
export function checkPutOptions(where: string, options: TxnPutOptions): void {
  checkOptions(where, options, PUT_OPTIONS)
  checkOneLease(where, options)
}

function readPutLease({ lease, ttlMs }: TxnPutOptions, where: string): PutLease | undefined {
  checkPutOptions(where, { lease, ttlMs })
  return parsePutLease(lease, ttlMs && roundedMs(ttlMs))
}

/** A field of a place that is there, but undefined, would make the place larger. */
function readPlace(fields: Fields, where: string): Where {
  for (const [name, check] of Object.entries(PLACE))
    if (name in fields) checkValue(where, name, fields[name], check)
  const { key, prefix, start, end } = fields as Readonly<Record<keyof typeof PLACE, string | undefined>>
  const forms = [key, prefix, start ?? end].filter((form) => form !== undefined)
  if (forms.length !== 1) throw new TypeError(`${where}: name either key, or prefix, or start and end`)
  return key === undefined ? ownRange({ prefix, start, end }) : { key: ownKey(key) }
}

/** Without a range nothing is deleted, and everything only if the caller says so. */
export function rangeToDelete(fields: DeleteRange): KeyRange {
  checkOptions('deleteRange', fields, { ...PLACE_OF_RANGE, all: flagCheck })
  const { all, ...place } = fields as Fields
  if (all === true) {
    if (Object.keys(place).length > 0)
      throw new TypeError('deleteRange: all cannot be combined with prefix, start or end')
    return prefixRange(new Uint8Array())
  }
  if (Object.keys(place).length === 0)
    throw new TypeError('deleteRange: name prefix, or start and end; { all: true } deletes all keys')
  const range = rangeAt(readPlace(place, 'deleteRange'))
  if (range.start.length === 0 && range.end === undefined)
    throw new TypeError('deleteRange: this range has all keys: say { all: true } if that is meant')
  return range
}

const PLACE_OF_RANGE = { prefix: bytesCheck, start: bytesCheck, end: bytesCheck }

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** The result of a transaction as the application receives it. */
export const txnResult = ({ revision, ...result }: TxnOutcome): TxnResult => resultAt(result, revision)

const resultAt = ({ succeeded, results }: KvTxnResult, revision: number): TxnResult => ({
  succeeded,
  revision,
  results: results.map((result) => operationResult(result, revision)),
})

/** The revision is that of the whole transaction, also in those that are nested. */
function operationResult(result: KvTxnOperationResult, revision: number): TxnOperationResult {
  switch (result.kind) {
    case 'put': {
      const { createRevision, modRevision, version, prev } = result
      const revisions = { createRevision, modRevision, version }
      return { put: prev === undefined ? revisions : { ...revisions, prev: prev && recordFrom(prev) } }
    }
    case 'get': {
      if (result.found === undefined) return { get: { omitted: true } }
      const { records, more, count } = result.found
      const kvs = records.map(recordFrom)
      return { get: count === undefined ? { kvs, more } : { kvs, more, count } }
    }
    case 'delete': {
      const { deleted, prev } = result
      return { delete: prev === undefined ? { deleted } : { deleted, prev: prev.map(recordFrom) } }
    }
    case 'txn':
      return { txn: resultAt(result, revision) }
  }
}
