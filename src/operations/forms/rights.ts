// The rights that an operation demands of whoever calls it.

import type { PutLease } from './leases.ts'
import { type KeyRange, rangeAt, type Where } from './places.ts'
import type { LeaseId } from './store.ts'

/** A right on a lease. */
export interface LeaseDemand {
  readonly to: 'attach' | 'keep-alive' | 'revoke' | 'read-lease'
  readonly lease: LeaseId
}

/** A right that somebody needs. */
export type AccessDemand =
  | { readonly to: 'read' | 'write'; readonly range: KeyRange }
  | LeaseDemand
  /** Members, settings, compaction, users and roles. */
  | { readonly to: 'administer' }
  /** The permissions of a role, for those who have it. */
  | { readonly to: 'see-role'; readonly role: string }
  /** Any user. */
  | { readonly to: 'call' }
  /** Any user who may write a key, or administer. */
  | { readonly to: 'change' }
  /** Nodes do it by themselves. No user may. */
  | { readonly to: 'be-node' }

export const CALL: readonly AccessDemand[] = [{ to: 'call' }]
export const ADMINISTER: readonly AccessDemand[] = [{ to: 'administer' }]
export const CHANGE: readonly AccessDemand[] = [{ to: 'change' }]
export const BE_NODE: readonly AccessDemand[] = [{ to: 'be-node' }]
/** Also without a user. */
export const NOTHING: readonly AccessDemand[] = []
export const NO_LEASES: readonly LeaseDemand[] = []

/** The right to read what is at a place. */
export const reading = (where: Where): AccessDemand => ({ to: 'read', range: rangeAt(where) })

/** The right to change what is at a place. `reads`: the answer says something about the keys before the change. */
export function changing(where: Where, reads: boolean): readonly AccessDemand[] {
  const range = rangeAt(where)
  return reads
    ? [
        { to: 'write', range },
        { to: 'read', range },
      ]
    : [{ to: 'write', range }]
}

/** A key that is attached to a lease ends with its other keys. A lease of the key's own has no other key. */
export const attaching = (lease: PutLease | undefined): readonly LeaseDemand[] =>
  lease !== undefined && 'id' in lease ? [{ to: 'attach', lease: lease.id }] : NO_LEASES
