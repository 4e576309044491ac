// Answers as a client decodes them, on every wire. A problem (RFC 9457) is judged: whether another try may succeed, and
// what became of a change.

import type { NodeAnswerHead } from './answer-head.ts'
import type { DisagreementError } from './decode.ts'
import type { ProblemAnswer } from './problems.ts'

/** The operation was done. */
export interface ServedAnswer<R> {
  readonly kind: 'served'
  readonly result: R
  readonly head: NodeAnswerHead
}

/** An answer that says so, and does not have the agreed form. */
export interface UnreadableAnswer {
  readonly kind: 'unreadable'
  readonly cause: DisagreementError
  readonly head: NodeAnswerHead
}

/** A node, or another program, has answered with a problem. */
export interface RefusedAnswer {
  readonly kind: 'refused'
  readonly problem: JudgedProblem
  readonly head: NodeAnswerHead
}

/** Codes that mean: this request changed nothing, and another try may succeed. */
const PASSING = new Set(['no_leader', 'no_quorum', 'not_ready', 'overloaded', 'too_stale', 'revision_behind'])

/**
 * Statuses with the same meaning for answers without a code: from a proxy, or from a node that has no room for the
 * connection and answers a HEAD, which has no body.
 */
const PASSING_STATUS = new Set([429, 502, 503, 504])

/** Status assumed for an answer that should be a problem and is none. */
const UNKNOWN_STATUS = 500

export interface JudgedProblem extends ProblemAnswer {
  /** Outcome of a write as far as this answer alone shows it. */
  readonly written: 'no' | 'unknown'
  /** Whether another try may succeed. */
  readonly passing: boolean
}

/** `problem`: that of a node; undefined: what it has sent is no problem. */
export function judgeProblem(problem: ProblemAnswer | undefined): JudgedProblem {
  if (problem === undefined) return problemOfOther(UNKNOWN_STATUS)
  const { code, status } = problem
  const unknown = code === 'outcome_unknown' || status >= 500
  const passing = PASSING.has(code)
  return {
    ...problem,
    written: unknown && !passing && code !== 'storage_full' ? 'unknown' : 'no',
    passing: passing || code === 'outcome_unknown',
  }
}

/** The answer of a proxy, or of another program. `type`: of its content, for the text. */
export const problemOfOther = (status: number, type = 'no content type'): JudgedProblem => ({
  code: 'unexpected_answer',
  detail: `not an answer of a quorate node (status ${status}, ${type})`,
  status,
  retryAfterMs: undefined,
  fields: {},
  written: 'unknown',
  passing: PASSING_STATUS.has(status),
})
