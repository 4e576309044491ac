// Transactions, and the results of their operations.

import type { KeptParts, PutLease } from './leases.ts'
import type { Where } from './places.ts'
import type { KeyRow, LeaseId, Revision } from './store.ts'

/** Limit on the depth of transactions within transactions, with the outermost. */
export const TXN_DEPTH_MAX = 16

export interface KvTxn {
  readonly compare: readonly KvComparison[]
  /** Done when all comparisons hold. */
  readonly success: readonly KvTxnOperation[]
  /** Done otherwise. */
  readonly failure: readonly KvTxnOperation[]
}

/**
 * A comparison of a range holds for every key in it. A key that does not exist has revisions and version 0, and so has
 * a range without keys.
 */
export type KvComparison = { readonly where: Where; readonly op: '=' | '!=' | '<' | '>' } & (
  | { readonly target: 'value'; readonly to: Uint8Array }
  | { readonly target: 'version' | 'create_revision' | 'mod_revision'; readonly to: number }
  /** undefined: no lease. */
  | { readonly target: 'lease'; readonly to: LeaseId | undefined }
)

export type KvTxnOperation =
  | ({
      readonly kind: 'put'
      readonly key: Uint8Array
      readonly value: Uint8Array
      readonly prev: boolean
      readonly lease?: PutLease | undefined
    } & KeptParts)
  | {
      readonly kind: 'get'
      readonly where: Where
      /** Records at most; undefined: all. */
      readonly limit: number | undefined
      readonly keysOnly: boolean
      /** The result has the number of all records, whatever the limit. */
      readonly count: boolean
      /** The result has this number alone. */
      readonly countOnly: boolean
      /**
       * As the store was at this revision; undefined: as the operations before have left it. Only etcd's API says it:
       * over the other wires the revision of a transaction is that of all its reads.
       */
      readonly revision?: Revision | undefined
    }
  | { readonly kind: 'delete'; readonly where: Where; readonly prev: boolean }
  | { readonly kind: 'txn'; readonly txn: KvTxn }

export interface KvTxnResult {
  readonly succeeded: boolean
  /** One for each operation of the branch that was done. */
  readonly results: readonly KvTxnOperationResult[]
}

export type KvTxnOperationResult =
  | {
      readonly kind: 'put'
      readonly createRevision: Revision
      readonly modRevision: Revision
      readonly version: number
      /** undefined: the operation did not request it, or this is a remembered outcome. */
      readonly prev: KeyRow | null | undefined
    }
  | {
      readonly kind: 'get'
      /** undefined: a remembered outcome, in which records are not kept. */
      readonly found:
        | {
            readonly records: readonly KeyRow[]
            readonly more: boolean
            /** undefined: the operation did not request it. */
            readonly count: number | undefined
          }
        | undefined
    }
  | { readonly kind: 'delete'; readonly deleted: number; readonly prev: readonly KeyRow[] | undefined }
  | ({ readonly kind: 'txn' } & KvTxnResult)

/** Whether it has no puts and no deletes, in either branch. */
export const onlyReads = ({ success, failure }: KvTxn): boolean =>
  [...success, ...failure].every(
    (operation) => operation.kind === 'get' || (operation.kind === 'txn' && onlyReads(operation.txn)),
  )

/** Whether it requests records as they were before. Its outcome is not remembered, so it cannot be sent twice. */
export const wantsPrev = ({ success, failure }: KvTxn): boolean =>
  [...success, ...failure].some((operation) =>
    operation.kind === 'txn' ? wantsPrev(operation.txn) : 'prev' in operation && operation.prev,
  )

/** Bytes of the keys and values of a transaction. */
export function bytesOfTxn({ compare, success, failure }: KvTxn): number {
  let bytes = 0
  for (const comparison of compare)
    bytes += boundsBytes(comparison.where) + (comparison.target === 'value' ? comparison.to.length : 0)
  for (const operation of [...success, ...failure]) {
    if (operation.kind === 'put') bytes += operation.key.length + operation.value.length
    else bytes += operation.kind === 'txn' ? bytesOfTxn(operation.txn) : boundsBytes(operation.where)
  }
  return bytes
}

/** Bytes of a key, or of both bounds of a range: a prefix counts with the end that follows from it. */
const boundsBytes = (where: Where): number =>
  'key' in where ? where.key.length : where.start.length + (where.end?.length ?? 0)
