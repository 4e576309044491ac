// Grants a lease: its keys are deleted when it ends.

import type { EntryFacts } from './definition.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { CALL, NO_LEASES } from './forms/rights.ts'
import type { LeaseId } from './forms/store.ts'

export interface GrantRequest {
  readonly kind: 'grant'
  /** undefined: the cluster chooses one. */
  readonly id: LeaseId | undefined
  /** As requested. The node raises it to the shortest time that survives an election. */
  readonly ttlMs: number
  readonly idempotency: Idempotency | undefined
}

export const grant: EntryFacts<unknown> = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  room: 'takes',
  demands: () => CALL,
  leases: () => NO_LEASES,
}
