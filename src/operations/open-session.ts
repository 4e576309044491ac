// Opens a session, by whose slots changes are applied at most once.

import type { EntryFacts } from './definition.ts'
import { CALL, NO_LEASES } from './forms/rights.ts'

export interface OpenSessionRequest {
  readonly kind: 'open-session'
}

export const openSession: EntryFacts<unknown> = {
  effect: 'change',
  // A client opens one by itself, before its first change.
  isAudited: false,
  label: 'other',
  room: 'takes',
  demands: () => CALL,
  leases: () => NO_LEASES,
}
