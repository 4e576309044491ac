// The members and the leader, as the node that is asked knows them.

import type { OperationFacts } from './definition.ts'
import { CALL } from './forms/rights.ts'

export interface ClusterRequest {
  readonly kind: 'cluster'
}

export const cluster: OperationFacts<unknown> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: () => CALL,
  isForJoining: true,
}
