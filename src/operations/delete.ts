// Deletes one key, if it exists.

import type { EntryFacts } from './definition.ts'
import type { Condition } from './forms/conditions.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { changing, NO_LEASES } from './forms/rights.ts'

export interface DeleteRequest {
  readonly kind: 'delete'
  readonly key: Uint8Array
  readonly condition: Condition | undefined
  readonly prev: boolean
  readonly idempotency: Idempotency | undefined
}

export const del: EntryFacts<Omit<DeleteRequest, 'idempotency'>> = {
  effect: 'change',
  isAudited: true,
  label: 'delete',
  room: 'frees',
  demands: ({ key, condition, prev }) => changing({ key }, condition !== undefined || prev),
  leases: () => NO_LEASES,
}
