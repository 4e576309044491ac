// The items of the multiplexed connection (docs/reference/protocol.md): operations to a node, and its answers.

import type { SpanContext } from '@opentelemetry/api'
import type { AnswerHead, NodeAnswerHead } from '../../operations/forms/answer-head.ts'
import { DisagreementError, isObject, isWholeNumber } from '../../operations/forms/disagreement.ts'
import {
  asRevision,
  type Condition,
  type FreshnessOptions,
  type PutLease,
  rangeBounds,
  type Where,
} from '../../operations/forms/index.ts'
import { type BatchedCommand, bytesOfTxn, type KvTxn, OPERATIONS, onlyReads } from '../../operations/index.ts'
import { encodeIdempotency } from '../../operations/mux/options.ts'
import { encodeTxnFields } from '../../operations/txn-fields.ts'
import { TRACESTATE_CHARS_MAX, traceHeaders } from '../../tracing/trace-context.ts'
import { definedFields, type Json, problemFrom } from '../decode.ts'
import { bytesOfRequest, type CallRequest, type RequestOf } from '../request.ts'
import type { ResultOf } from './results.ts'
import type { Refused, Served, Unreadable } from './transport.ts'

/** First message of a node on a connection. */
export interface MuxWelcome {
  readonly cluster: string
  readonly node: string
  readonly revision: number
  readonly leader: Leader
  readonly operationsMax: number
  readonly bytesMax: number
  readonly messageBytesMax: number
  /** How many watches the connection may have. */
  readonly watchesMax: number
}

/** Leader of a term, as a node knows it. */
export interface Leader {
  readonly term: number
  readonly name: string | undefined
}

export type MuxItem = readonly unknown[]

/** The requests that the connection carries, with the codes of their operations. */
const OPCODES = {
  put: 1,
  delete: 2,
  get: 3,
  range: 4,
  batch: 6,
  txn: 7,
  'delete-range': 8,
  compact: 9,
  'keep-alive': 10,
  watch: 16,
} as const

export type MuxRequest = RequestOf<keyof typeof OPCODES>

/** Lists in a stream, and counts, go over HTTP. */
export const isMuxed = (request: CallRequest): request is MuxRequest =>
  request.kind in OPCODES &&
  !(request.kind === 'range' && (request.stream === true || request.countOnly === true))

const CANCEL = 0
const TRACE = 11
/** Kinds of messages about a watch: their second field. */
export const EVENTS = 2
export const PROGRESS = 3
export const WATCH_ENDED = 4
/** The second field of an answer. */
export const SERVED = 0
export const PROBLEM = 1
/** The credit that a page of a range takes. */
const RANGE_BYTES = 1024
/** Credit for the id of a lease. */
const LEASE_ID_BYTES = 20
/** Space for everything of an item but keys and values: numbers, the write id, conditions. */
const ITEM_BYTES = 128
/** The same for a comparison or an operation of a transaction, with the names of its fields. */
const PART_BYTES = 256
/** Credit for the texts of a comparison or an operation: its target and operator, and a lease or a time to live. */
const TEXT_BYTES = 48

const VERSION = 1

/** The first item of a connection; undefined when it is not one of this version of the protocol. */
export function welcomeOf(item: unknown): MuxWelcome | undefined {
  if (!Array.isArray(item) || item[0] !== 0 || item[1] !== 'welcome' || !isObject(item[2])) return undefined
  const {
    version,
    cluster,
    node,
    revision,
    term,
    leader,
    operations_max,
    bytes_max,
    message_bytes_max,
    watches_max,
  } = item[2]
  if (version !== VERSION || typeof cluster !== 'string' || typeof node !== 'string') return undefined
  const sizes = [operations_max, bytes_max, message_bytes_max]
  const [operationsMax = 0, bytesMax = 0, messageBytesMax = 0] = sizes.filter(isWholeNumber)
  if (!isWholeNumber(revision) || operationsMax < 1 || bytesMax < 1 || messageBytesMax < 1) return undefined
  const watchesMax = isWholeNumber(watches_max) ? watches_max : 0
  const limits = { operationsMax, bytesMax, messageBytesMax, watchesMax }
  return { cluster, node, revision, leader: leaderOf(term, leader), ...limits }
}

/** A notice of another leader; undefined when it is another notice. */
export const leaderIn = ([, kind, term, name]: MuxItem): Leader | undefined =>
  kind === 'leader' ? leaderOf(term, name) : undefined

const leaderOf = (term: unknown, name: unknown): Leader => ({
  term: isWholeNumber(term) ? term : 0,
  name: typeof name === 'string' ? name : undefined,
})

/** The bytes that an operation takes of the credit. */
export function creditOf(request: MuxRequest): number {
  switch (request.kind) {
    case 'put':
    case 'delete':
    case 'batch':
      return bytesOfRequest(request)
    case 'get':
      return request.key.length
    case 'range':
    case 'watch':
      return RANGE_BYTES
    case 'txn':
      return bytesOfTxn(request.txn) + TEXT_BYTES * countParts(request.txn)
    case 'delete-range':
      return bytesOfWhere(request.range)
    case 'compact':
      return 0
    case 'keep-alive':
      return LEASE_ID_BYTES * request.ids.length
  }
}

const bytesOfWhere = (where: Where): number =>
  'key' in where ? where.key.length : where.start.length + (where.end?.length ?? 0)

/** Number of the comparisons and operations of a transaction, nested ones included. */
function countParts({ compare, success, failure }: KvTxn): number {
  let count = compare.length
  for (const operation of [...success, ...failure])
    count += operation.kind === 'txn' ? 1 + countParts(operation.txn) : 1
  return count
}

/** At most the bytes that an operation takes of a message. */
export function sizeOf(request: MuxRequest): number {
  switch (request.kind) {
    case 'batch':
      return ITEM_BYTES * (1 + request.commands.length) + creditOf(request)
    case 'txn':
      return ITEM_BYTES + PART_BYTES * (1 + countParts(request.txn)) + creditOf(request)
    case 'watch':
      return 2 * ITEM_BYTES + bytesOfWhere(request.request.where)
    case 'range':
      return 2 * ITEM_BYTES + bytesOfWhere(request.range) + (request.after?.length ?? 0)
    default:
      return ITEM_BYTES + creditOf(request)
  }
}

/** At most the bytes that an item with a trace context takes of a message. */
export const TRACE_BYTES = 80 + TRACESTATE_CHARS_MAX

/** The trace context of the operation that follows. */
export function traceOf(id: number, context: SpanContext): MuxItem {
  const { traceparent, tracestate } = traceHeaders(context)
  return tracestate === '' ? [id, TRACE, traceparent] : [id, TRACE, traceparent, tracestate]
}

export const cancelOf = (id: number): MuxItem => [id, CANCEL]

/** `timeoutMs`: how long the node may take. */
export function itemOf(id: number, request: MuxRequest, timeoutMs: number): MuxItem {
  const opcode = OPCODES[request.kind]
  switch (request.kind) {
    case 'put': {
      const { key, value, condition, lease } = request
      const options = optionsOf(condition, lease)
      const item = [id, opcode, timeoutMs, key, value, encodeIdempotency(request.idempotency)]
      return options === undefined ? item : [...item, options]
    }
    case 'delete': {
      const options = optionsOf(request.condition, undefined)
      const item = [id, opcode, timeoutMs, request.key, encodeIdempotency(request.idempotency)]
      return options === undefined ? item : [...item, options]
    }
    case 'batch': {
      const { commands, idempotency } = request
      return [id, opcode, timeoutMs, commands.map(changeItem), encodeIdempotency(idempotency)]
    }
    case 'get': {
      const { key, freshness, revision } = request
      const minRevision = freshness.minRevision ?? null
      if (revision !== undefined)
        return [id, opcode, timeoutMs, key, minRevision, freshnessFields(freshness), revision]
      if (freshness.consistency === undefined) return [id, opcode, timeoutMs, key, minRevision]
      return [id, opcode, timeoutMs, key, minRevision, freshnessFields(freshness)]
    }
    case 'range': {
      const { freshness } = request
      const minRevision = freshness.minRevision ?? null
      return [id, opcode, timeoutMs, rangeFields(request), minRevision, freshnessFields(freshness)]
    }
    case 'txn': {
      const { txn, freshness, idempotency } = request
      const fields = [id, opcode, timeoutMs, encodeTxnFields(txn), encodeIdempotency(idempotency)]
      return onlyReads(txn) ? [...fields, freshness.minRevision ?? null, freshnessFields(freshness)] : fields
    }
    case 'delete-range': {
      const { range, idempotency } = request
      const all = range.start.length === 0 && range.end === undefined ? true : undefined
      const fields = definedFields({ ...rangeBounds(range), all })
      return [id, opcode, timeoutMs, fields, encodeIdempotency(idempotency)]
    }
    case 'compact':
      return [id, opcode, timeoutMs, request.revision, encodeIdempotency(request.idempotency)]
    case 'keep-alive':
      return [id, opcode, timeoutMs, request.ids]
    case 'watch': {
      const { where, from, prev, only, values, progressMs } = request.request
      const place = 'key' in where ? { key: where.key } : definedFields(rangeBounds(where))
      const options = definedFields({ prev, only, values, progress_ms: progressMs })
      return [id, opcode, timeoutMs, place, from ?? null, options]
    }
  }
}

function changeItem(change: BatchedCommand): MuxItem {
  const opcode = OPCODES[change.kind]
  const options = optionsOf(change.condition, change.kind === 'put' ? change.lease : undefined)
  const item = change.kind === 'put' ? [opcode, change.key, change.value] : [opcode, change.key]
  return options === undefined ? item : [...item, options]
}

function optionsOf(condition: Condition | undefined, lease: PutLease | undefined): Json | undefined {
  if (condition === undefined && lease === undefined) return undefined
  if (lease === undefined) return conditionFields(condition)
  return { ...conditionFields(condition), ...('id' in lease ? { lease: lease.id } : { ttl_ms: lease.ttlMs }) }
}

function conditionFields({ ifMatch, ifNoneMatch }: Partial<Condition> = {}): Json {
  if (ifNoneMatch === undefined) return ifMatch === undefined ? {} : { if_match: tagsField(ifMatch) }
  const if_none_match = tagsField(ifNoneMatch)
  return ifMatch === undefined ? { if_none_match } : { if_match: tagsField(ifMatch), if_none_match }
}

const tagsField = (tags: Condition['ifMatch']): unknown => (tags === 'any' ? '*' : tags)

function freshnessFields({ consistency, maxStalenessMs }: FreshnessOptions): Json | null {
  if (consistency === undefined) return null
  return maxStalenessMs === undefined ? { consistency } : { consistency, max_staleness_ms: maxStalenessMs }
}

function rangeFields({ range, after, limit, order, keysOnly, revision }: RequestOf<'range'>): Json {
  const keys_only = keysOnly || undefined
  return definedFields({ ...rangeBounds(range), after, limit, order, keys_only, revision })
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** The outcome of a request in an item. */
export function outcomeOf<Q extends MuxRequest>(
  request: Q,
  item: MuxItem,
  welcome: MuxWelcome,
): Served<ResultOf<Q['kind']>> | Unreadable | Refused {
  const isServed = item[1] === SERVED
  if (!isServed) {
    const problem = item[1] === PROBLEM && isObject(item[2]) ? item[2] : {}
    const status = isWholeNumber(problem.status) ? problem.status : 500
    const head = headOf(request, item, welcome, false)
    return { kind: 'refused', problem: problemFrom(status, problem, true), head }
  }
  try {
    return { kind: 'served', result: decodeItem(request, item), head: headOf(request, item, welcome, true) }
  } catch (cause) {
    if (!(cause instanceof DisagreementError)) throw cause
    const { cluster: clusterId, node } = welcome
    return { kind: 'unreadable', cause, head: { clusterId, node } }
  }
}

function headOf(request: MuxRequest, item: MuxItem, welcome: MuxWelcome, isServed: boolean): NodeAnswerHead {
  const { cluster: clusterId, node } = welcome
  if (!isServed)
    return { clusterId, node, revision: isWholeNumber(item[3]) ? asRevision(item[3]) : undefined }
  const answerHead: AnswerHead = OPERATIONS[request.kind].mux.decodeHead(item)
  const { revision, served, stalenessMs } = answerHead
  return { clusterId, node, revision, served, stalenessMs }
}

/** Throws `DisagreementError`. */
function decodeItem<Q extends MuxRequest>(request: Q, item: MuxItem): ResultOf<Q['kind']> {
  const { decodeResult } = OPERATIONS[request.kind].mux
  // TypeScript does not see that request and result are of one kind.
  return (decodeResult as unknown as (item: MuxItem, request: Q) => ResultOf<Q['kind']>)(item, request)
}

export function recordJson(record: unknown): Json {
  const [key, value, create_revision, mod_revision, version, lease, by] = Array.isArray(record) ? record : []
  return { key, value, create_revision, mod_revision, version, lease, by }
}
