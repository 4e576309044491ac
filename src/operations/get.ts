// Reads one key.

import type { OperationFacts } from './definition.ts'
import type { Condition } from './forms/conditions.ts'
import type { FreshnessOptions } from './forms/freshness.ts'
import { reading } from './forms/rights.ts'
import type { Revision } from './forms/store.ts'

export interface GetRequest {
  readonly kind: 'get'
  readonly key: Uint8Array
  /** The state at this revision; undefined: the current state. */
  readonly revision?: Revision | undefined
  readonly condition?: Condition | undefined
  readonly freshness: FreshnessOptions
}

export const get: OperationFacts<GetRequest> = {
  effect: 'read',
  isAudited: false,
  label: 'get',
  demands: ({ key }) => [reading({ key })],
}
