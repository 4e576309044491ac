// Problems: one table of codes, and the document (RFC 9457) that every wire sends for an error.
// docs/reference/errors.md describes each code. A test compares the two.

import { shortened } from '../../bytes/index.ts'
import { bytesDocument } from './bytes.ts'
import { type Fields, isObject, isWholeNumber } from './decode.ts'
import type { ReadGrant } from './freshness.ts'
import type { RecordMetadata, Revision } from './store.ts'

interface ErrorKind {
  /** HTTP status; other wires use it in documents and metrics. */
  readonly status: number
  readonly title: string
  /** Pause before a client should try again. */
  readonly retryAfterMs?: number
}

export const PROBLEMS = {
  bad_request: { status: 400, title: 'The request cannot be understood' },
  unknown_parameter: { status: 400, title: 'A query parameter is not known' },
  key_empty: { status: 400, title: 'A key has at least one byte' },
  key_too_long: { status: 400, title: 'The key is too long' },
  duplicate_key: { status: 400, title: 'A transaction changes a key twice' },
  future_revision: { status: 400, title: 'The store has not reached that revision' },
  unauthenticated: { status: 401, title: 'It is not known who makes the request' },
  loopback_only: { status: 403, title: 'This node serves only clients of its own machine' },
  permission_denied: { status: 403, title: 'The user may not do this' },
  origin_not_allowed: { status: 403, title: 'This origin may not make changes' },
  not_found: { status: 404, title: 'Not found' },
  route_not_found: { status: 404, title: 'There is no such route' },
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
  overloaded: { status: 429, title: 'The node is overloaded', retryAfterMs: 50 },
  cancelled: { status: 499, title: 'The client has cancelled the operation' },
  internal: { status: 500, title: 'The node failed' },
  no_leader: { status: 503, title: 'There is no leader', retryAfterMs: 100 },
  no_quorum: { status: 503, title: 'No majority can be reached', retryAfterMs: 250 },
  not_ready: { status: 503, title: 'The node is not ready', retryAfterMs: 250 },
  too_stale: { status: 503, title: 'The node is staler than allowed', retryAfterMs: 100 },
  revision_behind: { status: 503, title: 'The node has not reached that revision', retryAfterMs: 100 },
  outcome_unknown: { status: 504, title: 'It is not known whether the change was made' },
  storage_full: { status: 507, title: 'The store is full' },
} as const satisfies Record<string, ErrorKind>

export type ApiErrorCode = keyof typeof PROBLEMS

export interface ErrorFacts {
  /** Whether a change may have been made. */
  readonly written?: 'no' | 'unknown'
  /** Further members of the problem document. */
  readonly members?: Readonly<Record<string, unknown>>
  /** The revision that the error reflects; the node's newest unless given. */
  readonly revision?: Revision | undefined
  /** The read that found the fault. */
  readonly grant?: ReadGrant | undefined
  /** The fault is the remembered outcome of an earlier copy of the change. */
  readonly replayed?: boolean
  /** The record that a failed precondition found; null: the key does not exist. */
  readonly current?: RecordMetadata | null
}

/** Where V8 keeps the number of frames in the stack of a new error. */
const STACKS = Error as { stackTraceLimit?: number | undefined }

/** Characters of the detail. It may quote what the client has sent, on any wire. */
const DETAIL_CHARS = 2_000

/** A refusal or a failure of one operation. It has no stack. */
export class ApiError extends Error {
  override readonly name: string = 'ApiError'
  readonly code: ApiErrorCode
  readonly written: 'no' | 'unknown'
  readonly members: Readonly<Record<string, unknown>>
  readonly revision: Revision | undefined
  readonly grant: ReadGrant | undefined
  readonly replayed: boolean
  readonly current: RecordMetadata | null | undefined

  constructor(code: ApiErrorCode, detail: string, facts: ErrorFacts = {}) {
    // A refusal is an answer, and its stack would cost several times as much as the rest of it.
    const { stackTraceLimit } = STACKS
    STACKS.stackTraceLimit = 0
    super(shortened(detail, DETAIL_CHARS))
    STACKS.stackTraceLimit = stackTraceLimit
    this.code = code
    this.written = facts.written ?? 'no'
    this.members = facts.members ?? {}
    this.revision = facts.revision ?? facts.grant?.revision
    this.grant = facts.grant
    this.replayed = facts.replayed ?? false
    this.current = facts.current
  }

  get status(): number {
    return PROBLEMS[this.code].status
  }
}

/** The error for a part of a request that a wire cannot say. */
export const unsayable = (what: string): ApiError =>
  new ApiError('bad_request', `${what} cannot be sent on this connection`)

export interface ProblemDocument {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly code: ApiErrorCode
  readonly detail: string
  readonly retry_after_ms?: number
}

export function problemDocument({ code, message, current, members }: ApiError): ProblemDocument {
  const { status, title, retryAfterMs }: ErrorKind = PROBLEMS[code]
  const retry = retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }
  const found = current === undefined ? {} : { current: current && metaDocument(current) }
  return {
    type: problemType(code),
    title,
    status,
    code,
    detail: message,
    ...retry,
    ...found,
    ...members,
  }
}

const metaDocument = ({ key, createRevision, modRevision, version, lease }: RecordMetadata) => ({
  key: bytesDocument(key),
  create_revision: createRevision,
  mod_revision: modRevision,
  version,
  ...(lease === undefined ? {} : { lease }),
})

/** A problem as a client decodes it. A newer node may have further codes. */
export interface ProblemAnswer {
  readonly code: string
  readonly detail: string
  readonly status: number
  readonly retryAfterMs: number | undefined
  /** All members of the document. */
  readonly fields: Fields
}

/** `sentStatus`: that of the answer, if its wire has one. undefined: it is no document of a node. */
export function decodeProblem(document: unknown, sentStatus?: number): ProblemAnswer | undefined {
  if (!isObject(document)) return undefined
  const { code, detail, retry_after_ms: retryAfterMs } = document
  const status = sentStatus ?? document.status
  if (typeof code !== 'string') return undefined
  return {
    code,
    detail: typeof detail === 'string' ? detail : code,
    status: isWholeNumber(status) ? status : PROBLEMS.internal.status,
    retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : undefined,
    fields: document,
  }
}

/** Whether the document itself names a node as its author. Other programs use names such as "bad_request" too. */
export const isOfNode = ({ code, fields }: ProblemAnswer): boolean => fields.type === problemType(code)

const problemType = (code: string): string => `urn:quorate:problem:${code}`

/** Pause in whole seconds (RFC 9110); undefined if another attempt soon after is no use. */
export const retryAfterSeconds = ({ retry_after_ms: ms }: ProblemDocument): number | undefined =>
  ms === undefined ? undefined : Math.ceil(ms / 1000)
