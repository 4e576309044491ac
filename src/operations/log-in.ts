// Makes a token for a password. Every node accepts it.

import type { OperationFacts } from './definition.ts'
import { NOTHING } from './forms/rights.ts'

export interface LogInRequest {
  readonly kind: 'log-in'
  readonly user: string
  readonly password: string
}

export const logIn: OperationFacts<unknown> = {
  effect: 'read',
  isAudited: true,
  label: 'other',
  demands: () => NOTHING,
}
