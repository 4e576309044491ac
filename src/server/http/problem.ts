// The errors of the API as RFC 9457 problems. docs/reference/errors.md describes each code. A test compares the two.

import type { Revision } from '../../kv/index.ts'
import type { Problem as NodeProblem } from '../node/types.ts'

interface Kind {
  readonly status: number
  readonly title: string
  /** How long to wait before the next attempt. The answer has a Retry-After header. */
  readonly retryAfterMs?: number
}

export const PROBLEMS = {
  bad_request: { status: 400, title: 'The request cannot be understood' },
  unknown_parameter: { status: 400, title: 'A query parameter is not known' },
  key_empty: { status: 400, title: 'A key has at least one byte' },
  key_too_long: { status: 400, title: 'The key is too long' },
  duplicate_key: { status: 400, title: 'A transaction changes a key twice' },
  future_revision: { status: 400, title: 'The store has not reached that revision' },
  origin_not_allowed: { status: 403, title: 'This origin may not make changes' },
  not_found: { status: 404, title: 'Not found' },
  lease_not_found: { status: 404, title: 'There is no such lease' },
  method_not_allowed: { status: 405, title: 'This resource has no such method' },
  idempotency_expired: { status: 409, title: 'The idempotency token is too old to be judged' },
  lease_exists: { status: 409, title: 'There is a lease of this id already' },
  membership_refused: { status: 409, title: 'The membership change is refused' },
  compacted: { status: 410, title: 'That revision is compacted' },
  precondition_failed: { status: 412, title: 'A precondition does not hold' },
  value_too_large: { status: 413, title: 'The value is too large' },
  request_too_large: { status: 413, title: 'The request is too large' },
  too_many_operations: { status: 413, title: 'The transaction is too large' },
  range_too_large: { status: 413, title: 'A range is too large' },
  unsupported_media_type: { status: 415, title: 'The body is not in a form that is accepted here' },
  host_not_allowed: { status: 421, title: 'This host name is not served here' },
  wrong_cluster: { status: 421, title: 'This node belongs to another cluster' },
  idempotency_key_reused: { status: 422, title: 'The idempotency token was used for another request' },
  upgrade_required: { status: 426, title: 'This resource is for WebSocket connections' },
  overloaded: { status: 429, title: 'Too much is asked of this node', retryAfterMs: 50 },
  cancelled: { status: 499, title: 'The client has cancelled the operation' },
  internal: { status: 500, title: 'The node failed' },
  no_leader: { status: 503, title: 'There is no leader', retryAfterMs: 100 },
  no_quorum: { status: 503, title: 'No majority can be reached', retryAfterMs: 250 },
  not_ready: { status: 503, title: 'The node is not ready', retryAfterMs: 250 },
  too_stale: { status: 503, title: 'The node is staler than allowed', retryAfterMs: 100 },
  revision_behind: { status: 503, title: 'The node has not reached that revision', retryAfterMs: 100 },
  outcome_unknown: { status: 504, title: 'It is not known whether the change was made' },
  storage_full: { status: 507, title: 'The store is full' },
} as const satisfies Record<string, Kind>

export type Code = keyof typeof PROBLEMS

interface ApiErrorOptions {
  /** Further members of the problem. */
  readonly members?: Readonly<Record<string, unknown>>
  /** Headers of the answer, flat: name, value, … */
  readonly headers?: readonly string[]
  /** The revision that the answer reflects; the node's newest unless given. */
  readonly revision?: Revision | undefined
}

/** Ends the handling of a request with a problem. */
export class ApiError extends Error {
  override readonly name = 'Refused'
  readonly code: Code
  readonly members: Readonly<Record<string, unknown>>
  readonly headers: readonly string[]
  readonly revision: Revision | undefined

  constructor(code: Code, detail: string, { members = {}, headers = [], revision }: ApiErrorOptions = {}) {
    super(detail)
    this.code = code
    this.members = members
    this.headers = headers
    this.revision = revision
  }
}

export interface ProblemDocument {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: Code
  readonly detail: string
  readonly retry_after_ms?: number
}

export function problemDocument({ code, message, members }: ApiError): ProblemDocument {
  const { status, title, retryAfterMs }: Kind = PROBLEMS[code]
  const retry = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }
  return { type: `urn:quorate:problem:${code}`, title, status, code, detail: message, ...retry, ...members }
}

/** Whole seconds (RFC 9110); undefined if an attempt soon after is no use. */
export function retryAfterSeconds(code: Code): number | undefined {
  const { retryAfterMs }: Kind = PROBLEMS[code]
  return retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1000)
}

/** The problem for an error of the node. A change that may have been made never gets a code that says it was not. */
export function refusedByNode(problem: NodeProblem): ApiError {
  const unclear = problem.written === 'unknown' && problem.code !== 'internal'
  return new ApiError(unclear ? 'outcome_unknown' : problem.code, problem.detail)
}
