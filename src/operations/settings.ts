// The replicated settings, as the node that is asked has applied them.

import type { OperationFacts } from './definition.ts'
import { CALL } from './forms/rights.ts'

export interface SettingsRequest {
  readonly kind: 'settings'
}

export const settings: OperationFacts<unknown> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: () => CALL,
}
