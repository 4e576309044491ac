// Hands the leadership over, to a voter or to the most up-to-date one.

import type { OperationFacts } from './definition.ts'
import { ADMINISTER } from './forms/rights.ts'

export interface TransferLeadershipRequest {
  readonly kind: 'transfer-leadership'
  /** undefined: to the most up-to-date voter. */
  readonly to: string | undefined
}

export const transferLeadership: OperationFacts<unknown> = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  demands: () => ADMINISTER,
}
