// Whether rights are checked. Everybody may ask.

import type { OperationFacts } from './definition.ts'
import { NOTHING } from './forms/rights.ts'

export interface ShowAuthRequest {
  readonly kind: 'show-auth'
}

export const showAuth: OperationFacts<unknown> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: () => NOTHING,
}
