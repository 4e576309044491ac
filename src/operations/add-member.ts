// Adds a replica to the cluster as a learner, which becomes a voter when it has caught up.

import type { OperationFacts } from './definition.ts'
import type { NewReplica } from './forms/members.ts'
import { ADMINISTER } from './forms/rights.ts'

export interface AddMemberRequest {
  readonly kind: 'add-member'
  readonly member: NewReplica
}

export const addMember: OperationFacts<unknown> = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  demands: () => ADMINISTER,
  isForJoining: true,
}
