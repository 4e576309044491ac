// The codec of multiplexed connections: items become operations, results become items. What both mean is decided in
// `api/`.

import type { OutcomeOfKey } from '../../kv/index.ts'
import { BATCH_COMMANDS_MAX } from '../../operations/batch.ts'
import { del } from '../../operations/delete.ts'
import {
  ApiError,
  BOUND_BYTES_MAX,
  type KeyRevisions,
  type KeyRow,
  type LeaseId,
  leaseIdOf,
  problemDocument,
  type Revision,
  rangeOf,
  rangeToDelete,
  SESSION_SLOTS_MAX,
  whereToWatch,
} from '../../operations/forms/index.ts'
import { get } from '../../operations/get.ts'
import type {
  BatchedCommand,
  KvTxn,
  KvTxnOperation,
  KvTxnOperationResult,
  KvTxnResult,
  Operation,
  WatchedChanges,
} from '../../operations/index.ts'
import { RENEW_LEASES_MAX } from '../../operations/keep-alive.ts'
import {
  checkElements,
  decodeAsOf,
  decodeBound,
  decodeBounds,
  decodeBytes,
  decodeFlag,
  decodeKeyField,
  decodeMap,
  decodeOneOf,
  decodeOptionalMap,
  decodeOptionalNumber,
  decodeRevisionField,
  decodeText,
  decodeValueField,
  fieldBytes,
  invalidField,
  isNil,
  nestedBytes,
} from '../../operations/mux/fields.ts'
import { encodeProblem, type Item, SUCCESS, servedField, stalenessField } from '../../operations/mux/form.ts'
import {
  decodeDeleteOptions,
  decodeFreshness,
  decodeIdempotency,
  decodePutOptions,
} from '../../operations/mux/options.ts'
import { RECORD_BYTES } from '../../operations/mux/records.ts'
import { put } from '../../operations/put.ts'
import {
  type ComparisonFields,
  OPERATORS,
  type OperationFields,
  type PutFields,
  TARGETS,
  type TxnFields,
  txnOf,
  type WhereFields,
} from '../../operations/txn-fields.ts'
import { PROGRESS_MS_DEFAULT, PROGRESS_MS_MAX, PROGRESS_MS_MIN } from '../../operations/watch.ts'
import { errorOfOutcome } from '../api/errors.ts'
import type { ApiLimits } from '../api/limits.ts'
import type { ApiResult } from '../api/operation.ts'
import { checkTxnBytes } from '../api/txn.ts'
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
  PUT,
  RANGE,
  TXN,
  WATCH,
} from './protocol.ts'

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
  if (op === TXN || op === DELETE_RANGE) return nestedBytes(item[3])
  if (op === KEEP_ALIVE) return Array.isArray(item[3]) ? LEASE_ID_BYTES * item[3].length : 0
  if (op === PUT) return put.mux.itemCredit(item)
  return op === DELETE || op === GET ? get.mux.itemCredit(item) : 0
}

/** Bytes of an operation that the node keeps until it is answered. */
export function bytesHeldBy({ op, bytes }: MuxCall, item: Item): number {
  if (op !== RANGE && op !== WATCH) return bytes
  // A start, an end, and the key before a page.
  return Math.min(nestedBytes(item), 3 * BOUND_BYTES_MAX)
}

/** Bytes of the keys and values of a batch. */
function changesBytes(field: unknown): number {
  let bytes = 0
  if (!Array.isArray(field)) return bytes
  for (const change of field) {
    if (!Array.isArray(change)) continue
    bytes += fieldBytes(change[1])
    if (change[0] === PUT) bytes += fieldBytes(change[2])
  }
  return bytes
}

// ---------------------------------------------------------------------------------------------------------------------
// Operations

/** Throws `ApiError` for a wrong item. */
export function decode(call: MuxCall, item: Item, limits: ApiLimits): Operation {
  const { op } = call
  checkElements(item, LENGTHS[op])
  call.setTimeout(item[2])
  switch (op) {
    case PUT:
      return put.mux.decode(item)
    case DELETE:
      return del.mux.decode(item)
    case GET:
      return get.mux.decode(item)
    case RANGE:
      return decodeRange(call, item, limits)
    case CHANGES:
      return { kind: 'batch', commands: readChanges(item[3]), idempotency: decodeIdempotency(item[4]) }
    case TXN: {
      checkTxnBytes(call.bytes, limits)
      const txn = txnOf(readTxn(item[3]), decodeBytes)
      const idempotency = decodeIdempotency(item[4])
      return { kind: 'txn', txn, idempotency, freshness: decodeFreshness(item[5], item[6]) }
    }
    case DELETE_RANGE: {
      const range = readRangeToDelete(item[3])
      return { kind: 'delete-range', range, idempotency: decodeIdempotency(item[4]) }
    }
    case COMPACT: {
      const revision = decodeAsOf(item[3])
      if (revision === undefined) throw invalidField('revision', 'a revision')
      return { kind: 'compact', revision, idempotency: decodeIdempotency(item[4]) }
    }
    case KEEP_ALIVE:
      return { kind: 'keep-alive', ids: decodeLeases(item[3]), one: false }
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

/** The changes of a batch. */
function readChanges(field: unknown): readonly BatchedCommand[] {
  if (!Array.isArray(field) || field.length < 1 || field.length > BATCH_COMMANDS_MAX)
    throw invalidField('changes', `a list of 1 to ${BATCH_COMMANDS_MAX} changes`)
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
    throw invalidField('a change', `[${PUT}, key, value, conditions] or [${DELETE}, key, conditions]`)
  checkElements(field, isPut ? 4 : 3)
  const key = decodeKeyField(field[1])
  if (!isPut) {
    const { condition, prev } = decodeDeleteOptions(field[2])
    if (prev) throw invalidField('prev', 'false in a batch')
    return { kind: 'delete', key, condition, prev }
  }
  const { condition, prev, lease } = decodePutOptions(field[3])
  if (prev) throw invalidField('prev', 'false in a batch')
  return { kind: 'put', key, value: decodeValueField(field[2]), condition, prev, lease }
}

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

/** The leases to keep alive. */
function decodeLeases(field: unknown): readonly LeaseId[] {
  if (!Array.isArray(field) || field.length < 1 || field.length > RENEW_LEASES_MAX)
    throw invalidField('leases', `a list of 1 to ${RENEW_LEASES_MAX} ids`)
  return field.map((id, at) => leaseIdOf(typeof id === 'string' ? id : '', `leases[${at}]`))
}

function decodeRange(call: MuxCall, item: Item, limits: ApiLimits): Operation {
  const options = decodeOptionalMap(item[3], 'the range', RANGE_FIELDS)
  const { after, ...bounds } = decodeBounds(options, decodeBound, 'prefix', 'start', 'end', 'after')
  const limit = decodeOptionalNumber(options.get('limit'), 'limit', 1, limits.pageRowsMax)
  const order = decodeOneOf(options.get('order'), 'order', ORDERS)
  const keysOnly = decodeFlag(options.get('keys_only'), 'keys_only') ?? false
  const count = decodeFlag(options.get('count'), 'count')
  const countOnly = decodeFlag(options.get('count_only'), 'count_only')
  const revision = decodeAsOf(options.get('revision'))
  const freshness = decodeFreshness(item[4], item[5])
  call.page = new MuxPage(keysOnly)
  return {
    ...{ kind: 'range', range: rangeOf(bounds), after, limit, order, keysOnly, count, countOnly, revision },
    freshness,
  }
}

const DELETE_RANGE_FIELDS = ['prefix', 'start', 'end', 'all'] as const

function readRangeToDelete(field: unknown) {
  const options = decodeMap(field, 'the range', DELETE_RANGE_FIELDS)
  return rangeToDelete(
    decodeBounds(options, decodeBytes, 'prefix', 'start', 'end'),
    decodeFlag(options.get('all'), 'all'),
  )
}

const WATCH_OPTIONS = ['prev', 'only', 'values', 'progress_ms'] as const

function readWatch(range: unknown, from: unknown, field: unknown): WatchedChanges {
  const where = whereToWatch(
    decodeBounds(decodeOptionalMap(range, 'the range', WHERE), decodeBytes, ...WHERE),
  )
  const options = decodeOptionalMap(field, 'options', WATCH_OPTIONS)
  return {
    where,
    from: isNil(from) ? undefined : decodeRevisionField(from, 'from'),
    only: decodeOneOf(options.get('only'), 'only', ['put', 'delete']),
    prev: decodeFlag(options.get('prev'), 'prev') ?? false,
    values: decodeFlag(options.get('values'), 'values') ?? true,
    progressMs: readProgress(options.get('progress_ms')),
  }
}

function readProgress(field: unknown): number {
  if (isNil(field)) return PROGRESS_MS_DEFAULT
  if (typeof field === 'number' && field >= PROGRESS_MS_MIN && field <= PROGRESS_MS_MAX) return field
  throw invalidField('progress_ms', `a number from ${PROGRESS_MS_MIN} to ${PROGRESS_MS_MAX}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// Transactions. Their fields have the names of `POST /v1/txn`, with bytes in place of strings.

const WHERE = ['key', 'prefix', 'start', 'end'] as const

function readTxn(field: unknown, name = 'txn'): TxnFields<Uint8Array> {
  const options = decodeMap(field, name, ['compare', 'success', 'failure'] as const)
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
  throw invalidField(name, 'a list')
}

function readComparison(field: unknown, name: string): ComparisonFields<Uint8Array> {
  const options = decodeMap(field, name, [...WHERE, 'target', 'op', 'to', 'exists'] as const)
  const to = options.get('to')
  return defined({
    ...whereIn(options, name),
    target: decodeOneOf(options.get('target'), `${name}.target`, TARGETS),
    op: decodeOneOf(options.get('op'), `${name}.op`, OPERATORS),
    to:
      typeof to === 'number' ? decodeOptionalNumber(to, `${name}.to`, 0, MAX) : maybeBytes(to, `${name}.to`),
    exists: decodeFlag(options.get('exists'), `${name}.exists`),
  })
}

function readOperation(field: unknown, name: string): OperationFields<Uint8Array> {
  const options = decodeMap(field, name, ['put', 'get', 'delete', 'txn'] as const)
  const [entry, ...others] = options
  if (entry === undefined || others.length > 0)
    throw invalidField(name, 'a map with one of put, get, delete, txn')
  const [kind, fields] = entry
  const inside = `${name}.${kind}`
  switch (kind) {
    case 'put':
      return { put: readPut(fields, inside) }
    case 'get': {
      const get = decodeMap(fields, inside, [...WHERE, 'limit', 'keys_only', 'count', 'count_only'] as const)
      return {
        get: defined({
          ...whereIn(get, inside),
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
      return { delete: defined({ ...whereIn(removed, inside), prev }) }
    }
    case 'txn':
      return { txn: readTxn(fields, inside) }
  }
}

function readPut(fields: unknown, name: string): PutFields<Uint8Array> {
  const put = decodeMap(fields, name, ['key', 'value', 'lease', 'ttl', 'prev'] as const)
  const options = defined({
    lease: decodeText(put.get('lease'), `${name}.lease`),
    ttl: decodeText(put.get('ttl'), `${name}.ttl`),
    prev: decodeFlag(put.get('prev'), `${name}.prev`),
  })
  const [key, value] = [put.get('key'), put.get('value')]
  return { key: decodeBytes(key, `${name}.key`), value: decodeBytes(value, `${name}.value`), ...options }
}

/** Which of these fields may stand together is checked with the transaction. */
function whereIn(
  options: { readonly get: (field: (typeof WHERE)[number]) => unknown },
  name: string,
): WhereFields<Uint8Array> {
  const bytes = (field: (typeof WHERE)[number]) => maybeBytes(options.get(field), `${name}.${field}`)
  return defined({ key: bytes('key'), prefix: bytes('prefix'), start: bytes('start'), end: bytes('end') })
}

const maybeBytes = (field: unknown, name: string): Uint8Array | string | undefined =>
  isNil(field) ? undefined : typeof field === 'string' ? field : decodeBytes(field, name)

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
    case 'applied':
      return encodeOutcome(call, result)
    case 'found': {
      const { grant, row } = result
      const bytes = get.mux.resultBytes(row)
      call.checkRoom(bytes)
      return call.end(row === undefined ? 404 : 200, get.mux.encodeResult(id, row, grant), bytes)
    }
    case 'page': {
      const { grant, more, count = null } = result
      const { records = [], bytes = 0 } = call.page ?? {}
      call.checkRoom(bytes)
      const fields = [
        id,
        SUCCESS,
        grant.revision,
        records,
        more,
        count,
        servedField(grant),
        stalenessField(grant),
      ]
      return call.end(200, fields, bytes)
    }
    case 'txn-read': {
      const { grant, txn, result: outcome } = result
      const answer = new TxnAnswer(grant.revision)
      const wire = answer.txn(txn, outcome)
      call.checkRoom(answer.bytes)
      return call.end(
        200,
        [id, SUCCESS, grant.revision, wire, false, servedField(grant), stalenessField(grant)],
        answer.bytes,
      )
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

export function encodeError(call: MuxCall, error: ApiError): void {
  call.end(error.status, encodeProblem(call.id, error, call.isChange))
}

function encodeOutcome(call: MuxCall, applied: Extract<ApiResult, { readonly kind: 'applied' }>) {
  const { outcome } = applied
  if (outcome.kind === 'put')
    return call.end(200, put.mux.encodeResult(call.id, outcome, applied), put.mux.resultBytes(outcome))
  if (outcome.kind === 'delete')
    return call.end(200, del.mux.encodeResult(call.id, outcome, applied), del.mux.resultBytes(outcome))
  const { replayed, txn } = applied
  const { revision } = outcome
  const head = [call.id, SUCCESS, revision]
  switch (outcome.kind) {
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

const writerField = ({ by }: Pick<KeyRow, 'by'>) => (by === undefined ? undefined : { by })

const leaseField = ({ lease }: KeyRow) => (lease === undefined ? undefined : { lease })

const revisionFields = ({ createRevision, modRevision, version }: KeyRevisions) => ({
  create_revision: createRevision,
  mod_revision: modRevision,
  version,
})

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
