// Reads one user, or all. A user may read what is known of himself.

import type { OperationFacts } from './definition.ts'
import { ADMINISTER, CALL } from './forms/rights.ts'

export interface ShowUsersRequest {
  readonly kind: 'show-users'
  /** undefined: all of them. */
  readonly name: string | undefined
}

export const showUsers: OperationFacts<ShowUsersRequest> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: ({ name }, user) => (name === user ? CALL : ADMINISTER),
}
