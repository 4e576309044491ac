// Changes replicated settings. A setting that is absent keeps its value.

import type { EntryFacts } from './definition.ts'
import type { Idempotency } from './forms/idempotency.ts'
import { ADMINISTER, NO_LEASES } from './forms/rights.ts'
import type { KvSettings } from './forms/settings.ts'

export interface ChangeSettingsRequest {
  readonly kind: 'change-settings'
  readonly settings: Partial<KvSettings>
  /** Leader leases, which the core keeps. A field that is absent keeps its value. */
  readonly leases?:
    | { readonly on?: boolean | undefined; readonly durationMs?: number | undefined }
    | undefined
  readonly idempotency: Idempotency | undefined
}

export const changeSettings: EntryFacts<unknown> = {
  effect: 'change',
  isAudited: true,
  label: 'other',
  room: 'takes',
  demands: () => ADMINISTER,
  leases: () => NO_LEASES,
}
