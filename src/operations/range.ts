// Reads the keys of a range, a page or all of them, or counts them.

import type { OperationFacts } from './definition.ts'
import type { FreshnessOptions } from './forms/freshness.ts'
import type { KeyRange } from './forms/places.ts'
import { reading } from './forms/rights.ts'
import type { Revision } from './forms/store.ts'

export interface RangeRequest {
  readonly kind: 'range'
  readonly range: KeyRange
  /** Exclusive: the page begins after this key, in the order of the range. */
  readonly after?: Uint8Array | undefined
  readonly order?: 'asc' | 'desc' | undefined
  /** Records at most; a stream has no limit unless given, a page the default of the node. */
  readonly limit?: number | undefined
  readonly keysOnly?: boolean | undefined
  /** Counts the whole range as well. */
  readonly count?: boolean | undefined
  /** Counts the whole range, and reads no records. */
  readonly countOnly?: boolean | undefined
  /** Answers with a stream of all records in place of one page. */
  readonly stream?: boolean | undefined
  readonly revision?: Revision | undefined
  readonly freshness: FreshnessOptions
}

export const range: OperationFacts<RangeRequest> = {
  effect: 'read',
  isAudited: false,
  label: 'range',
  demands: (operation) => [reading(operation.range)],
}
