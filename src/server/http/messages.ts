// The requests and responses of HTTP as plain data, whichever reader a request came through.

import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { Revision } from '../../kv/index.ts'
import type { Part } from '../api/budget.ts'
import { ApiError, type ErrorCode, problemDocument, retryAfterSeconds } from '../api/errors.ts'
import type { Call, PageCollector } from '../api/operation.ts'
import type { ReadGrant } from '../node/types.ts'
import type { WatchSink } from '../node/watch/index.ts'
import type { ClassifiedTarget } from './target.ts'

export interface BodyLimits {
  readonly bytesMax: number
  /** The error code for a larger body. */
  readonly tooLarge: ErrorCode
  readonly timeoutMs: number
}

/** A body, from either reader. */
export interface RequestBody {
  /**
   * Passes the whole body to `done`, which is called once, now or later. If the body is refused, the response drops
   * it.
   */
  read(limits: BodyLimits, done: (result: Uint8Array | ApiError) => void): void
  /** The body will not be read. */
  drop(): void
}

/** A request as either reader reads it. */
export interface ParsedRequest {
  readonly method: string
  /** The raw target. */
  readonly url: string
  readonly httpVersion: string
  /** Names in lower case. A field that appears twice is joined, or the first one. */
  readonly headers: IncomingHttpHeaders
  /** Number of Host fields. */
  readonly hosts: number
  readonly body: RequestBody
}

/** The way back to the client of one request. */
export interface Exchange {
  /** Arrival of the first byte, on the clock of `performance.now()`. */
  readonly startedAt: number
  readonly isAbandoned: () => boolean
  /** Sends the response. Called once, now or later. `extra` are headers for this client. */
  readonly send: (response: HttpResponse, extra: readonly string[]) => void
}

/** A request whose client may send it, on its way to an operation. */
export class HttpRequest implements Call {
  /** Largest number of bytes of JSON for one byte of a key or a value. */
  readonly expansion = 6
  readonly method: string
  readonly target: ClassifiedTarget
  /** Parameters of the query, except the key and the timeout. */
  readonly pairs: readonly string[]
  readonly headers: IncomingHttpHeaders
  readonly body: RequestBody
  readonly deadline: number
  readonly isAbandoned: () => boolean
  page: (PageCollector & { readonly slices: readonly string[] }) | undefined
  openSink?: () => WatchSink

  constructor(
    { method, headers, body }: ParsedRequest,
    target: ClassifiedTarget,
    pairs: readonly string[],
    deadline: number,
    isAbandoned: () => boolean,
  ) {
    this.method = method
    this.target = target
    this.pairs = pairs
    this.headers = headers
    this.body = body
    this.deadline = deadline
    this.isAbandoned = isAbandoned
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Responses

/** The receiver of a streamed body. */
export interface BodySink {
  /**
   * Resolves to true when the client has taken the text, and to false when the client is gone. Throws `ApiError` if too
   * many bytes already wait for other clients.
   */
  write(text: string): Promise<boolean>
  end(text: string): void
  /** Cuts the connection: half of a body is no response. */
  cut(): void
}

/** A body that is read while the client takes it. `pour` is called exactly once, even if the client is gone. */
interface PouredBody {
  readonly pour: (sink: BodySink) => void
}

/** A body without an end. `stream` is called exactly once; without `to` nobody reads it. */
interface StreamedBody {
  readonly stream: (to: ServerResponse | undefined) => void
}

type WholeBody = string | Uint8Array | readonly string[]
export type ResponseBody = WholeBody | PouredBody | StreamedBody

export const isPoured = (body: ResponseBody): body is PouredBody => typeof body === 'object' && 'pour' in body

export const isStreamed = (body: ResponseBody): body is StreamedBody =>
  typeof body === 'object' && 'stream' in body

export const partsOf = (body: WholeBody): readonly Part[] =>
  typeof body === 'string' || body instanceof Uint8Array ? [body] : body

export interface HttpResponse {
  readonly status: number
  /** Flat: name, value, name, value, … */
  readonly headers: readonly string[]
  readonly body: ResponseBody
  /** The revision that the response reflects; the node's newest unless given. */
  readonly revision: Revision | undefined
}

export const jsonResponse = (
  body: string | readonly string[],
  headers: readonly string[] = [],
  revision?: Revision,
): HttpResponse => ({
  status: 200,
  headers: ['Content-Type', 'application/json', ...headers],
  body,
  revision,
})

/** An error that only HTTP has, with headers of its own. */
export class HttpError extends ApiError {
  readonly headers: readonly string[]

  constructor(code: ApiError['code'], detail: string, headers: readonly string[]) {
    super(code, detail)
    this.headers = headers
  }
}

export function errorResponse(error: ApiError): HttpResponse {
  const document = problemDocument(error)
  const { grant, replayed, current, revision } = error
  const headers = ['Content-Type', 'application/problem+json']
  if (grant !== undefined) headers.push(...freshnessHeaders(grant))
  if (replayed) headers.push(...REPLAYED)
  if (current) headers.push('ETag', entityTag(current.modRevision))
  if (error instanceof HttpError) headers.push(...error.headers)
  const seconds = retryAfterSeconds(error.code)
  if (seconds !== undefined) headers.push('Retry-After', String(seconds))
  return { status: document.status, headers, body: JSON.stringify(document), revision }
}

export const REPLAYED = ['Idempotency-Replayed', 'true'] as const

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
