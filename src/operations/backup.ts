// Reads all of the store at one revision, as the bytes of a file.

import type { OperationFacts } from './definition.ts'
import { ADMINISTER } from './forms/rights.ts'

export interface BackupRequest {
  readonly kind: 'backup'
  /** false: without the versions of keys that were replaced. */
  readonly history: boolean
}

export const backup: OperationFacts<unknown> = {
  effect: 'read',
  isAudited: true,
  label: 'other',
  demands: () => ADMINISTER,
}
