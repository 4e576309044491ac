// Conditions of a change or a read.

import type { Revision } from './store.ts'

/** RFC 9110 §13 preconditions against mod_revision. When both are given, `ifMatch` is tested first. */
export interface Condition {
  /** 'any': the key exists. Revisions: mod_revision is one of them. */
  readonly ifMatch: 'any' | readonly Revision[] | undefined
  /** 'any': the key does not exist. Revisions: mod_revision is not one of them. */
  readonly ifNoneMatch: 'any' | readonly Revision[] | undefined
}

/** Limit on the revisions of a condition: more than any request within its size limits can carry. */
export const TAGS_MAX = 65_534
