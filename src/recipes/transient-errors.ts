// The errors that recipes treat in a special way.

import { OutcomeUnknownError, QuorateError, UnavailableError, UnreachableError } from '../client/index.ts'

export const hasCode = (error: unknown, ...codes: readonly string[]): error is QuorateError =>
  error instanceof QuorateError && codes.includes(error.code)

/** A status that says nothing about the request: the node, or a proxy before it, had no time or no capacity. */
const isTransientStatus = (status = 0): boolean => status === 408 || status === 429 || status >= 500

/** The cluster is unreachable for now, or the outcome is unknown. A later attempt may succeed. */
export const isTransient = (error: unknown): error is QuorateError =>
  error instanceof UnavailableError ||
  error instanceof UnreachableError ||
  error instanceof OutcomeUnknownError ||
  (hasCode(error, 'unexpected_answer', 'internal') && isTransientStatus(error.status))

/** The store has no space for the write. */
export const isFull = (error: unknown): boolean => hasCode(error, 'storage_full')

/** The write is larger than the store, or a proxy before it, accepts. */
export const isTooLarge = (error: unknown): boolean =>
  hasCode(error, 'value_too_large', 'request_too_large') ||
  (hasCode(error, 'unexpected_answer') && error.status === 413)

/** The lease has expired or was revoked. The session may not know it yet. */
export const isLeaseGone = (error: unknown): boolean => hasCode(error, 'lease_not_found')

/** The client was closed. No later call can succeed. */
export const isClosed = (error: unknown): boolean => hasCode(error, 'closed')

export const isCompacted = (error: unknown): boolean => hasCode(error, 'compacted')
