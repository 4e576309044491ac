// The items of the multiplexed connection (docs/reference/protocol.md): operations to a node, and its answers.

import type { SpanContext } from '@opentelemetry/api'
import { isObject, isWholeNumber } from '../../operations/forms/disagreement.ts'
import type { Idempotency } from '../../operations/forms/index.ts'
import { encodeIdempotency } from '../../operations/mux/options.ts'
import { TRACESTATE_CHARS_MAX, traceHeaders } from '../../tracing/trace-context.ts'
import type { Json } from '../decode.ts'
import {
  bytesOfChange,
  CHANGES,
  type ChangeOperation,
  type ClientOperation,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  GET,
  hasLease,
  isChange,
  isPut,
  KEEP_ALIVE,
  type PageOperation,
  PUT,
  RANGE,
  type ReadFreshness,
  sealed,
  TXN,
  WATCH,
  type WatchParameters,
} from '../operation.ts'
import { bytesIn, partsIn } from '../txn-wire.ts'
import type { CompleteAnswer } from './transport.ts'

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
/** The same for a value in a transaction, with its name. */
const PART_BYTES = 32

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
export function creditOf(operation: ClientOperation): number {
  switch (operation.op) {
    case PUT:
    case DELETE:
      return bytesOfChange(operation)
    case GET:
      return operation.key.length
    case CHANGES:
      return operation.bytes
    case RANGE:
    case WATCH:
      return RANGE_BYTES
    case TXN:
      return bytesIn(operation.txn)
    case DELETE_RANGE:
      return bytesIn(operation.range)
    case COMPACT:
      return 0
    case KEEP_ALIVE:
      return LEASE_ID_BYTES * operation.leases.length
  }
}

/** At most the bytes that an operation takes of a message. */
export function sizeOf(operation: ClientOperation): number {
  if (operation.op === CHANGES) return ITEM_BYTES * (1 + operation.changes.length) + operation.bytes
  if (operation.op === TXN) return ITEM_BYTES + PART_BYTES * partsIn(operation.txn) + creditOf(operation)
  if (operation.op === WATCH) return 2 * ITEM_BYTES + bytesIn(operation.request.place)
  if (operation.op !== RANGE) return ITEM_BYTES + creditOf(operation)
  const { prefix, start, end, after } = operation
  return [prefix, start, end, after].reduce((sum, key) => sum + (key?.length ?? 0), 2 * ITEM_BYTES)
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
export function itemOf(
  id: number,
  request: ClientOperation,
  timeoutMs: number,
  writeId: Idempotency | undefined,
): MuxItem {
  const operation = sealed(request)
  switch (operation.op) {
    case PUT: {
      const conditions = conditionsOf(operation)
      const item = [id, PUT, timeoutMs, operation.key, operation.value, encodeIdempotency(writeId)]
      return conditions === undefined ? item : [...item, conditions]
    }
    case DELETE: {
      const conditions = conditionsOf(operation)
      const item = [id, DELETE, timeoutMs, operation.key, encodeIdempotency(writeId)]
      return conditions === undefined ? item : [...item, conditions]
    }
    case CHANGES:
      return [id, CHANGES, timeoutMs, operation.changes.map(changeOf), encodeIdempotency(writeId)]
    case GET: {
      const { key, minRevision, consistency, revision } = operation
      if (revision !== undefined)
        return [id, GET, timeoutMs, key, minRevision || null, freshnessOf(operation), revision]
      if (consistency === undefined) return [id, GET, timeoutMs, key, minRevision || null]
      return [id, GET, timeoutMs, key, minRevision || null, freshnessOf(operation)]
    }
    case RANGE:
      return [id, RANGE, timeoutMs, rangeOf(operation), operation.minRevision || null, freshnessOf(operation)]
    case TXN: {
      const { txn, freshness } = operation
      if (freshness === undefined) return [id, TXN, timeoutMs, txn, encodeIdempotency(writeId)]
      return [id, TXN, timeoutMs, txn, null, freshness.minRevision || null, freshnessOf(freshness)]
    }
    case DELETE_RANGE:
      return [id, DELETE_RANGE, timeoutMs, operation.range, encodeIdempotency(writeId)]
    case COMPACT:
      return [id, COMPACT, timeoutMs, operation.revision, encodeIdempotency(writeId)]
    case KEEP_ALIVE:
      return [id, KEEP_ALIVE, timeoutMs, operation.leases]
    case WATCH:
      return [id, WATCH, timeoutMs, ...watchFieldsOf(operation.request)]
  }
}

function watchFieldsOf({ place, from, prev, only, values, progressMs }: WatchParameters): MuxItem {
  const options = { prev, only, values, progress_ms: progressMs }
  return [definedIn(place), from ?? null, definedIn(options)]
}

const definedIn = (fields: object): Json =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

function changeOf(change: ChangeOperation): MuxItem {
  const conditions = conditionsOf(change)
  if (conditions === undefined) return isPut(change) ? [PUT, change.key, change.value] : [DELETE, change.key]
  return isPut(change) ? [PUT, change.key, change.value, conditions] : [DELETE, change.key, conditions]
}

function conditionsOf(change: ChangeOperation): Json | undefined {
  if (!isPut(change) || !hasLease(change)) return plainConditionsOf(change)
  const { lease, ttlMs } = change
  return { ...plainConditionsOf(change), ...(lease === undefined ? { ttl_ms: ttlMs } : { lease }) }
}

function plainConditionsOf(change: ChangeOperation): Json | undefined {
  if (isPut(change) && change.ifAbsent) return { if_none_match: '*' }
  return change.ifRevision === undefined ? undefined : { if_match: [change.ifRevision] }
}

function freshnessOf({ consistency, maxStalenessMs }: ReadFreshness): Json | null {
  if (consistency === undefined) return null
  return maxStalenessMs === undefined ? { consistency } : { consistency, max_staleness_ms: maxStalenessMs }
}

function rangeOf({ prefix, start, end, after, limit, order, keysOnly, revision }: PageOperation): Json {
  const keys_only = keysOnly ? true : undefined
  return definedIn({ prefix, start, end, after, limit, order, keys_only, revision })
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** An answer in the terms of HTTP, so that both transports share one decoder and one set of rules. */
export function outcomeOf(
  request: ClientOperation,
  item: MuxItem,
  { cluster, node }: MuxWelcome,
): CompleteAnswer {
  const operation = sealed(request)
  const isServed = item[1] === SERVED
  const revision = isServed ? item[2] : item[3]
  const headers: Record<string, string> = { 'kv-cluster': cluster, 'kv-node': node }
  if (isWholeNumber(revision)) headers['kv-revision'] = String(revision)
  if (!isServed) {
    const problem = item[1] === PROBLEM && isObject(item[2]) ? item[2] : {}
    const status = isWholeNumber(problem.status) ? problem.status : 500
    return { kind: 'answered', status, headers, body: problem }
  }
  if (!isChange(operation) || operation.op === TXN) {
    const at = operation.op === RANGE ? 6 : operation.op === TXN ? 5 : 4
    const [consistency, staleness] = [item[at], item[at + 1]]
    if (typeof consistency === 'string') headers['kv-consistency'] = consistency
    if (typeof staleness === 'number' && staleness >= 0) headers['kv-staleness-ms'] = String(staleness)
  }
  const notFound = operation.op === GET && (item[3] === null || item[3] === undefined)
  const body = notFound ? { code: 'not_found', detail: 'there is no such key' } : bodyOf(operation, item)
  return { kind: 'answered', status: notFound ? 404 : 200, headers, body }
}

function bodyOf(operation: ClientOperation, item: MuxItem): Json {
  switch (operation.op) {
    case PUT: {
      const [, , revision, create_revision, mod_revision, version] = item
      return { revision, create_revision, mod_revision, version }
    }
    case DELETE:
      return { revision: item[2], deleted: item[3] }
    case CHANGES: {
      const [, , revision, outcomes] = item
      if (!Array.isArray(outcomes)) return { revision }
      return { revision, results: outcomes.map((each, at) => outcomeJson(operation.changes[at], each)) }
    }
    case GET:
      return { ...recordJson(item[3]), key: operation.key }
    case RANGE: {
      const [, , , records, more] = item
      if (!Array.isArray(records)) return { more }
      return { kvs: records.map(recordJson), more, next: records.at(-1)?.[0] }
    }
    case TXN:
      return isObject(item[3]) ? item[3] : {}
    case DELETE_RANGE:
      return { revision: item[2], deleted: item[3] }
    case COMPACT:
      return { revision: item[2], compact_revision: item[3] }
    case KEEP_ALIVE: {
      const lives = Array.isArray(item[3]) ? item[3] : []
      return { leases: lives.map((ttl_ms, at) => leaseJson(operation.leases[at], ttl_ms)) }
    }
    case WATCH:
      return { revision: item[2] }
  }
}

/** As in the answer over HTTP. The kind of a change says what its outcome means: later nodes may add fields. */
function outcomeJson(change: ChangeOperation | undefined, outcome: unknown): unknown {
  if (!Array.isArray(outcome)) return { problem: outcome }
  const [first, revision, version] = outcome
  return change?.op === DELETE
    ? { delete: { deleted: first, revision } }
    : { put: { create_revision: first, mod_revision: revision, version } }
}

const leaseJson = (id: string | undefined, ttl_ms: unknown): Json =>
  ttl_ms === null ? { id, missing: true } : { id, ttl_ms }

export function recordJson(record: unknown): Json {
  const [key, value, create_revision, mod_revision, version, lease, by] = Array.isArray(record) ? record : []
  return { key, value, create_revision, mod_revision, version, lease, by }
}
