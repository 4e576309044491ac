// The codec of multiplexed connections: items become operations, results become items. What both mean is decided in
// `api/`.

import type { OutcomeOfKey } from '../../kv/index.ts'
import { BATCH_COMMANDS_MAX } from '../../operations/batch.ts'
import {
  ApiError,
  asRevision,
  BOUND_BYTES_MAX,
  type Condition,
  checkedKey,
  checkedValue,
  type KeyRow,
  type PutLease,
  problemDocument,
  putLeaseOf,
  type ReadGrant,
  type Revision,
  rangeOf,
  rangeToDelete,
  SESSION_SLOTS_MAX,
  TAGS_MAX,
  TTL_MS_MAX,
  TTL_MS_MIN,
  whereToWatch,
} from '../../operations/forms/index.ts'
import type {
  BatchedCommand,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
  Operation,
  WatchedChanges,
} from '../../operations/index.ts'
import { PROGRESS_MS_DEFAULT, PROGRESS_MS_MAX, PROGRESS_MS_MIN } from '../../operations/watch.ts'
import { errorOfOutcome } from '../api/errors.ts'
import type { ApiLimits } from '../api/limits.ts'
import type { AcceptedOutcome, ApiResult } from '../api/operation.ts'
import { checkTxnBytes } from '../api/txn.ts'
import {
  type ComparisonFields,
  OPERATORS,
  type OperationFields,
  type PutFields,
  TARGETS,
  type TxnFields,
  txnOf,
  type WhereFields,
} from '../api/txn-fields.ts'
import {
  bytesIn,
  checkLength,
  type Fields,
  invalid,
  isNil,
  readAsOf,
  readBound,
  readBytes,
  readFlag,
  readFreshness,
  readIdempotency,
  readLeases,
  readMap,
  readOneOf,
  readRevision,
  readText,
  readWhole,
} from './fields.ts'
import type { Item } from './messages.ts'
import { type MuxCall, MuxPage } from './mux-call.ts'
import {
  CHANGES,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  GET,
  KEEP_ALIVE,
  OPEN_CLIENT_SESSION,
  type Opcode,
  PROBLEM,
  PUT,
  RANGE,
  SUCCESS,
  TXN,
  WATCH,
} from './protocol.ts'
import { leaseField, RECORD_BYTES, record, revisionFields, writerField } from './record.ts'

// ---------------------------------------------------------------------------------------------------------------------
// Credit

/** Credit for the id of a lease. */
const LEASE_ID_BYTES = 20
/** Credit for a range, or for a watch that begins. */
const RANGE_CREDIT_BYTES = 1024

/** Bytes of an operation that count for the credit of its connection. */
export function creditOf(op: Opcode, item: Item): number {
  if (op === RANGE || op === WATCH) return RANGE_CREDIT_BYTES
  if (op === CHANGES) return changesBytes(item[3])
  if (op === TXN || op === DELETE_RANGE) return txnBytes(item[3])
  if (op === KEEP_ALIVE) return Array.isArray(item[3]) ? LEASE_ID_BYTES * item[3].length : 0
  return op === PUT ? bytesIn(item[3]) + bytesIn(item[4]) : bytesIn(item[3])
}

/** Bytes of an operation that the node keeps until it is answered. */
export function bytesHeldBy({ op, bytes }: MuxCall, item: Item): number {
  if (op !== RANGE && op !== WATCH) return bytes
  // A start, an end, and the key before a page.
  return Math.min(txnBytes(item), 3 * BOUND_BYTES_MAX)
}

/** All strings and byte strings count for credit; names do not. */
function txnBytes(field: unknown): number {
  if (Array.isArray(field)) return field.reduce<number>((sum, each) => sum + txnBytes(each), 0)
  if (!(field instanceof Map)) return bytesIn(field)
  let bytes = 0
  for (const value of field.values()) bytes += txnBytes(value)
  return bytes
}

/** Bytes of the keys and values of a batch. */
function changesBytes(field: unknown): number {
  let bytes = 0
  if (!Array.isArray(field)) return bytes
  for (const change of field) {
    if (!Array.isArray(change)) continue
    bytes += bytesIn(change[1])
    if (change[0] === PUT) bytes += bytesIn(change[2])
  }
  return bytes
}

// ---------------------------------------------------------------------------------------------------------------------
// Operations

/** Throws `ApiError` for a wrong item. */
export function decode(call: MuxCall, item: Item, limits: ApiLimits): Operation {
  const { op } = call
  checkLength(item, LENGTHS[op])
  call.setTimeout(item[2])
  switch (op) {
    case PUT: {
      const key = readKey(item[3])
      const value = readValue(item[4])
      const idempotency = readIdempotency(item[5])
      const { condition, prev, lease } = readPutOptions(item[6])
      return { kind: 'put', key, value, condition, prev, lease, idempotency }
    }
    case DELETE: {
      const key = readKey(item[3])
      const idempotency = readIdempotency(item[4])
      return { kind: 'delete', key, ...readConditions(item[5]), idempotency }
    }
    case GET: {
      const key = readKey(item[3])
      const freshness = readFreshness(item[4], item[5])
      return { kind: 'get', key, freshness, revision: readAsOf(item[6]) }
    }
    case RANGE:
      return decodeRange(call, item, limits)
    case CHANGES:
      return { kind: 'batch', commands: readChanges(item[3]), idempotency: readIdempotency(item[4]) }
    case TXN: {
      checkTxnBytes(call.bytes, limits)
      const txn = txnOf(readTxn(item[3]), (bytes) => (typeof bytes === 'string' ? Buffer.from(bytes) : bytes))
      const idempotency = readIdempotency(item[4])
      return { kind: 'txn', txn, idempotency, freshness: readFreshness(item[5], item[6]) }
    }
    case DELETE_RANGE: {
      const range = readRangeToDelete(item[3])
      return { kind: 'delete-range', range, idempotency: readIdempotency(item[4]) }
    }
    case COMPACT: {
      const revision = readAsOf(item[3])
      if (revision === undefined) throw invalid('revision', 'a revision')
      return { kind: 'compact', revision, idempotency: readIdempotency(item[4]) }
    }
    case KEEP_ALIVE:
      return { kind: 'keep-alive', ids: readLeases(item[3]), one: false }
    case WATCH:
      return { kind: 'watch', request: readWatch(item[3], item[4], item[5]) }
    case OPEN_CLIENT_SESSION:
      return { kind: 'open-session' }
  }
}

/** Largest number of elements of the item of each operation. */
const LENGTHS: Readonly<Record<Opcode, number>> = {
  [PUT]: 7,
  [DELETE]: 6,
  [GET]: 7,
  [RANGE]: 6,
  [CHANGES]: 5,
  [TXN]: 7,
  [DELETE_RANGE]: 5,
  [COMPACT]: 5,
  [KEEP_ALIVE]: 4,
  [WATCH]: 6,
  [OPEN_CLIENT_SESSION]: 3,
}

const readKey = (field: unknown): Uint8Array => checkedKey(readBytes(field, 'key'))
const readValue = (field: unknown): Uint8Array => checkedValue(readBytes(field, 'value'))

/** The changes of a batch. */
function readChanges(field: unknown): readonly BatchedCommand[] {
  if (!Array.isArray(field) || field.length < 1 || field.length > BATCH_COMMANDS_MAX)
    throw invalid('changes', `a list of 1 to ${BATCH_COMMANDS_MAX} changes`)
  return field.map((each, at) => {
    try {
      return readChange(each)
    } catch (error) {
      throw error instanceof ApiError ? new ApiError(error.code, `changes[${at}]: ${error.message}`) : error
    }
  })
}

function readChange(field: unknown): BatchedCommand {
  const isPut = Array.isArray(field) && field[0] === PUT
  if (!Array.isArray(field) || !(isPut || field[0] === DELETE))
    throw invalid('a change', `[${PUT}, key, value, conditions] or [${DELETE}, key, conditions]`)
  checkLength(field, isPut ? 4 : 3)
  const key = readKey(field[1])
  if (!isPut) {
    const { condition, prev } = readConditions(field[2])
    if (prev) throw invalid('prev', 'false in a batch')
    return { kind: 'delete', key, condition, prev }
  }
  const { condition, prev, lease } = readPutOptions(field[3])
  if (prev) throw invalid('prev', 'false in a batch')
  return { kind: 'put', key, value: readValue(field[2]), condition, prev, lease }
}

const CONDITIONS = ['if_match', 'if_none_match', 'prev'] as const
const PUT_OPTIONS = [...CONDITIONS, 'lease', 'ttl_ms'] as const

interface Conditions {
  readonly condition: Condition | undefined
  readonly prev: boolean
}

const readConditions = (field: unknown): Conditions =>
  isNil(field) ? UNCONDITIONAL : conditionsIn(readMap(field, 'conditions', CONDITIONS))

/** The conditions of a put, and its lease. */
function readPutOptions(field: unknown): Conditions & { readonly lease?: PutLease | undefined } {
  if (isNil(field)) return UNCONDITIONAL
  const options = readMap(field, 'conditions', PUT_OPTIONS)
  const id = readText(options.get('lease'), 'lease')
  const ttlMs = readTtl(options.get('ttl_ms'))
  return { ...conditionsIn(options), lease: putLeaseOf(id, ttlMs, '', 'ttl_ms') }
}

function readTtl(field: unknown): number | undefined {
  if (isNil(field)) return undefined
  if (typeof field === 'number' && field >= TTL_MS_MIN && field <= TTL_MS_MAX) return Math.ceil(field)
  throw invalid('ttl_ms', `a number from ${TTL_MS_MIN} to ${TTL_MS_MAX}`)
}

function conditionsIn(options: { readonly get: (name: (typeof CONDITIONS)[number]) => unknown }): Conditions {
  const ifMatch = readTags(options.get('if_match'), 'if_match')
  const ifNoneMatch = readTags(options.get('if_none_match'), 'if_none_match')
  const condition = ifMatch === undefined && ifNoneMatch === undefined ? undefined : { ifMatch, ifNoneMatch }
  return { condition, prev: readFlag(options.get('prev'), 'prev') ?? false }
}

const UNCONDITIONAL = { condition: undefined, prev: false } as const

function readTags(field: unknown, name: string): 'any' | readonly Revision[] | undefined {
  if (isNil(field)) return undefined
  if (field === '*') return 'any'
  if (!Array.isArray(field) || field.length === 0) throw invalid(name, '"*" or a list of revisions')
  if (field.length > TAGS_MAX)
    throw new ApiError('bad_request', `${name} may have at most ${TAGS_MAX} revisions`)
  return field.map((revision) => readTag(revision, name))
}

/** 0 is allowed, as in entity tags of HTTP: no key is ever at revision 0. */
const readTag = (field: unknown, name: string): Revision =>
  field === 0 ? asRevision(0) : readRevision(field, `an element of ${name}`)

// ---------------------------------------------------------------------------------------------------------------------
// Ranges and watches

const RANGE_FIELDS = [
  'prefix',
  'start',
  'end',
  'after',
  'limit',
  'order',
  'keys_only',
  'count',
  'count_only',
  'revision',
] as const
const ORDERS = ['asc', 'desc'] as const

/** The bytes of named fields; a field that is nil is absent. */
function boundsIn<N extends string>(options: Fields<N>, read: typeof readBound, ...names: readonly N[]) {
  const bounds: { [Name in N]?: Uint8Array } = {}
  for (const name of names) {
    const field = options.get(name)
    if (!isNil(field)) bounds[name] = read(field, name)
  }
  return bounds
}

const mapOf = <N extends string>(field: unknown, name: string, names: readonly N[]): Fields<N> =>
  isNil(field) ? new Map() : readMap(field, name, names)

function decodeRange(call: MuxCall, item: Item, limits: ApiLimits): Operation {
  const options = mapOf(item[3], 'the range', RANGE_FIELDS)
  const { after, ...bounds } = boundsIn(options, readBound, 'prefix', 'start', 'end', 'after')
  const limit = readWhole(options.get('limit'), 'limit', 1, limits.pageRowsMax)
  const order = readOneOf(options.get('order'), 'order', ORDERS)
  const keysOnly = readFlag(options.get('keys_only'), 'keys_only') ?? false
  const count = readFlag(options.get('count'), 'count')
  const countOnly = readFlag(options.get('count_only'), 'count_only')
  const revision = readAsOf(options.get('revision'))
  const freshness = readFreshness(item[4], item[5])
  call.page = new MuxPage(keysOnly)
  return {
    ...{ kind: 'range', range: rangeOf(bounds), after, limit, order, keysOnly, count, countOnly, revision },
    freshness,
  }
}

const DELETE_RANGE_FIELDS = ['prefix', 'start', 'end', 'all'] as const

function readRangeToDelete(field: unknown) {
  const options = readMap(field, 'the range', DELETE_RANGE_FIELDS)
  return rangeToDelete(
    boundsIn(options, readBytes, 'prefix', 'start', 'end'),
    readFlag(options.get('all'), 'all'),
  )
}

const WATCH_OPTIONS = ['prev', 'only', 'values', 'progress_ms'] as const

function readWatch(range: unknown, from: unknown, field: unknown): WatchedChanges {
  const where = whereToWatch(boundsIn(mapOf(range, 'the range', WHERE), readBytes, ...WHERE))
  const options = mapOf(field, 'options', WATCH_OPTIONS)
  return {
    where,
    from: isNil(from) ? undefined : readRevision(from, 'from'),
    only: readOneOf(options.get('only'), 'only', ['put', 'delete']),
    prev: readFlag(options.get('prev'), 'prev') ?? false,
    values: readFlag(options.get('values'), 'values') ?? true,
    progressMs: readProgress(options.get('progress_ms')),
  }
}

function readProgress(field: unknown): number {
  if (isNil(field)) return PROGRESS_MS_DEFAULT
  if (typeof field === 'number' && field >= PROGRESS_MS_MIN && field <= PROGRESS_MS_MAX) return field
  throw invalid('progress_ms', `a number from ${PROGRESS_MS_MIN} to ${PROGRESS_MS_MAX}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// Transactions. Their fields have the names of `POST /v1/txn`, with bytes in place of strings.

const WHERE = ['key', 'prefix', 'start', 'end'] as const

function readTxn(field: unknown, name = 'txn'): TxnFields<Buffer> {
  const options = readMap(field, name, ['compare', 'success', 'failure'] as const)
  const list = <T>(of: 'compare' | 'success' | 'failure', read: (each: unknown, name: string) => T) =>
    readList(options.get(of), `${name}.${of}`).map((each, at) => read(each, `${name}.${of}[${at}]`))
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

function readComparison(field: unknown, name: string): ComparisonFields<Buffer> {
  const options = readMap(field, name, [...WHERE, 'target', 'op', 'to', 'exists'] as const)
  const to = options.get('to')
  return defined({
    ...whereIn(options, name),
    target: readOneOf(options.get('target'), `${name}.target`, TARGETS),
    op: readOneOf(options.get('op'), `${name}.op`, OPERATORS),
    to: typeof to === 'number' ? readWhole(to, `${name}.to`, 0, MAX) : maybeBytes(to, `${name}.to`),
    exists: readFlag(options.get('exists'), `${name}.exists`),
  })
}

function readOperation(field: unknown, name: string): OperationFields<Buffer> {
  const options = readMap(field, name, ['put', 'get', 'delete', 'txn'] as const)
  const [entry, ...others] = options
  if (entry === undefined || others.length > 0) throw invalid(name, 'a map with one of put, get, delete, txn')
  const [kind, fields] = entry
  const inside = `${name}.${kind}`
  switch (kind) {
    case 'put':
      return { put: readPut(fields, inside) }
    case 'get': {
      const get = readMap(fields, inside, [...WHERE, 'limit', 'keys_only', 'count', 'count_only'] as const)
      return {
        get: defined({
          ...whereIn(get, inside),
          limit: readWhole(get.get('limit'), `${inside}.limit`, 1, MAX),
          keys_only: readFlag(get.get('keys_only'), `${inside}.keys_only`),
          count: readFlag(get.get('count'), `${inside}.count`),
          count_only: readFlag(get.get('count_only'), `${inside}.count_only`),
        }),
      }
    }
    case 'delete': {
      const removed = readMap(fields, inside, [...WHERE, 'prev'] as const)
      const prev = readFlag(removed.get('prev'), `${inside}.prev`)
      return { delete: defined({ ...whereIn(removed, inside), prev }) }
    }
    case 'txn':
      return { txn: readTxn(fields, inside) }
  }
}

function readPut(fields: unknown, name: string): PutFields<Buffer> {
  const put = readMap(fields, name, ['key', 'value', 'lease', 'ttl', 'prev'] as const)
  const options = defined({
    lease: readText(put.get('lease'), `${name}.lease`),
    ttl: readText(put.get('ttl'), `${name}.ttl`),
    prev: readFlag(put.get('prev'), `${name}.prev`),
  })
  const [key, value] = [put.get('key'), put.get('value')]
  return { key: readBytes(key, `${name}.key`), value: readBytes(value, `${name}.value`), ...options }
}

/** Which of these fields may stand together is checked with the transaction. */
function whereIn(
  options: { readonly get: (field: (typeof WHERE)[number]) => unknown },
  name: string,
): WhereFields<Buffer> {
  const bytes = (field: (typeof WHERE)[number]) => maybeBytes(options.get(field), `${name}.${field}`)
  return defined({ key: bytes('key'), prefix: bytes('prefix'), start: bytes('start'), end: bytes('end') })
}

const maybeBytes = (field: unknown, name: string): Buffer | string | undefined =>
  isNil(field) ? undefined : typeof field === 'string' ? field : readBytes(field, name)

const MAX = Number.MAX_SAFE_INTEGER

type Defined<T> = { readonly [Name in keyof T]?: Exclude<T[Name], undefined> }

/** Drops the fields that are undefined. */
const defined = <T extends object>(fields: T): Defined<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Defined<T>

// ---------------------------------------------------------------------------------------------------------------------
// Results

/** Memory of the outcome of one change of a batch: two or three numbers, or a problem beside the key. */
const OUTCOME_BYTES = 60
const OUTCOME_PROBLEM_BYTES = 500

/** Ends the call with its result. Throws `ApiError` if there is no room for the result of a read. */
export function encode(call: MuxCall, result: ApiResult, newest: Revision) {
  if (result instanceof ApiError) return encodeError(call, result)
  const { id } = call
  switch (result.kind) {
    case 'applied': {
      const { outcome, replayed, txn } = result
      return encodeOutcome(call, outcome, replayed, txn)
    }
    case 'found': {
      const { grant, row } = result
      const bytes = row === undefined ? 0 : RECORD_BYTES + row.value.length
      call.checkRoom(bytes)
      const found = row === undefined ? null : record(null, row)
      return call.end(
        row === undefined ? 404 : 200,
        [id, SUCCESS, grant.revision, found, ...freshness(grant)],
        bytes,
      )
    }
    case 'page': {
      const { grant, more, count = null } = result
      const { records = [], bytes = 0 } = call.page ?? {}
      call.checkRoom(bytes)
      const fields = [id, SUCCESS, grant.revision, records, more, count, ...freshness(grant)]
      return call.end(200, fields, bytes)
    }
    case 'txn-read': {
      const { grant, txn, result: outcome } = result
      const answer = new TxnAnswer(grant.revision)
      const wire = answer.txn(txn, outcome)
      call.checkRoom(answer.bytes)
      return call.end(200, [id, SUCCESS, grant.revision, wire, false, ...freshness(grant)], answer.bytes)
    }
    case 'watching': {
      call.beginWatch(result.watch)
      return call.end(200, [id, SUCCESS, result.grant.revision])
    }
    case 'kept-alive': {
      const lives = result.ttlsMs.map((ttlMs) => ttlMs ?? null)
      return call.end(200, [id, SUCCESS, newest, lives], OUTCOME_BYTES * lives.length)
    }
    default:
      throw new Error(`no multiplexed operation ends as ${result.kind}`)
  }
}

/** The consistency that was served, and the bound of staleness. It is rounded up, so that it becomes no smaller. */
const freshness = ({ served, stalenessMs }: ReadGrant) =>
  [served, stalenessMs === undefined ? null : Math.ceil(stalenessMs)] as const

export function encodeError(call: MuxCall, error: ApiError): void {
  const problem = problemDocument(error)
  const document = call.isChange ? { ...problem, written: error.written } : problem
  call.end(problem.status, [call.id, PROBLEM, document, error.revision ?? null, error.replayed])
}

function encodeOutcome(call: MuxCall, outcome: AcceptedOutcome, replayed: boolean, txn: KvTxn | undefined) {
  const { revision } = outcome
  const head = [call.id, SUCCESS, revision]
  switch (outcome.kind) {
    case 'put': {
      const { createRevision, modRevision, version, prev } = outcome
      const fields = [...head, createRevision, modRevision, version, replayed, ...prevField(prev)]
      return call.end(200, fields, prev?.value.length)
    }
    case 'delete': {
      const { deleted, prev } = outcome
      return call.end(200, [...head, deleted, replayed, ...prevField(prev)], prev?.value.length)
    }
    case 'batch': {
      const { outcomes } = outcome
      return call.end(200, [...head, outcomes.map(changeField), replayed], outcomeBytes(outcomes))
    }
    case 'txn': {
      const answer = new TxnAnswer(revision)
      const wire = txn === undefined ? null : answer.txn(txn, outcome)
      return call.end(200, [...head, wire, replayed], answer.bytes)
    }
    case 'delete-range':
      return call.end(200, [...head, outcome.deleted, replayed])
    case 'compacted':
      return call.end(200, [...head, outcome.compactRevision, replayed])
    case 'session':
      return call.end(200, [...head, outcome.session, outcome.ageMsMax, SESSION_SLOTS_MAX])
    default:
      throw new Error(`no multiplexed operation ends as ${outcome.kind}`)
  }
}

const prevField = (prev: KeyRow | null | undefined): readonly unknown[] =>
  prev === undefined ? [] : [prev === null ? null : record(prev.key, prev)]

/** Memory of the outcomes of a batch. Only a failed condition has the key. */
function outcomeBytes(outcomes: readonly OutcomeOfKey[]): number {
  let bytes = 0
  for (const outcome of outcomes) {
    if (outcome.kind === 'put' || outcome.kind === 'delete') bytes += OUTCOME_BYTES
    else bytes += OUTCOME_PROBLEM_BYTES
    if (outcome.kind === 'precondition-failed') bytes += outcome.current?.key.length ?? 0
  }
  return bytes
}

/** The outcome of one change of a batch: two or three numbers, or a problem. */
function changeField(outcome: OutcomeOfKey): readonly number[] | object {
  if (outcome.kind === 'put') return [outcome.createRevision, outcome.modRevision, outcome.version]
  if (outcome.kind === 'delete') return [outcome.deleted, outcome.revision]
  return { ...problemDocument(errorOfOutcome(outcome)), written: 'no' }
}

/** Memory of a result of a transaction without records. */
const TXN_RESULT_BYTES = 60

/** The results of a transaction, and the memory that they need. */
class TxnAnswer {
  bytes = 0
  readonly #revision: Revision

  constructor(revision: Revision) {
    this.#revision = revision
  }

  txn({ success, failure }: KvTxn, { succeeded, results }: KvTxnResult): object {
    const operations = succeeded ? success : failure
    const revision = this.#revision
    return { succeeded, revision, results: results.map((each, at) => this.#result(operations[at], each)) }
  }

  #result(operation: KvTxnOperation | undefined, result: KvTxnOperationResult): object {
    this.bytes += TXN_RESULT_BYTES
    switch (result.kind) {
      case 'put': {
        const { prev } = result
        const put = { ...revisionFields(result), prev: prev && this.#record(prev) }
        return { put: prev === undefined ? revisionFields(result) : put }
      }
      case 'get': {
        if (result.found === undefined) return { get: { omitted: true } }
        const { records, more, count } = result.found
        const keysOnly = operation?.kind === 'get' && operation.keysOnly
        const kvs = records.map((row) => this.#record(row, keysOnly))
        return { get: count === undefined ? { kvs, more } : { kvs, more, count } }
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
      ? { key: row.key, ...revisionFields(row), ...leaseField(row) }
      : { key: row.key, value: row.value, ...revisionFields(row), ...leaseField(row), ...writerField(row) }
  }
}
