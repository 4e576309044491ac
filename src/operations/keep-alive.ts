// Begins the time to live of leases anew.

import type { OperationFacts } from './definition.ts'
import { CALL } from './forms/rights.ts'
import type { LeaseId } from './forms/store.ts'

/** Limit on the leases of one request, and of the entry that renews them. */
export const RENEW_LEASES_MAX = 1000

export interface KeepAliveRequest {
  readonly kind: 'keep-alive'
  readonly ids: readonly LeaseId[]
  /** It is about one lease, and a missing one is an error. */
  readonly one: boolean
}

export const keepAlive: OperationFacts<KeepAliveRequest> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: ({ ids }) => [...CALL, ...ids.map((lease) => ({ to: 'keep-alive', lease }) as const)],
}
