// Ends the history before a revision: the store can be read at this revision and later ones.

import type { EntryFacts } from './definition.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { ADMINISTER, NO_LEASES } from './forms/rights.ts'
import type { Revision } from './forms/store.ts'

export interface CompactRequest {
  readonly kind: 'compact'
  readonly revision: Revision
  readonly idempotency: Idempotency | undefined
}

export const compact: EntryFacts<unknown> = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  room: 'frees',
  demands: () => ADMINISTER,
  leases: () => NO_LEASES,
}
