// The types of transactions, ranges to delete and the end of history.

import type { RecordMeta } from './errors.ts'
import type { CallOptions, KvRecord, ListOptions, ReadOptions } from './types.ts'

/** One key, or all that exist in a range: with a prefix, or from `start` (inclusive) to `end` (exclusive). */
export type Place =
  | { readonly key: string | Uint8Array }
  | { readonly prefix: string | Uint8Array }
  | { readonly start: string | Uint8Array; readonly end?: string | Uint8Array }
  | { readonly end: string | Uint8Array }

export type TxnOperator = '=' | '!=' | '<' | '>'

/**
 * `target`: what is compared with `to`. Of a key that does not exist, version and revisions are 0, it has no lease, and
 * a comparison of its value does not hold. A comparison of a range holds if it holds for every key in it. A range
 * without keys compares as a key that does not exist.
 */
export type TxnComparison =
  | (Place & { readonly op: TxnOperator } & (
        | { readonly target: 'value'; readonly to: string | Uint8Array }
        /** Each with the name of the HTTP API, or that of the field of a record. */
        | {
            readonly target: 'version' | 'create_revision' | 'createRevision' | 'mod_revision' | 'modRevision'
            readonly to: number
          }
        /** The id of a lease as decimal digits; "0": no lease. */
        | { readonly target: 'lease'; readonly to: string }
      ))
  | { readonly key: string | Uint8Array; readonly exists: boolean }

/** Which lease deletes the key: an existing one, or one of its own. Without either it has none. */
export interface TxnPutOptions {
  /** Its id as decimal digits. */
  readonly lease?: string | undefined
  readonly ttlMs?: number | undefined
}

export interface TxnPut extends TxnPutOptions {
  readonly key: string | Uint8Array
  readonly value: string | Uint8Array
  /** The result has the record before. Then the transaction is not tried again once it was sent. */
  readonly prev?: boolean | undefined
}

export type TxnGet = Place & {
  /** At most this many records. */
  readonly limit?: number | undefined
  /** Leave out the values; they are empty then. */
  readonly keysOnly?: boolean | undefined
  /** The result has the number of all records at the place, whatever `limit` is. */
  readonly count?: boolean | undefined
  /** No records, only their number. */
  readonly countOnly?: boolean | undefined
}

export type TxnDelete = Place & {
  /** The result has the records before. Then the transaction is not tried again once it was sent. */
  readonly prev?: boolean | undefined
}

export type TxnOperation =
  | { readonly put: TxnPut }
  | { readonly get: TxnGet }
  | { readonly delete: TxnDelete }
  | { readonly txn: Txn }

/** If all comparisons hold, the operations in `success` are done, otherwise those in `failure`. */
export interface Txn {
  /** Left out: none. undefined is refused: a condition that got lost would be none as well. */
  readonly compare?: readonly TxnComparison[]
  readonly success?: readonly TxnOperation[] | undefined
  readonly failure?: readonly TxnOperation[] | undefined
}

/** Options of reads, beside `signal` and `timeoutMs`, are for transactions without puts and deletes only. */
export type TxnOptions = Omit<ReadOptions, 'revision'>

export interface TxnPutResult extends Pick<RecordMeta, 'createRevision' | 'modRevision' | 'version'> {
  /** Only with `prev`: the record before; null: there was none. */
  readonly prev?: KvRecord | null
}

export type TxnGetResult =
  | {
      readonly kvs: readonly KvRecord[]
      /** `limit` has left out some. */
      readonly more: boolean
      /** Only with `count` or `countOnly`: the number of all records at the place. */
      readonly count?: number
      readonly omitted?: undefined
    }
  /**
   * The transaction was sent more than once, and had been applied already: the cluster remembers what was done, but not
   * what was read. `get` with the transaction's revision reads it again.
   */
  | {
      readonly omitted: true
      readonly kvs?: undefined
      readonly more?: undefined
      readonly count?: undefined
    }

export interface TxnDeleteResult {
  readonly deleted: number
  /** Only with `prev`. */
  readonly prev?: readonly KvRecord[]
}

/** It has the field that its operation has. */
export type TxnOperationResult =
  | {
      readonly put: TxnPutResult
      readonly get?: undefined
      readonly delete?: undefined
      readonly txn?: undefined
    }
  | {
      readonly get: TxnGetResult
      readonly put?: undefined
      readonly delete?: undefined
      readonly txn?: undefined
    }
  | {
      readonly delete: TxnDeleteResult
      readonly put?: undefined
      readonly get?: undefined
      readonly txn?: undefined
    }
  | {
      readonly txn: TxnResult
      readonly put?: undefined
      readonly get?: undefined
      readonly delete?: undefined
    }

export interface TxnResult {
  /** All comparisons held: the operations in `success` were done. */
  readonly succeeded: boolean
  /** The store's revision after the transaction. */
  readonly revision: number
  /** One for each operation that was done, in order. */
  readonly results: readonly TxnOperationResult[]
}

export interface TransactOptions extends CallOptions {
  /** How often the body is run at most. Default: until the time is up. */
  readonly attemptsMax?: number | undefined
}

/**
 * Reads and writes of the body of `transact`. All reads show the store at the revision of the first one, with
 * what the body has written.
 */
export interface Transaction {
  get(key: string | Uint8Array): Promise<KvRecord | undefined>
  /** The commit compares the range up to the last record that was taken. */
  list(options?: TransactionListOptions): AsyncGenerator<KvRecord, void, undefined>
  /** Written at commit. */
  put(key: string | Uint8Array, value: string | Uint8Array, options?: TxnPutOptions): void
  /** Deleted at commit, if it exists then. */
  delete(key: string | Uint8Array): void
}

export type TransactionListOptions = Pick<
  ListOptions,
  'prefix' | 'start' | 'end' | 'limit' | 'order' | 'keysOnly'
>

/** `all: true`: all keys of the store. */
export type DeleteRange = Exclude<Place, { readonly key: string | Uint8Array }> | { readonly all: true }

export interface DeleteRangeResult {
  readonly deleted: number
  readonly revision: number
}

export interface RaisedRevision {
  /** The revision of the store. */
  readonly revision: number
}

export interface CompactResult {
  /** The store can be read from this revision on. */
  readonly compactRevision: number
  readonly revision: number
}
