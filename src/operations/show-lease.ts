// Reads one lease.

import type { OperationFacts } from './definition.ts'
import type { FreshnessOptions } from './forms/freshness.ts'
import { CALL } from './forms/rights.ts'
import type { LeaseId } from './forms/store.ts'

export interface ShowLeaseRequest {
  readonly kind: 'show-lease'
  readonly id: LeaseId
  /** The answer has its keys. */
  readonly keys: boolean
  readonly freshness: FreshnessOptions
}

export const showLease: OperationFacts<ShowLeaseRequest> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: ({ id, keys }) => (keys ? [...CALL, { to: 'read-lease', lease: id }] : CALL),
}
