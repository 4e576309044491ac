// A wire: the protocol in which a client of a run sends requests to a node. Workloads, histories and faults know none.

import type { HistoryOperation, RecordedResult, StoreOperation } from '../../workload/history.ts'
import type { StoreTransaction } from '../../workload/transaction.ts'

/** A node that may be asked. */
export interface NodeAddress {
  readonly name: string
  readonly port: number
}

export type RequestEnd =
  | { readonly kind: 'ok'; readonly result: RecordedResult }
  /** Certainly not applied. `unreachable`: there was no connection to the node. */
  | { readonly kind: 'fail'; readonly why: string; readonly unreachable: boolean; readonly wrong?: string }
  | { readonly kind: 'unknown'; readonly why: string; readonly wrong?: string }

/** Operations that are not about single keys, and are one request. Recipes make the others (recipes.ts). */
export type OneRequest = Extract<
  StoreOperation,
  { f: 'del-range' | 'compact' | 'grant' | 'keep-alive' | 'revoke' | 'lease' }
>

/** One client. It keeps its connections open, and repeats no request. `timeoutMs`: also the deadline of the node. */
export interface WireClient {
  perform(port: number, op: HistoryOperation | OneRequest, timeoutMs: number): Promise<RequestEnd>
  /** Returns one end for each operation of the transaction. */
  transact(port: number, txn: StoreTransaction, timeoutMs: number): Promise<readonly RequestEnd[]>
  close(): void
}

/** Parts of requests that not every wire has. A workload draws only what its wire has. */
export interface WireFeatures {
  readonly idempotencyTokens: boolean
  /** Lease reads, and reads with a bound on their age or their revision. */
  readonly freshness: boolean
  /** Puts with a time to live, which get a lease of their own. */
  readonly timedPuts: boolean
  /** Watches without values. */
  readonly valuelessWatches: boolean
  /** Watches of the client library report progress beyond their last event. */
  readonly libraryProgress: boolean
}

/** An answer that no server should give. */
export class WrongAnswer extends Error {}

/** How much longer than its deadline a client waits, so that the node can answer what it knows then. */
export const GRACE_MS = 500

/** The field, only if it has a value. */
export function optional<Name extends keyof RecordedResult>(
  name: Name,
  value: RecordedResult[Name] | undefined,
): RecordedResult {
  return value === undefined ? {} : { [name]: value }
}

export interface RowMeta {
  readonly modRevision: number
  readonly version: number
}

/**
 * The metadata of a key. Returns undefined if they contradict each other: version 1 has the revision at which the key
 * was created, and each later version has a higher revision.
 */
export function metaFrom(created: number, modRevision: number, version: number): RowMeta | undefined {
  if (created < 1 || version < 1) return undefined
  if (version === 1 ? modRevision !== created : modRevision - created < version - 1) return undefined
  return { modRevision, version }
}
