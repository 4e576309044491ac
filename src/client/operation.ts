// The operations that both transports carry: put, delete, a batch of them, get, and a page of a range. requests.ts has
// their form as HTTP requests, messages.ts that on the multiplexed connection.

import { checkKeyLength } from './address.ts'
import { QuorateError } from './errors.ts'
import type { TxnProperties, WirePlace, WireTxn } from './txn-wire.ts'
import type { Consistency, DeleteResult, KvRecord, PutResult } from './types.ts'

export const PUT = 1
export const DELETE = 2
export const GET = 3
export const RANGE = 4
export const CHANGES = 6
// From here on: for nodes whose welcome says that they know them.
export const TXN = 7
export const DELETE_RANGE = 8
export const COMPACT = 9
/** For nodes whose welcome says that they know it. */
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
 * A batch: several changes that are one entry of the log and have one identity. Each has its own outcome. It may grow
 * until it is sent.
 */
export interface ChangesOperation {
  readonly op: typeof CHANGES
  readonly changes: ChangeOperation[]
  /** Of all keys and values. */
  bytes: number
}

export interface GetOperation extends Freshness {
  readonly op: typeof GET
  readonly key: Buffer
  /** As the store was then; undefined: as it is. Only for nodes that know transactions. */
  readonly revision: number | undefined
}

export interface RangeOperation extends Freshness, Range {
  readonly op: typeof RANGE
  readonly limit: number
  readonly after: Uint8Array | undefined
}

export interface Range {
  readonly prefix: Uint8Array | undefined
  readonly start: Uint8Array | undefined
  readonly end: Uint8Array | undefined
  readonly order: 'asc' | 'desc' | undefined
  readonly keysOnly: boolean
  /** As for a get. */
  readonly revision: number | undefined
}

export interface TxnOperation extends TxnProperties {
  readonly op: typeof TXN
  readonly txn: WireTxn
  /** Of one that only reads. */
  readonly freshness: Freshness | undefined
}

export interface DeleteRangeOperation {
  readonly op: typeof DELETE_RANGE
  readonly range: WirePlace & { readonly all?: true }
}

export interface CompactOperation {
  readonly op: typeof COMPACT
  readonly revision: number
}

export interface KeepAliveOperation {
  readonly op: typeof KEEP_ALIVE
  readonly leases: readonly string[]
}

/** What a watch asks for. Fields that are undefined are not sent. */
export interface WatchRequest {
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

/** It begins a watch, whose answer has no end. */
export interface WatchOperation {
  readonly op: typeof WATCH
  readonly request: WatchRequest
  /** How long the node may be silent then. */
  readonly silentMs: number
}

/** Those that are seldom: `fast.ts` does not know them. */
export type SeldomOperation =
  | GetOperation
  | TxnOperation
  | DeleteRangeOperation
  | CompactOperation
  | KeepAliveOperation
  | WatchOperation

/** How fresh the answer to a read must be. */
export interface Freshness {
  readonly consistency: Consistency | undefined
  readonly maxStalenessMs: number | undefined
  /** 0: any. */
  readonly minRevision: number
}

export type Operation = ChangeOperation | ChangesOperation | RangeOperation | SeldomOperation

/** What a caller asks for at once. */
export type SingleOperation = ChangeOperation | GetOperation

/** What the caller of an operation gets. */
export type Result = PutResult | DeleteResult | KvRecord | undefined

/** The outcome of a change of a batch. */
export type ChangeResult = PutResult | DeleteResult | QuorateError

/** A transaction counts as a change, also if it only reads. */
const NO_CHANGES: ReadonlySet<number> = new Set([GET, RANGE, KEEP_ALIVE, WATCH])
export const isChange = ({ op }: Operation): boolean => !NO_CHANGES.has(op)

export const isPut = (change: ChangeOperation): change is PutOperation => change.op === PUT

/** A put whose key is attached to a lease. */
export const hasLease = (change: ChangeOperation): boolean =>
  isPut(change) && (change.lease !== undefined || change.ttlMs !== undefined)

/** The bytes of a change that count for limits. */
export const bytesOfChange = (change: ChangeOperation): number =>
  isPut(change) ? change.key.length + change.value.length : change.key.length

/**
 * The bytes of a caller's key or value. They may be sent again and are compared with answers, so later changes of the
 * caller's buffer must not affect them.
 */
export const ownBytes = (value: string | Uint8Array): Buffer => Buffer.from(value as Uint8Array)

export function ownKey(key: string | Uint8Array): Buffer {
  const bytes = ownBytes(key)
  checkKeyLength(bytes)
  if (bytes.length > 0) return bytes
  throw new QuorateError('a key has at least one byte', { code: 'key_empty', written: 'no' })
}
