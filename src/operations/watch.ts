// Every change of a key or a range, from a revision on.

import type { OperationFacts } from './definition.ts'
import type { Where } from './forms/places.ts'
import { reading } from './forms/rights.ts'
import type { Revision } from './forms/store.ts'

/** The silence after which a client receives a progress message, in milliseconds. */
export const PROGRESS_MS_DEFAULT = 10_000
export const PROGRESS_MS_MIN = 100
export const PROGRESS_MS_MAX = 3_600_000

/** The changes that a client watches, and the form in which it receives them. */
export interface WatchedChanges {
  /** One key, or a range. */
  readonly where: Where
  /** The first revision of interest; undefined: the next one. */
  readonly from: Revision | undefined
  /** The type of the events; undefined for both. */
  readonly only: 'put' | 'delete' | undefined
  /** Whether events have the previous record. */
  readonly prev: boolean
  /** Whether records have their values. */
  readonly values: boolean
  /** The client receives a progress message when nothing was sent for this long, in milliseconds. */
  readonly progressMs: number
}

export interface WatchRequest {
  readonly kind: 'watch'
  readonly request: WatchedChanges
}

export const watch: OperationFacts<WatchRequest> = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: ({ request }) => [reading(request.where)],
}
