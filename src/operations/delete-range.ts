// Deletes all keys of a range, at one revision.

import type { EntryFacts } from './definition.ts'
import type { Idempotency } from './forms/idempotency.ts'
import type { KeyRange } from './forms/places.ts'
import { changing, NO_LEASES } from './forms/rights.ts'

export interface DeleteRangeRequest {
  readonly kind: 'delete-range'
  readonly range: KeyRange
  readonly idempotency: Idempotency | undefined
}

export const deleteRange: EntryFacts<Pick<DeleteRangeRequest, 'range'>> = {
  effect: 'change',
  isAudited: true,
  label: 'delete',
  room: 'frees',
  demands: ({ range }) => changing(range, false),
  leases: () => NO_LEASES,
}
