// Reads the leases of the store, in the order of their ids.

import type { OperationFacts } from './definition.ts'
import type { FreshnessOptions } from './forms/freshness.ts'
import { CALL } from './forms/rights.ts'
import type { LeaseId } from './forms/store.ts'

export interface ListLeasesRequest {
  readonly kind: 'list-leases'
  /** Exclusive: the page begins after this id. */
  readonly after: LeaseId | undefined
  readonly limit: number | undefined
  readonly freshness: FreshnessOptions
}

export const listLeases: OperationFacts<ListLeasesRequest> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: () => CALL,
}
