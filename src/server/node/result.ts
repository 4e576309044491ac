// The result of a request to a node: a value, or why there is none.

import type { Outcome } from '../../kv/types.ts'

/**
 * An error of the table in docs/reference/errors.md. It is decided below HTTP, so that all interfaces report the same.
 */
export interface Problem {
  readonly code:
    | 'no_leader'
    | 'no_quorum'
    | 'not_ready'
    | 'overloaded'
    | 'too_stale'
    | 'revision_behind'
    | 'membership_refused'
    | 'request_too_large'
    | 'storage_full'
    | 'outcome_unknown'
    | 'cancelled'
    | 'internal'
  readonly detail: string
  /** Whether a change may have been made. */
  readonly written: 'no' | 'unknown'
}

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem }

/** The result of a change: what the state machine has decided. `replayed`: for an earlier copy of the request. */
export type CommandResult = Result<{ readonly outcome: Outcome; readonly replayed: boolean }>
