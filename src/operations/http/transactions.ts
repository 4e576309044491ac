// The form of transactions in HTTP: the schemas of body and answer, how both ends encode and decode the body, and how a
// node encodes a result.

import { rangeBounds, type Where } from '../forms/places.ts'
import type { KeyRow, Revision } from '../forms/store.ts'
import {
  type KvComparison,
  type KvTxn,
  type KvTxnOperation,
  type KvTxnOperationResult,
  type KvTxnResult,
  TXN_DEPTH_MAX,
} from '../forms/transactions.ts'
import {
  decodeTxnDocument,
  encodeTxnFields,
  NO_LEASE_ID,
  OPERATORS,
  TARGETS,
  type TxnFields,
} from '../forms/txn-fields.ts'
import { metaJson, prevJson, recordJson, revisionsJson } from './json.ts'
import { decodeJsonBytes, JsonBytes, type JsonBytesValue } from './json-bytes.ts'
import {
  anyOfSchema,
  arraySchema,
  boolean,
  closed,
  integer,
  nothing,
  object,
  type Schema,
  string,
} from './json-schema.ts'
import { Bytes, lease, PUT_LEASE_FIELDS, RecordSchema, revisions } from './schemas.ts'

const WHERE = {
  key: { ...JsonBytes, description: 'One key' },
  prefix: { ...JsonBytes, description: 'All keys that begin with it' },
  start: { ...JsonBytes, description: 'All keys from this one on' },
  end: { ...JsonBytes, description: 'All keys up to this one, exclusive' },
}
const PREV = { ...boolean, description: 'Answer with the record before' }

const ComparisonSchema = closed(
  object(
    {},
    {
      ...WHERE,
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
      ...WHERE,
      limit: { ...integer, minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description: 'Records at most' },
      keys_only: { ...boolean, description: 'Leave the values out' },
      count: { ...boolean, description: 'Count all records, whatever the limit' },
      count_only: { ...boolean, description: 'Count, and answer no records' },
    },
  ),
)
const DeleteSchema = closed(object({}, { ...WHERE, prev: PREV }))

/** `nested` is the schema of a transaction in a transaction. */
function transaction(nested: Schema) {
  const one = object({}, { put: PutSchema, get: GetSchema, delete: DeleteSchema, txn: nested })
  const operations = arraySchema({ ...closed(one), minProperties: 1, maxProperties: 1 })
  return closed(
    object(
      {},
      {
        compare: {
          ...arraySchema(ComparisonSchema),
          description: 'Whether all of these hold decides what is done',
        },
        success: { ...operations, description: 'Done, in order, if all comparisons hold' },
        failure: { ...operations, description: 'Done, in order, otherwise' },
      },
    ),
  )
}

/** Commas and brackets of a transaction. Ten times the allowed operations are still counted, and refused by number. */
export const TXN_BODY_PARTS = 16_000
/** A transaction within another one is three brackets deeper. */
export const TXN_BODY_BRACKETS = 4 * TXN_DEPTH_MAX

/** For the check of a body. With the options of fastify, Ajv finds `#` only in a schema that has an id. */
export const TxnBody = { $id: 'Transaction', ...transaction({ $ref: '#' }) }
/** The schema for OpenAPI. */
export const TxnSchema = transaction({ $ref: '#/components/schemas/Transaction' })

/** The transaction in a body that fits the schema. Throws `ApiError`. */
export const decodeTxnBody = (body: object): KvTxn =>
  // The schema cannot express unions of three types, nor schemas within themselves.
  decodeTxnDocument(body as TxnFields<Exclude<JsonBytesValue, string>>, decodeJsonBytes)

// ---------------------------------------------------------------------------------------------------------------------
// From a client

/** The body as a document. Its bytes become JSON with those of every other document. */
export const encodeTxnBody = (txn: KvTxn): object => encodeTxnFields(txn, { encodeComparison, encodeWhere })

/** Says `exists` in place of a comparison of the version with 0. */
function encodeComparison({ where, target, op, to }: KvComparison): object {
  const isExistence = target === 'version' && to === 0 && 'key' in where
  if (isExistence && (op === '=' || op === '!=')) return { key: where.key, exists: op === '!=' }
  return { ...encodeWhere(where), target, op, to: to ?? NO_LEASE_ID }
}

/** Only a range of all keys has an empty start: without any bound it would be no range. */
function encodeWhere(where: Where): Record<string, unknown> {
  if ('key' in where) return { key: where.key }
  const { prefix, start, end } = rangeBounds(where)
  if (prefix !== undefined) return { prefix }
  if (start === undefined && end === undefined) return { start: where.start }
  return { ...(start !== undefined && { start }), ...(end !== undefined && { end }) }
}

// ---------------------------------------------------------------------------------------------------------------------
// Results

const OMITTED = object({ omitted: { ...boolean, description: 'A repeat: what was read is not remembered' } })
const Found = object(
  {
    kvs: arraySchema(object({ key: Bytes, ...revisions }, { value: Bytes, ...lease })),
    more: { ...boolean, description: 'The limit has left out some' },
  },
  {
    count: { ...integer, description: 'Of all records, whatever the limit; if count or count_only is true' },
  },
)
const ResultSchema = anyOfSchema(
  object({ put: object(revisions, { prev: anyOfSchema(RecordSchema, nothing) }) }),
  object({ get: anyOfSchema(Found, OMITTED) }),
  object({ delete: object({ deleted: integer }, { prev: arraySchema(RecordSchema) }) }),
  object({ txn: { $ref: '#/components/schemas/TransactionResult' } }),
)
export const TxnResponse = object({
  succeeded: { ...boolean, description: 'All comparisons held' },
  revision: integer,
  results: { ...arraySchema(ResultSchema), description: 'One for each operation that was done, in order' },
})

/**
 * The parts of a result, each of about one record, so that large ones are encoded in several turns. `txn` is the
 * transaction as it was requested.
 */
export function* txnJsonParts(
  { success, failure }: KvTxn,
  result: KvTxnResult,
  revision: Revision,
): Iterable<string> {
  const { succeeded, results } = result
  const operations = succeeded ? success : failure
  yield `{"succeeded":${succeeded},"revision":${revision},"results":[`
  for (const [at, each] of results.entries()) {
    if (at > 0) yield ','
    yield* resultJson(operations[at], each, revision)
  }
  yield ']}'
}

function* resultJson(
  operation: KvTxnOperation | undefined,
  result: KvTxnOperationResult,
  revision: Revision,
): Iterable<string> {
  switch (result.kind) {
    case 'put':
      return yield `{"put":{${revisionsJson(result)}${prevJson(result.prev)}}}`
    case 'get': {
      const { found } = result
      if (found === undefined) return yield '{"get":{"omitted":true}}'
      const { records, more, count } = found
      yield '{"get":{"kvs":['
      yield* listJson(records, operation?.kind === 'get' && operation.keysOnly ? metaJson : recordJson)
      return yield `],"more":${more}${count === undefined ? '' : `,"count":${count}`}}}`
    }
    case 'delete': {
      yield `{"delete":{"deleted":${result.deleted}`
      if (result.prev === undefined) return yield '}}'
      yield ',"prev":['
      yield* listJson(result.prev, recordJson)
      return yield ']}}'
    }
    case 'txn':
      if (operation?.kind !== 'txn') throw new Error('the results are those of another transaction')
      yield '{"txn":'
      yield* txnJsonParts(operation.txn, result, revision)
      return yield '}'
  }
}

function* listJson(records: readonly KeyRow[], toJson: (record: KeyRow) => string): Iterable<string> {
  for (const [at, record] of records.entries()) yield `${at > 0 ? ',' : ''}${toJson(record)}`
}
