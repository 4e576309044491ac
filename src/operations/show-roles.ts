// Reads one role, or all.

import type { OperationFacts } from './definition.ts'
import { ADMINISTER } from './forms/rights.ts'

export interface ShowRolesRequest {
  readonly kind: 'show-roles'
  /** undefined: all of them. */
  readonly name: string | undefined
}

export const showRoles: OperationFacts<unknown> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: () => ADMINISTER,
}
