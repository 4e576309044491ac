// The requests of the client, in a form that is the same for every transport. transport/http-codec.ts has their form as
// HTTP requests, transport/mux-codec.ts that on the multiplexed connection.

import { asRevision, type Condition } from '../operations/forms/index.ts'
import { checkKeyLength } from './address.ts'
import { QuorateError } from './errors.ts'
import { bytesIn, type TxnProperties, type WireRange, type WireTxn } from './txn-wire.ts'
import type { Consistency, DeleteResult, KvRecord, PutResult } from './types.ts'

/** Numbers of the multiplexed protocol. API has none there. */
export const API = 0
export const PUT = 1
export const DELETE = 2
export const GET = 3
export const RANGE = 4
export const CHANGES = 6
export const TXN = 7
export const DELETE_RANGE = 8
export const COMPACT = 9
export const KEEP_ALIVE = 10
export const WATCH = 16

export interface PutOperation {
  readonly op: typeof PUT
  readonly key: Buffer
  readonly value: Buffer
  readonly ifRevision: number | undefined
  readonly ifAbsent: boolean
  /** At most one of the two. */
  readonly lease: string | undefined
  readonly ttlMs: number | undefined
}

export interface DeleteOperation {
  readonly op: typeof DELETE
  readonly key: Buffer
  readonly ifRevision: number | undefined
}

export type ChangeOperation = PutOperation | DeleteOperation

/**
 * A batch: changes that are one entry of the log and share one write id. Each has its own outcome. A batch of one
 * change is sent as that change.
 */
export interface ChangesOperation {
  readonly op: typeof CHANGES
  readonly changes: ChangeOperation[]
  /** Total of all keys and values. */
  bytes: number
  /** Set when the batch is encoded for the first time. From then on it must not grow: a retry is the same request. */
  isSealed: boolean
}

export interface GetOperation extends ReadFreshness {
  readonly op: typeof GET
  readonly key: Buffer
  /** The state at this revision; undefined: the current state. */
  readonly revision: number | undefined
}

export interface PageOperation extends ReadFreshness, RangeQuery {
  readonly op: typeof RANGE
  readonly limit: number
  readonly after: Uint8Array | undefined
}

export interface RangeQuery {
  readonly prefix: Uint8Array | undefined
  readonly start: Uint8Array | undefined
  readonly end: Uint8Array | undefined
  readonly order: 'asc' | 'desc' | undefined
  readonly keysOnly: boolean
  /** As for a get. */
  readonly revision: number | undefined
}

export interface TransactionOperation extends TxnProperties {
  readonly op: typeof TXN
  readonly txn: WireTxn
  /** Set for a transaction that only reads. */
  readonly freshness: ReadFreshness | undefined
}

export interface DeleteRangeOperation {
  readonly op: typeof DELETE_RANGE
  readonly range: WireRange & { readonly all?: true }
}

export interface CompactOperation {
  readonly op: typeof COMPACT
  readonly revision: number
}

export interface KeepAliveOperation {
  readonly op: typeof KEEP_ALIVE
  readonly leases: readonly string[]
}

/** Parameters of a watch. Fields that are undefined are not sent. */
export interface WatchParameters {
  readonly place: {
    readonly key?: Buffer | undefined
    readonly prefix?: Buffer | undefined
    readonly start?: Buffer | undefined
    readonly end?: Buffer | undefined
  }
  readonly from: number | undefined
  readonly prev: boolean
  readonly only: 'put' | 'delete' | undefined
  readonly values: boolean
  readonly progressMs: number
}

/** Begins a watch, whose answer has no end. */
export interface WatchOperation {
  readonly op: typeof WATCH
  readonly request: WatchParameters
  /** How long the node may be silent then. */
  readonly silentMs: number
}

/** How fresh the answer to a read must be. */
export interface ReadFreshness {
  readonly consistency: Consistency | undefined
  readonly maxStalenessMs: number | undefined
  /** 0: any. */
  readonly minRevision: number
}

/** An operation that every transport carries. */
export type ClientOperation =
  | ChangeOperation
  | ChangesOperation
  | GetOperation
  | PageOperation
  | TransactionOperation
  | DeleteRangeOperation
  | CompactOperation
  | KeepAliveOperation
  | WatchOperation

/** A request of the HTTP API that is no operation: members, settings, status, leases, counts, lists of one revision. */
export interface ApiRequest {
  readonly op: typeof API
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body?: Uint8Array | undefined
  /** The outcome is known when an answer of 200 begins. */
  readonly stream?: boolean | undefined
}

export type CallRequest = ClientOperation | ApiRequest

/** Whether the answer may have no end. */
export const isStreamed = (request: CallRequest): boolean =>
  request.op === WATCH || (request.op === API && request.stream === true)

/** Operations with a typed result. */
export type SingleOperation = ChangeOperation | GetOperation

/** The result of a single operation. */
export type CallResult = PutResult | DeleteResult | KvRecord | undefined

/** The outcome of a change of a batch. */
export type ChangeOutcome = PutResult | DeleteResult | QuorateError

/** A transaction counts as a change, also if it only reads. */
const READS: ReadonlySet<number> = new Set([GET, RANGE, KEEP_ALIVE, WATCH])
export const isChange = ({ op }: ClientOperation): boolean => !READS.has(op)

/** Whether the leader takes part in a read: another node asks it first. */
export const isLeaderRead = (operation: ClientOperation): boolean => {
  const { op } = operation
  return op === KEEP_ALIVE || ((op === GET || op === RANGE) && operation.consistency !== 'stale')
}

/** The operation that is sent: a batch of one change is that change. A batch cannot grow from then on. */
export function sealed(operation: ClientOperation): ClientOperation {
  if (operation.op !== CHANGES) return operation
  operation.isSealed = true
  const [change] = operation.changes
  return change !== undefined && operation.changes.length === 1 ? change : operation
}

export const isPut = (change: ChangeOperation): change is PutOperation => change.op === PUT

/** A put whose key is attached to a lease. */
export const hasLease = (change: ChangeOperation): boolean =>
  isPut(change) && (change.lease !== undefined || change.ttlMs !== undefined)

/** The bytes of a change that count for limits. */
export const bytesOfChange = (change: ChangeOperation): number =>
  isPut(change) ? change.key.length + change.value.length : change.key.length

/** The bytes of a request that may take long to send. */
export function bytesOfRequest(request: CallRequest): number {
  switch (request.op) {
    case API:
      return request.body?.length ?? 0
    case PUT:
    case DELETE:
      return bytesOfChange(request)
    case CHANGES:
      return request.bytes
    case TXN:
      return bytesIn(request.txn)
    default:
      return 0
  }
}

/**
 * The bytes of a caller's key or value. They may be sent again and are compared with answers, so later changes of the
 * caller's buffer must not affect them.
 */
export const ownBytes = (value: string | Uint8Array): Buffer => Buffer.from(value as Uint8Array)

export function ownKey(key: string | Uint8Array): Buffer {
  const bytes = ownBytes(key)
  checkKeyLength(bytes)
  if (bytes.length > 0) return bytes
  throw new QuorateError('the key is empty', { code: 'key_empty', written: 'no' })
}

/** The condition of a change. */
export function conditionOf(change: ChangeOperation): Condition | undefined {
  if (isPut(change) && change.ifAbsent) return { ifMatch: undefined, ifNoneMatch: 'any' }
  const { ifRevision } = change
  return ifRevision === undefined ? undefined : { ifMatch: [asRevision(ifRevision)], ifNoneMatch: undefined }
}
