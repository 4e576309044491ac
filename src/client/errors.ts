// The error classes. After a failed write an application must know whether the write may have been applied all the
// same: every error says so in `written`.

/** `no`: certainly not applied. `unknown`: it may have been applied, or may still be. For reads it is always `no`. */
export type Written = 'no' | 'unknown'

/** Codes in answers of nodes, and codes of the client itself. Newer nodes may use more. */
export type ErrorCode =
  | 'bad_request'
  | 'unknown_parameter'
  | 'key_empty'
  | 'key_too_long'
  | 'duplicate_key'
  | 'future_revision'
  | 'not_found'
  | 'route_not_found'
  | 'precondition_failed'
  | 'compacted'
  | 'too_many_operations'
  | 'range_too_large'
  | 'lease_not_found'
  | 'idempotency_expired'
  | 'idempotency_key_reused'
  | 'value_too_large'
  | 'request_too_large'
  | 'unsupported_media_type'
  | 'wrong_cluster'
  | 'host_not_allowed'
  | 'origin_not_allowed'
  | 'loopback_only'
  | 'overloaded'
  | 'no_leader'
  | 'no_quorum'
  | 'not_ready'
  | 'too_stale'
  | 'revision_behind'
  | 'membership_refused'
  | 'unauthenticated'
  | 'permission_denied'
  | 'loopback_only'
  | 'storage_full'
  | 'outcome_unknown'
  | 'internal'
  // Codes of the client:
  | 'unreachable'
  | 'timeout'
  | 'unexpected_answer'
  | 'conflict'
  | 'session_lost'
  | 'incomplete'
  | 'aborted'
  | 'closed'
  | (string & {})

export interface ErrorDetails {
  readonly code: ErrorCode
  readonly written: Written
  /** The HTTP status, if a node answered. */
  readonly status?: number | undefined
  /** Base URL of the node that answered or was asked last. */
  readonly endpoint?: string | undefined
  /** Name of the node that answered. */
  readonly node?: string | undefined
  /** How long to wait before the next try, if the node said so. */
  readonly retryAfterMs?: number | undefined
  readonly cause?: unknown
}

/** The base of every error that the client throws. */
export class QuorateError extends Error {
  readonly code: ErrorCode
  readonly written: Written
  readonly status: number | undefined
  readonly endpoint: string | undefined
  readonly node: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = new.target.name
    this.code = details.code
    this.written = details.written
    this.status = details.status
    this.endpoint = details.endpoint
    this.node = details.node
    this.retryAfterMs = details.retryAfterMs
  }
}

/** The condition of a write was not met: nothing was changed. */
export class PreconditionFailedError extends QuorateError {
  /** The current record without its value; null when the key does not exist. */
  readonly current: RecordMeta | null

  constructor(message: string, details: ErrorDetails, current: RecordMeta | null) {
    super(message, details)
    this.current = current
  }
}

/**
 * Nodes were reached, but could not serve the request in time (no leader, no quorum, overloaded, …): nothing was
 * written.
 */
export class UnavailableError extends QuorateError {}

/** `transact` found in each attempt that others had changed what it had read: nothing was written. */
export class ConflictError extends QuorateError {}

/** History no longer has what was asked for. */
export class CompactedError extends QuorateError {
  /** The store can be read from this revision on; undefined: the node has not said it. */
  readonly compactRevision: number | undefined
  /** First revision whose events a watch can still read. */
  readonly resumeFrom: number | undefined

  constructor(
    message: string,
    details: ErrorDetails,
    { compactRevision, resumeFrom }: Pick<CompactedError, 'compactRevision' | 'resumeFrom'>,
  ) {
    super(message, details)
    this.compactRevision = compactRevision
    this.resumeFrom = resumeFrom
  }
}

/** The lease of a session has ended, or may have ended by now. */
export class SessionLostError extends QuorateError {}

/** No endpoint accepted a connection: not a byte of the request left. */
export class UnreachableError extends QuorateError {}

/** A write was sent, and no node reported its outcome. It was applied at most once, perhaps not at all. */
export class OutcomeUnknownError extends QuorateError {}

/** The caller's AbortSignal fired, or the client was closed. `name` is `AbortError`, as usual in JavaScript. */
export class AbortedError extends QuorateError {
  constructor(message: string, details: ErrorDetails) {
    super(message, details)
    this.name = 'AbortError'
  }
}

/** A record without its value. */
export interface RecordMeta {
  /** The key as text; bytes that are not UTF-8 become U+FFFD, `keyBytes` has the original bytes. */
  readonly key: string
  readonly keyBytes: Uint8Array
  readonly createRevision: number
  readonly modRevision: number
  /** 1 when created, plus 1 with each change, 1 again when created after a delete. */
  readonly version: number
}
