// Transactions on a multiplexed connection. Their fields and answers have the names of `POST /v1/txn`, with bytes in
// place of strings. What they mean comes from the same code.

import type {
  KeyRow,
  OperationResult,
  Revision,
  Txn,
  Operation as TxnOperation,
  TxnResult,
} from '../../kv/types.ts'
import { ApiError } from '../http/problem.ts'
import type { Freshness } from '../http/read-options.ts'
import { NO_READ } from '../http/txn.ts'
import {
  type GivenComparison,
  type GivenOperation,
  type GivenPlace,
  type GivenTxn,
  OPERATORS,
  TARGETS,
} from '../http/txn-json.ts'
import {
  bytesIn,
  invalid,
  isNil,
  readBytes,
  readFlag,
  readMap,
  readOneOf,
  readText,
  readWhole,
} from './fields.ts'
import { RECORD_BYTES } from './operation.ts'

/** Memory of a result without records. */
const RESULT_BYTES = 60

// ---------------------------------------------------------------------------------------------------------------------
// What a client asks for

/** All strings and byte strings count for credit; names do not. */
export function txnBytes(field: unknown): number {
  if (Array.isArray(field)) return field.reduce<number>((sum, each) => sum + txnBytes(each), 0)
  if (!(field instanceof Map)) return bytesIn(field)
  let bytes = 0
  for (const value of field.values()) bytes += txnBytes(value)
  return bytes
}

const PLACE = ['key', 'prefix', 'start', 'end'] as const

/** Throws `Refused`, which names the place in the transaction. */
export function readTxn(field: unknown, name = 'txn'): GivenTxn {
  const given = readMap(field, name, ['compare', 'success', 'failure'] as const)
  const list = <T>(of: 'compare' | 'success' | 'failure', read: (each: unknown, name: string) => T) =>
    readList(given.get(of), `${name}.${of}`).map((each, at) => read(each, `${name}.${of}[${at}]`))
  return {
    compare: list('compare', readComparison),
    success: list('success', readOperation),
    failure: list('failure', readOperation),
  }
}

function readList(field: unknown, name: string): readonly unknown[] {
  if (isNil(field)) return []
  if (Array.isArray(field)) return field
  throw invalid(name, 'a list')
}

function readComparison(field: unknown, name: string): GivenComparison {
  const given = readMap(field, name, [...PLACE, 'target', 'op', 'to', 'exists'] as const)
  const to = given.get('to')
  return defined({
    ...placeIn(given, name),
    target: readOneOf(given.get('target'), `${name}.target`, TARGETS),
    op: readOneOf(given.get('op'), `${name}.op`, OPERATORS),
    to: typeof to === 'number' ? readWhole(to, `${name}.to`, 0, MAX) : maybeBytes(to, `${name}.to`),
    exists: readFlag(given.get('exists'), `${name}.exists`),
  })
}

function readOperation(field: unknown, name: string): GivenOperation {
  const given = readMap(field, name, ['put', 'get', 'delete', 'txn'] as const)
  const [entry, ...others] = given
  if (entry === undefined || others.length > 0) throw invalid(name, 'a map with one of put, get, delete, txn')
  const [kind, fields] = entry
  const inside = `${name}.${kind}`
  switch (kind) {
    case 'put':
      return { put: readPut(fields, inside) }
    case 'get': {
      const get = readMap(fields, inside, [...PLACE, 'limit', 'keys_only', 'count_only'] as const)
      return {
        get: defined({
          ...placeIn(get, inside),
          limit: readWhole(get.get('limit'), `${inside}.limit`, 1, MAX),
          keys_only: readFlag(get.get('keys_only'), `${inside}.keys_only`),
          count_only: readFlag(get.get('count_only'), `${inside}.count_only`),
        }),
      }
    }
    case 'delete': {
      const removed = readMap(fields, inside, [...PLACE, 'prev'] as const)
      const prev = readFlag(removed.get('prev'), `${inside}.prev`)
      return { delete: defined({ ...placeIn(removed, inside), prev }) }
    }
    case 'txn':
      return { txn: readTxn(fields, inside) }
  }
}

function readPut(fields: unknown, name: string): NonNullable<GivenOperation['put']> {
  const put = readMap(fields, name, ['key', 'value', 'lease', 'ttl', 'prev'] as const)
  const options = defined({
    lease: readText(put.get('lease'), `${name}.lease`),
    ttl: readText(put.get('ttl'), `${name}.ttl`),
    prev: readFlag(put.get('prev'), `${name}.prev`),
  })
  const [key, value] = [put.get('key'), put.get('value')]
  return { key: readBytes(key, `${name}.key`), value: readBytes(value, `${name}.value`), ...options }
}

/** Which of them may be together is checked with the transaction. */
function placeIn(
  given: { readonly get: (field: (typeof PLACE)[number]) => unknown },
  name: string,
): GivenPlace {
  const bytes = (field: (typeof PLACE)[number]) => maybeBytes(given.get(field), `${name}.${field}`)
  return defined({ key: bytes('key'), prefix: bytes('prefix'), start: bytes('start'), end: bytes('end') })
}

const maybeBytes = (field: unknown, name: string): Buffer | string | undefined =>
  isNil(field) ? undefined : typeof field === 'string' ? field : readBytes(field, name)

const MAX = Number.MAX_SAFE_INTEGER

type Defined<T> = { readonly [Name in keyof T]?: Exclude<T[Name], undefined> }

/** Without the fields that are undefined. */
const defined = <T extends object>(fields: T): Defined<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>

/** How fresh a read must be; a change has no such fields. */
export function checkNoRead({ consistency, max_staleness, min_revision }: Freshness): void {
  if (consistency !== undefined || max_staleness !== undefined || min_revision !== undefined)
    throw new ApiError('bad_request', `freshness and min_revision are for reads: ${NO_READ}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// What it gets

/** An answer, and how much memory it needs. */
export interface TxnAnswer {
  readonly result: object
  readonly bytes: number
}

export function txnAnswer(txn: Txn, outcome: TxnResult, revision: Revision): TxnAnswer {
  const answer = new Answer(revision)
  const result = answer.txn(txn, outcome)
  return { result, bytes: answer.bytes }
}

class Answer {
  bytes = 0
  readonly #revision: Revision

  constructor(revision: Revision) {
    this.#revision = revision
  }

  txn({ success, failure }: Txn, { succeeded, results }: TxnResult): object {
    const operations = succeeded ? success : failure
    const revision = this.#revision
    return { succeeded, revision, results: results.map((each, at) => this.#result(operations[at], each)) }
  }

  #result(operation: TxnOperation | undefined, result: OperationResult): object {
    this.bytes += RESULT_BYTES
    switch (result.kind) {
      case 'put': {
        const { prev } = result
        const put = { ...revisions(result), prev: prev && this.#record(prev) }
        return { put: prev === undefined ? revisions(result) : put }
      }
      case 'get': {
        if (result.found === undefined) return { get: { omitted: true } }
        const { records, more, count } = result.found
        const keysOnly = operation?.kind === 'get' && operation.keysOnly
        return { get: { kvs: records.map((row) => this.#record(row, keysOnly)), more, count } }
      }
      case 'delete': {
        const { deleted, prev } = result
        return {
          delete: prev === undefined ? { deleted } : { deleted, prev: prev.map((row) => this.#record(row)) },
        }
      }
      case 'txn':
        if (operation?.kind !== 'txn') throw new Error('the results are those of another transaction')
        return { txn: this.txn(operation.txn, result) }
    }
  }

  #record(row: KeyRow, keysOnly = false): object {
    this.bytes += RECORD_BYTES + row.key.length + (keysOnly ? 0 : row.value.length)
    return keysOnly
      ? { key: row.key, ...revisions(row), ...leaseIn(row) }
      : { key: row.key, value: row.value, ...revisions(row), ...leaseIn(row) }
  }
}

const leaseIn = ({ lease }: KeyRow) => (lease === undefined ? undefined : { lease })

const revisions = (of: Pick<KeyRow, 'createRevision' | 'modRevision' | 'version'>) => ({
  create_revision: of.createRevision,
  mod_revision: of.modRevision,
  version: of.version,
})
