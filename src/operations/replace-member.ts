// Removes the replica of this name and adds another one, in one joint change.

import type { OperationFacts } from './definition.ts'
import type { NewReplica } from './forms/members.ts'
import { ADMINISTER } from './forms/rights.ts'

export interface ReplaceMemberRequest {
  readonly kind: 'replace-member'
  readonly name: string
  readonly member: NewReplica
}

export const replaceMember: OperationFacts<unknown> = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  demands: () => ADMINISTER,
  isForJoining: true,
}
