// The status of the node that is asked.

import type { OperationFacts } from './definition.ts'
import { CALL } from './forms/rights.ts'

export interface StatusRequest {
  readonly kind: 'status'
}

export const status: OperationFacts<unknown> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: () => CALL,
}
