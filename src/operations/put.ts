// Puts one key. The condition, if any, is judged when the put is applied.

import type { EntryFacts } from './definition.ts'
import type { Condition } from './forms/conditions.ts'
import type { Idempotency } from './forms/idempotency.ts'
import type { PutLease } from './forms/leases.ts'
import { attaching, changing } from './forms/rights.ts'

export interface PutRequest {
  readonly kind: 'put'
  readonly key: Uint8Array
  readonly value: Uint8Array
  readonly condition: Condition | undefined
  /** The answer includes the row before the change. */
  readonly prev: boolean
  /** undefined: none, also if it had one before. */
  readonly lease?: PutLease | undefined
  readonly idempotency: Idempotency | undefined
}

export const put: EntryFacts<Omit<PutRequest, 'idempotency'>> = {
  effect: 'change',
  isAudited: true,
  label: 'put',
  room: 'takes',
  demands: ({ key, condition, prev, lease }) => [
    ...changing({ key }, condition !== undefined || prev),
    ...attaching(lease),
  ],
  leases: ({ lease }) => attaching(lease),
}
