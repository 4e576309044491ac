// Ends a lease, and deletes its keys, at one revision.

import type { EntryFacts } from './definition.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { CALL, type LeaseDemand } from './forms/rights.ts'
import type { LeaseId } from './forms/store.ts'

export interface RevokeRequest {
  readonly kind: 'revoke'
  readonly id: LeaseId
  readonly idempotency: Idempotency | undefined
}

const leaseOf = ({ id }: Pick<RevokeRequest, 'id'>): readonly LeaseDemand[] => [{ to: 'revoke', lease: id }]

export const revoke: EntryFacts<Pick<RevokeRequest, 'id'>> = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  room: 'frees',
  demands: (operation) => [...CALL, ...leaseOf(operation)],
  leases: leaseOf,
}
