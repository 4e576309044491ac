// The form of an operation in HTTP: what its codec reads and returns. Sockets, and bodies that are streams, belong to
// the two ends.

import type { AnswerHead } from '../forms/answer-head.ts'
import type { ReadGrant } from '../forms/freshness.ts'
import { checkedKey } from '../forms/places.ts'
import { ApiError, problemDocument, retryAfterSeconds } from '../forms/problems.ts'
import type { Revision } from '../forms/store.ts'
import type { RequestHeaders } from './conditions.ts'
import { percentDecode } from './percent.ts'

/** The head of a request, as a form reads it. */
export interface HttpRequestHead {
  readonly target: {
    /** Keys in the target, still percent-encoded. undefined: the target is not under /v1/kv. */
    readonly keys: readonly string[] | undefined
  }
  /** The pairs of the query, as they were sent, without the key and the timeout. */
  readonly pairs: readonly string[]
  readonly headers: RequestHeaders
}

export interface WholeResponse {
  readonly status: number
  /** Flat: name, value, name, value, … */
  readonly headers: readonly string[]
  readonly body: string | Uint8Array
  /** The revision that the answer reflects; the node's newest unless given. */
  readonly revision: Revision | undefined
}

/** An answer whose body is encoded in several turns, if it is large, before it is sent as a whole. */
export interface UnencodedResponse extends Omit<WholeResponse, 'body'> {
  readonly body: { readonly parts: Iterable<string> }
}

/** Throws `ApiError` if the target names more than one key. */
export function checkOneKey({ target: { keys } }: HttpRequestHead): void {
  if (keys !== undefined && keys.length > 1) throw new ApiError('bad_request', 'key is given twice')
}

/** The key that the target names. Throws `ApiError`. */
export const decodeKey = ({ target: { keys } }: HttpRequestHead): Uint8Array =>
  checkedKey(percentDecode(keys?.[0] ?? ''))

// ---------------------------------------------------------------------------------------------------------------------
// Answers

export const jsonResponse = (
  body: string,
  headers: readonly string[] = NO_HEADERS,
  revision?: Revision,
): WholeResponse => ({
  status: 200,
  headers: ['Content-Type', 'application/json', ...headers],
  body,
  revision,
})

const NO_HEADERS: readonly string[] = []

/** A large answer in JSON, of parts that are encoded in several turns. */
export const jsonResponseFromParts = (
  parts: Iterable<string>,
  headers: readonly string[],
  revision: Revision,
): UnencodedResponse => ({
  status: 200,
  headers: ['Content-Type', 'application/json', ...headers],
  body: { parts },
  revision,
})

/** The header of an answer that repeats the outcome of an earlier copy of the change. */
export const replayedHeader = ({ replayed }: AnswerHead): readonly string[] =>
  replayed === true ? REPLAYED : NO_HEADERS

const REPLAYED = ['Idempotency-Replayed', 'true'] as const
export const OCTETS = ['Content-Type', 'application/octet-stream'] as const
export const NOSNIFF = ['X-Content-Type-Options', 'nosniff'] as const

/** The entity tag of a key is its mod_revision. */
export const entityTag = (modRevision: Revision): string => `"${modRevision}"`

export function freshnessHeaders({ served, stalenessMs }: ReadGrant): string[] {
  // Without Cache-Control a shared cache may keep a response, even "not found", and use it for the next linearizable
  // read.
  const headers = ['Cache-Control', 'no-cache', 'Kv-Consistency', served]
  // Rounded up, because a bound must not become smaller.
  if (stalenessMs !== undefined) headers.push('Kv-Staleness-Ms', String(Math.ceil(stalenessMs)))
  return headers
}

/** An error that only HTTP has, with headers of its own. */
export class HttpError extends ApiError {
  readonly headers: readonly string[]

  constructor(code: ApiError['code'], detail: string, headers: readonly string[]) {
    super(code, detail)
    this.headers = headers
  }
}

export function errorResponse(error: ApiError): WholeResponse {
  const document = problemDocument(error)
  const { grant, replayed, current, revision } = error
  const headers = ['Content-Type', 'application/problem+json']
  if (grant !== undefined) headers.push(...freshnessHeaders(grant))
  if (replayed) headers.push(...REPLAYED)
  if (current) headers.push('ETag', entityTag(current.modRevision))
  if (error instanceof HttpError) headers.push(...error.headers)
  if (error.code === 'unauthenticated') headers.push(...CHALLENGE)
  const seconds = retryAfterSeconds(document)
  if (seconds !== undefined) headers.push('Retry-After', String(seconds))
  return { status: document.status, headers, body: JSON.stringify(document), revision }
}

/** The ways to log in (RFC 9110 §11.6.1). */
const CHALLENGE = [
  'WWW-Authenticate',
  'Bearer realm="quorate", Basic realm="quorate", charset="UTF-8"',
] as const

/** The error for a body with this Transfer-Encoding; undefined if it is read. */
export function codingRefusal(headers: RequestHeaders): ApiError | undefined {
  const coding = headers['transfer-encoding']?.toLowerCase()
  if (coding === undefined || coding === 'chunked') return undefined
  // If `chunked` is not the last coding, the end of the body is unknown (RFC 9112 §6.3).
  if (!/(?:^|[\s,])chunked$/.test(coding))
    return new HttpError('bad_request', 'the last Transfer-Encoding must be chunked', ['Connection', 'close'])
  return new ApiError('unsupported_media_type', 'the only Transfer-Encoding is chunked')
}
