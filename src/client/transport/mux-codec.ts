// The items of the multiplexed connection (docs/reference/protocol.md): operations to a node, and its answers.

import { problemError } from '../call-error.ts'
import { consistencyOf, isObject, isWholeNumber, type Json, problemFrom, recordOf } from '../decode.ts'
import type { Endpoint } from '../endpoints.ts'
import {
  bytesOfChange,
  CHANGES,
  type ChangeOperation,
  type ChangeResult,
  type ChangesOperation,
  COMPACT,
  DELETE,
  DELETE_RANGE,
  type Freshness,
  GET,
  hasLease,
  isChange,
  isPut,
  KEEP_ALIVE,
  type Operation,
  PUT,
  RANGE,
  type RangeOperation,
  type Result,
  type SingleOperation,
  TXN,
  WATCH,
  type WatchRequest,
} from '../operation.ts'
import { bytesIn, partsIn } from '../txn-wire.ts'
import type { AnswerInfo, KvRecord } from '../types.ts'
import type { WriteId } from '../write-id.ts'
import type { Exchanged } from './http-transport.ts'

/** What a node says about itself when the connection begins. */
export interface Welcome {
  readonly cluster: string
  readonly node: string
  readonly revision: number
  readonly leader: Leader
  readonly operationsMax: number
  readonly bytesMax: number
  readonly messageBytesMax: number
  /** How many changes a batch may have; 0: the node knows no batches. */
  readonly changesMax: number
  /**
   * How many comparisons, and operations in each branch, a transaction may have; 0: the node knows none, and nothing
   * of history.
   */
  readonly txnOperationsMax: number
  /** How many leases one operation may keep alive; 0: the node knows no leases here. */
  readonly keepAliveMax: number
  /** How many watches the connection may have; 0: the node knows none. */
  readonly watchesMax: number
}

/** Who leads in a term, as a node knows it. */
export interface Leader {
  readonly term: number
  readonly name: string | undefined
}

export type MuxItem = readonly unknown[]

const CANCEL = 0
/** The second field of what is told of a watch. */
export const EVENTS = 2
export const PROGRESS = 3
export const WATCH_ENDED = 4
/** The second field of an answer. */
export const SERVED = 0
export const PROBLEM = 1
/** The credit that a page of a range takes. */
const RANGE_BYTES = 1024
/** What the id of a lease takes of the credit. */
const LEASE_ID_BYTES = 20
/** Space for everything of an item but keys and values: numbers, the identity, conditions. */
const ITEM_BYTES = 128
/** The same for a value in a transaction, with its name. */
const PART_BYTES = 32
/** The answer does not have the agreed form. */
export const MALFORMED = Symbol('malformed')

const VERSION = 1

/** The first item of a connection; undefined when it is not one of this version of the protocol. */
export function welcomeOf(item: unknown): Welcome | undefined {
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
    changes_max,
    txn_operations_max,
    keep_alive_max,
    watches_max,
  } = item[2]
  if (version !== VERSION || typeof cluster !== 'string' || typeof node !== 'string') return undefined
  const limits = [operations_max, bytes_max, message_bytes_max]
  const [operationsMax = 0, bytesMax = 0, messageBytesMax = 0] = limits.filter(isWholeNumber)
  if (!isWholeNumber(revision) || operationsMax < 1 || bytesMax < 1 || messageBytesMax < 1) return undefined
  const changesMax = isWholeNumber(changes_max) ? changes_max : 0
  const txnOperationsMax = isWholeNumber(txn_operations_max) ? txn_operations_max : 0
  const keepAliveMax = isWholeNumber(keep_alive_max) ? keep_alive_max : 0
  const watchesMax = isWholeNumber(watches_max) ? watches_max : 0
  const known = { changesMax, txnOperationsMax, keepAliveMax, watchesMax }
  const limit = { operationsMax, bytesMax, messageBytesMax, ...known }
  return { cluster, node, revision, leader: leaderOf(term, leader), ...limit }
}

/** A notice of another leader; undefined when it is another notice. */
export const leaderIn = ([, kind, term, name]: MuxItem): Leader | undefined =>
  kind === 'leader' ? leaderOf(term, name) : undefined

const leaderOf = (term: unknown, name: unknown): Leader => ({
  term: isWholeNumber(term) ? term : 0,
  name: typeof name === 'string' ? name : undefined,
})

/** The bytes that an operation takes of the credit. */
export function creditOf(operation: Operation): number {
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
export function sizeOf(operation: Operation): number {
  if (operation.op === CHANGES) return sizeOfChanges(operation.changes.length, operation.bytes)
  if (operation.op === TXN) return ITEM_BYTES + PART_BYTES * partsIn(operation.txn) + creditOf(operation)
  if (operation.op === WATCH) return 2 * ITEM_BYTES + bytesIn(operation.request.place)
  if (operation.op !== RANGE) return ITEM_BYTES + creditOf(operation)
  const { prefix, start, end, after } = operation
  return [prefix, start, end, after].reduce((sum, key) => sum + (key?.length ?? 0), 2 * ITEM_BYTES)
}

/** The same for a batch of so many changes, with so many bytes of keys and values. */
export const sizeOfChanges = (count: number, bytes: number): number => ITEM_BYTES * (1 + count) + bytes

export const cancelOf = (id: number): MuxItem => [id, CANCEL]

/** `timeoutMs`: how long the node may take. */
export function itemOf(
  id: number,
  operation: Operation,
  timeoutMs: number,
  identity: WriteId | undefined,
): MuxItem {
  switch (operation.op) {
    case PUT: {
      const conditions = conditionsOf(operation)
      const item = [id, PUT, timeoutMs, operation.key, operation.value, identity ?? null]
      return conditions === undefined ? item : [...item, conditions]
    }
    case DELETE: {
      const conditions = conditionsOf(operation)
      const item = [id, DELETE, timeoutMs, operation.key, identity ?? null]
      return conditions === undefined ? item : [...item, conditions]
    }
    case CHANGES:
      return [id, CHANGES, timeoutMs, operation.changes.map(changeOf), identity ?? null]
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
      if (freshness === undefined) return [id, TXN, timeoutMs, txn, identity ?? null]
      return [id, TXN, timeoutMs, txn, null, freshness.minRevision || null, freshnessOf(freshness)]
    }
    case DELETE_RANGE:
      return [id, DELETE_RANGE, timeoutMs, operation.range, identity ?? null]
    case COMPACT:
      return [id, COMPACT, timeoutMs, operation.revision, identity ?? null]
    case KEEP_ALIVE:
      return [id, KEEP_ALIVE, timeoutMs, operation.leases]
    case WATCH:
      return [id, WATCH, timeoutMs, ...watchFieldsOf(operation.request)]
  }
}

function watchFieldsOf({ place, from, prev, only, values, progressMs }: WatchRequest): MuxItem {
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

function freshnessOf({ consistency, maxStalenessMs }: Freshness): Json | null {
  if (consistency === undefined) return null
  return maxStalenessMs === undefined ? { consistency } : { consistency, max_staleness_ms: maxStalenessMs }
}

function rangeOf({ prefix, start, end, after, limit, order, keysOnly, revision }: RangeOperation): Json {
  const keys_only = keysOnly ? true : undefined
  return definedIn({ prefix, start, end, after, limit, order, keys_only, revision })
}

// ---------------------------------------------------------------------------------------------------------------------
// Answers

/** What the caller gets for an answer that serves the operation, or MALFORMED. */
export function resultOfItem(operation: SingleOperation, item: MuxItem): Result | typeof MALFORMED {
  switch (operation.op) {
    case PUT: {
      const [, , revision, createRevision, modRevision, version] = item
      const isWell =
        isWholeNumber(revision) &&
        isWholeNumber(createRevision) &&
        isWholeNumber(modRevision) &&
        isWholeNumber(version)
      return isWell ? { revision, createRevision, modRevision, version } : MALFORMED
    }
    case DELETE: {
      const [, , revision, deleted] = item
      if (!isWholeNumber(revision) || !isWholeNumber(deleted)) return MALFORMED
      return { deleted: deleted === 0 ? 0 : 1, revision }
    }
    case GET: {
      if (!isWholeNumber(item[2])) return MALFORMED
      if (item[3] === null || item[3] === undefined) return undefined
      return recordFromItem(operation.key, item[3])
    }
  }
}

/** The same for a batch. */
export function resultsOfItem(
  { changes }: ChangesOperation,
  [, , revision, outcomes]: MuxItem,
  endpoint: Endpoint,
  node: string,
): readonly ChangeResult[] | typeof MALFORMED {
  if (!isWholeNumber(revision) || !Array.isArray(outcomes)) return MALFORMED
  if (outcomes.length !== changes.length) return MALFORMED
  const results: ChangeResult[] = []
  for (const [at, change] of changes.entries()) {
    const result = resultOfChange(change, outcomes[at], endpoint, node)
    if (result === undefined) return MALFORMED
    results.push(result)
  }
  return results
}

/** undefined: it does not have the agreed form. */
function resultOfChange(
  change: ChangeOperation,
  outcome: unknown,
  endpoint: Endpoint,
  node: string,
): ChangeResult | undefined {
  if (!Array.isArray(outcome)) {
    if (!isObject(outcome) || !isWholeNumber(outcome.status)) return undefined
    const headers = { 'kv-cluster': 'ours', 'kv-node': node }
    return problemError(problemFrom(outcome.status, headers, outcome), headers, endpoint, 'keyed')
  }
  const [first, revision, version] = outcome
  if (!isWholeNumber(first) || !isWholeNumber(revision)) return undefined
  if (!isPut(change)) return { deleted: first === 0 ? 0 : 1, revision }
  if (!isWholeNumber(version)) return undefined
  return { revision, createRevision: first, modRevision: revision, version }
}

function recordFromItem(key: Buffer, record: unknown): KvRecord | typeof MALFORMED {
  if (!Array.isArray(record)) return MALFORMED
  const [, value, createRevision, modRevision, version, lease] = record as readonly unknown[]
  const isWell =
    Buffer.isBuffer(value) &&
    isWholeNumber(createRevision) &&
    isWholeNumber(modRevision) &&
    isWholeNumber(version) &&
    (lease === undefined || typeof lease === 'string')
  if (!isWell) return MALFORMED
  const keyBytes = new Uint8Array(key)
  const meta = { key: key.toString(), keyBytes, createRevision, modRevision, version }
  // A copy, since the original is a part of a message, which would stay in memory as long as it.
  return recordOf(meta, new Uint8Array(value), lease)
}

/** About the answer to a read. */
export function infoOf({ op }: Operation, item: MuxItem, node: string): AnswerInfo {
  const at = op === RANGE ? 6 : op === TXN ? 5 : 4
  const [revision, consistency, staleness] = [item[2], item[at], item[at + 1]]
  return {
    node,
    revision: isWholeNumber(revision) ? revision : undefined,
    consistency: consistencyOf(consistency),
    stalenessMs: typeof staleness === 'number' && staleness >= 0 ? staleness : undefined,
  }
}

/** An answer in the terms of HTTP, for the rules that both transports share. */
export function exchangedOf(operation: Operation, item: MuxItem, { cluster, node }: Welcome): Exchanged {
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
    const { consistency, stalenessMs } = infoOf(operation, item, node)
    if (consistency !== undefined) headers['kv-consistency'] = consistency
    if (stalenessMs !== undefined) headers['kv-staleness-ms'] = String(stalenessMs)
  }
  const notFound = operation.op === GET && (item[3] === null || item[3] === undefined)
  const body = notFound ? { code: 'not_found', detail: 'there is no such key' } : bodyOf(operation, item)
  return { kind: 'answered', status: notFound ? 404 : 200, headers, body }
}

function bodyOf(operation: Operation, item: MuxItem): Json {
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
  const [key, value, create_revision, mod_revision, version, lease] = Array.isArray(record) ? record : []
  return { key, value, create_revision, mod_revision, version, lease }
}
