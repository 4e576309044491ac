// Transactions in JSON: the schemas of body and answer, the body as a `Txn`, and its results.

import { prefixEnd } from '../../kv/index.ts'
import type {
  Comparison,
  KeyRow,
  LeaseId,
  Operation,
  OperationResult,
  Revision,
  Txn,
  TxnResult,
  Where,
} from '../../kv/types.ts'
import type { NodeApi } from '../node/types.ts'
import { metaJson, recordJson, revisionsJson } from './json.ts'
import { bytesOf, JsonBytes, type JsonBytesValue, valueBytesOf } from './json-bytes.ts'
import type { Schema } from './json-schema.ts'
import {
  anyOf,
  arrayOf,
  boolean,
  closed,
  type FromSchema,
  integer,
  nothing,
  object,
  string,
} from './json-schema.ts'
import { checkedBound, checkedKey } from './key.ts'
import { PUT_LEASE_FIELDS, putLeaseOf } from './lease-values.ts'
import { ApiError } from './problem.ts'
import { Bytes, lease, RecordSchema, revisions } from './schemas.ts'

// ---------------------------------------------------------------------------------------------------------------------
// Schemas of the body

const PLACE = {
  key: { ...JsonBytes, description: 'One key' },
  prefix: { ...JsonBytes, description: 'All keys that begin with it' },
  start: { ...JsonBytes, description: 'All keys from this one on' },
  end: { ...JsonBytes, description: 'All keys up to this one, exclusive' },
}
export const TARGETS = ['value', 'version', 'create_revision', 'mod_revision', 'lease'] as const
export const OPERATORS = ['=', '!=', '<', '>'] as const
const PREV = { ...boolean, description: 'Answer with the record before' }

const ComparisonSchema = closed(
  object(
    {},
    {
      ...PLACE,
      target: { ...string, enum: TARGETS },
      op: { ...string, enum: OPERATORS },
      to: {
        ...JsonBytes,
        type: ['string', 'integer', 'object'] as const,
        minimum: 0,
        maximum: Number.MAX_SAFE_INTEGER,
        description: 'Of a value: bytes. Of a lease: its id, "0" for none. Otherwise a number',
      },
      exists: { ...boolean, description: 'Whether the key exists; in place of target, op and to' },
    },
  ),
)
const PutSchema = closed(object({ key: JsonBytes, value: JsonBytes }, { ...PUT_LEASE_FIELDS, prev: PREV }))
const GetSchema = closed(
  object(
    {},
    {
      ...PLACE,
      limit: { ...integer, minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'Records at most' },
      keys_only: { ...boolean, description: 'Leave the values out' },
      count_only: { ...boolean, description: 'Count, and answer no records' },
    },
  ),
)
const DeleteSchema = closed(object({}, { ...PLACE, prev: PREV }))

/** `nested`: the schema of a transaction in a transaction. */
function transaction(nested: Schema) {
  const one = object({}, { put: PutSchema, get: GetSchema, delete: DeleteSchema, txn: nested })
  const operations = arrayOf({ ...closed(one), minProperties: 1, maxProperties: 1 })
  return closed(
    object(
      {},
      {
        compare: {
          ...arrayOf(ComparisonSchema),
          description: 'Whether all of these hold decides what is done',
        },
        success: { ...operations, description: 'Done, in order, if all comparisons hold' },
        failure: { ...operations, description: 'Done, in order, otherwise' },
      },
    ),
  )
}

/** For the check of a body. With the options of fastify, Ajv finds `#` only in a schema that has an id. */
export const TxnBody = { $id: 'Transaction', ...transaction({ $ref: '#' }) }
/** The same for OpenAPI. */
export const TxnSchema = transaction({ $ref: '#/components/schemas/Transaction' })

// What FromSchema cannot say: unions of three types, and schemas within themselves.
export type GivenPlace = { readonly [Name in keyof typeof PLACE]?: JsonBytesValue }
type GivenPut = Omit<FromSchema<typeof PutSchema>, 'key' | 'value'> & {
  readonly key: JsonBytesValue
  readonly value: JsonBytesValue
}
export type GivenComparison = GivenPlace &
  Omit<FromSchema<typeof ComparisonSchema>, 'to' | keyof typeof PLACE> & {
    readonly to?: JsonBytesValue | number
  }
export interface GivenOperation {
  readonly put?: GivenPut
  readonly get?: GivenPlace & Omit<FromSchema<typeof GetSchema>, keyof typeof PLACE>
  readonly delete?: GivenPlace & Omit<FromSchema<typeof DeleteSchema>, keyof typeof PLACE>
  readonly txn?: GivenTxn
}
/** A transaction as it was sent, over HTTP or a multiplexed connection (mux/txn.ts). */
export interface GivenTxn {
  readonly compare?: readonly GivenComparison[]
  readonly success?: readonly GivenOperation[]
  readonly failure?: readonly GivenOperation[]
}

// ---------------------------------------------------------------------------------------------------------------------
// The body as a transaction

/** Throws `Refused`, which names the place in the transaction. */
export const txnOf = (given: GivenTxn, node: TtlLimit): Txn => readTxn(given, '', node)

type TtlLimit = Pick<NodeApi, 'leaseTtlMsMin'>

/** `path`: of the transaction, with a dot behind it; empty for the body itself. */
function readTxn({ compare = [], success = [], failure = [] }: GivenTxn, path: string, node: TtlLimit): Txn {
  return {
    compare: compare.map((given, at) => comparisonOf(given, `${path}compare[${at}]`)),
    success: success.map((given, at) => operationOf(given, `${path}success[${at}]`, node)),
    failure: failure.map((given, at) => operationOf(given, `${path}failure[${at}]`, node)),
  }
}

function comparisonOf(given: GivenComparison, name: string): Comparison {
  const where = placeOf(given, name)
  if (given.exists !== undefined) return existence(given, given.exists, where, name)
  const target = needed(TARGETS, given.target, `${name}.target`)
  const op = needed(OPERATORS, given.op, `${name}.op`)
  const { to } = given
  if (to === undefined) throw lacking(`${name}.to`)
  switch (target) {
    case 'value':
      if (typeof to === 'number') throw wrong(`${name}.to`, 'must be string or object')
      return { where, op, target, to: bytesOf(to, `${name}.to`) }
    case 'lease':
      return { where, op, target, to: leaseOf(to, `${name}.to`) }
    default:
      if (typeof to !== 'number') throw wrong(`${name}.to`, 'must be integer')
      return { where, op, target, to }
  }
}

function existence(given: GivenComparison, exists: boolean, where: Where, name: string): Comparison {
  const { target, op, to } = given
  if (target !== undefined || op !== undefined || to !== undefined)
    throw wrong(`${name}.exists`, 'stands in place of target, op and to')
  if (!('key' in where)) throw wrong(`${name}.exists`, 'is for one key, not for a range')
  return { where, target: 'version', op: exists ? '!=' : '=', to: 0 }
}

/** `given` is one of the options, or missing. */
function needed<T extends string>(options: readonly T[], given: string | undefined, name: string): T {
  const found = options.find((option) => option === given)
  if (found === undefined) throw lacking(name)
  return found
}

const lacking = (name: string): ApiError => new ApiError('bad_request', `the body lacks the field "${name}"`)

/** undefined: no lease. */
function leaseOf(to: JsonBytesValue | number, name: string): LeaseId | undefined {
  if (typeof to !== 'string' || !/^(?:0|[1-9][0-9]{0,19})$/.test(to) || BigInt(to) >= 2n ** 64n)
    throw wrong(name, 'must be the id of a lease: 64 bits as a decimal number in a string')
  return to === '0' ? undefined : (to as LeaseId)
}

function operationOf(
  { put, get, delete: removed, txn }: GivenOperation,
  name: string,
  node: TtlLimit,
): Operation {
  if (put !== undefined) return putOf(put, `${name}.put`, node)
  if (get !== undefined) {
    const { limit, keys_only: keysOnly = false, count_only: countOnly = false } = get
    return { kind: 'get', where: placeOf(get, `${name}.get`), limit, keysOnly, countOnly }
  }
  if (removed !== undefined)
    return { kind: 'delete', where: placeOf(removed, `${name}.delete`), prev: removed.prev ?? false }
  if (txn !== undefined) return { kind: 'txn', txn: readTxn(txn, `${name}.txn.`, node) }
  throw new Error(`${name} is no operation, and the schema allows it`)
}

function putOf(given: GivenPut, name: string, node: TtlLimit): Operation {
  const lease = putLeaseOf(given, node, `${name}.`)
  const key = checkedKey(bytesOf(given.key, `${name}.key`), `${name}.key: `)
  return { kind: 'put', key, value: valueBytesOf(given.value, name), prev: given.prev ?? false, lease }
}

function placeOf({ key, prefix, start, end }: GivenPlace, name: string): Where {
  const isRange = start !== undefined || end !== undefined
  const forms = Number(key !== undefined) + Number(prefix !== undefined) + Number(isRange)
  if (forms !== 1) throw wrong(name, 'must have either key, or prefix, or start and end')
  if (key !== undefined) return { key: checkedKey(bytesOf(key, `${name}.key`), `${name}.key: `) }
  if (prefix !== undefined) {
    const first = boundOf(prefix, `${name}.prefix`)
    return { start: first, end: prefixEnd(first) }
  }
  return {
    start: start === undefined ? new Uint8Array() : boundOf(start, `${name}.start`),
    end: end === undefined ? undefined : boundOf(end, `${name}.end`),
  }
}

const boundOf = (given: JsonBytesValue, name: string): Uint8Array => checkedBound(bytesOf(given, name), name)

const wrong = (name: string, what: string): ApiError => new ApiError('bad_request', `${name} ${what}`)

// ---------------------------------------------------------------------------------------------------------------------
// Results

const OMITTED = object({ omitted: { ...boolean, description: 'A repeat: what was read is not remembered' } })
const Found = object({
  kvs: arrayOf(object({ key: Bytes, ...revisions }, { value: Bytes, ...lease })),
  more: { ...boolean, description: 'The limit has left out some' },
  count: { ...integer, description: 'Of all records, whatever the limit' },
})
const ResultSchema = anyOf(
  object({ put: object(revisions, { prev: anyOf(RecordSchema, nothing) }) }),
  object({ get: anyOf(Found, OMITTED) }),
  object({ delete: object({ deleted: integer }, { prev: arrayOf(RecordSchema) }) }),
  object({ txn: { $ref: '#/components/schemas/TransactionResult' } }),
)
export const TxnAnswer = object({
  succeeded: { ...boolean, description: 'All comparisons held' },
  revision: integer,
  results: { ...arrayOf(ResultSchema), description: 'One for each operation that was done, in order' },
})

/** `txn`: what was asked. */
export function txnJson({ success, failure }: Txn, result: TxnResult, revision: Revision): string {
  const { succeeded, results } = result
  const operations = succeeded ? success : failure
  const list = results.map((each, at) => resultJson(operations[at], each, revision))
  return `{"succeeded":${succeeded},"revision":${revision},"results":[${list.join(',')}]}`
}

function resultJson(operation: Operation | undefined, result: OperationResult, revision: Revision): string {
  switch (result.kind) {
    case 'put':
      return `{"put":{${revisionsJson(result)}${prevJson(result.prev)}}}`
    case 'get':
      return `{"get":${foundJson(result, operation?.kind === 'get' && operation.keysOnly)}}`
    case 'delete': {
      const prev = result.prev === undefined ? '' : `,"prev":[${result.prev.map(recordJson).join(',')}]`
      return `{"delete":{"deleted":${result.deleted}${prev}}}`
    }
    case 'txn':
      if (operation?.kind !== 'txn') throw new Error('the results are those of another transaction')
      return `{"txn":${txnJson(operation.txn, result, revision)}}`
  }
}

/** Of a put. undefined: not asked for; null: the key did not exist. */
function prevJson(prev: KeyRow | null | undefined): string {
  if (prev === undefined) return ''
  return `,"prev":${prev === null ? 'null' : recordJson(prev)}`
}

function foundJson({ found }: Extract<OperationResult, { kind: 'get' }>, keysOnly: boolean): string {
  if (found === undefined) return '{"omitted":true}'
  const { records, more, count } = found
  const kvs = keysOnly ? records.map(metaJson) : records.map(recordJson)
  return `{"kvs":[${kvs.join(',')}],"more":${more},"count":${count}}`
}
