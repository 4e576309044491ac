// Removes a member from the cluster.

import type { OperationFacts } from './definition.ts'
import { ADMINISTER } from './forms/rights.ts'

export interface RemoveMemberRequest {
  readonly kind: 'remove-member'
  readonly name: string
}

export const removeMember: OperationFacts<unknown> = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  demands: () => ADMINISTER,
}
