// Every change of a key or a range, from a revision on.

import type { OperationFacts, RouteForm } from './definition.ts'
import type { RequestHeaders } from './forms/conditions.ts'
import type { ReadGrant } from './forms/freshness.ts'
import { freshnessHeaders, type WholeResponse } from './forms/http.ts'
import { bytesJson, metaJson, recordJson } from './forms/json.ts'
import { EVENT_STREAM, LINES, namesMediaType } from './forms/media-types.ts'
import { bytes, duration, flag, oneOf, type ParameterValues, revision } from './forms/parameters.ts'
import { type Where, whereToWatch } from './forms/places.ts'
import { ApiError, problemDocument } from './forms/problems.ts'
import { reading } from './forms/rights.ts'
import { route } from './forms/route.ts'
import { asRevision, type KeyRow, type Revision } from './forms/store.ts'

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

const PARAMETERS = {
  key: bytes('The key to watch'),
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  from: revision('The first revision to send; unless given, the next one'),
  prev: flag('Send the records before the changes as well'),
  only: oneOf('Send only changes of this type', 'put', 'delete'),
  progress: duration(
    'Silence after which the watch sends the revision up to which it has sent everything; 10s unless given',
    PROGRESS_MS_MAX,
    PROGRESS_MS_MIN,
  ),
  values: flag('false: leave the values of records out'),
}

export const watch = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  demands: ({ request }) => [reading(request.where)],
  http: {
    routes: [
      route(
        {
          method: 'GET',
          path: '/v1/watch',
          summary: 'Watch a key or a range: server-sent events, or application/x-ndjson if Accept names it',
          parameters: PARAMETERS,
          answers: EVENT_STREAM,
          answersLines: true,
          headers: {
            'Last-Event-ID': 'The id of the last message that was received: the watch continues after it',
          },
        },
        ({ headers, values }) => ({ kind: 'watch', request: decodeWatch(headers, values) }),
      ),
    ],
  },
} satisfies OperationFacts<WatchRequest> & { readonly http: RouteForm<WatchRequest> }

function decodeWatch(headers: RequestHeaders, values: ParameterValues<typeof PARAMETERS>): WatchedChanges {
  const { from, only, prev = false, progress = PROGRESS_MS_DEFAULT, values: withValues = true } = values
  const seen = lastEventId(headers)
  // A client that connects again sends its first target.
  const next = seen === undefined ? from : asRevision(Math.max(seen + 1, from ?? 0))
  return { where: whereToWatch(values), from: next, only, prev, values: withValues, progressMs: progress }
}

function lastEventId({ 'last-event-id': header }: RequestHeaders): number | undefined {
  if (header === undefined || header === '') return undefined
  const id = Number(header)
  if (/^[0-9]{1,16}$/.test(String(header)) && id < Number.MAX_SAFE_INTEGER) return id
  throw new ApiError(
    'bad_request',
    'Last-Event-ID must be the id of a message of a watch, which is a revision',
  )
}

/** The answer before the messages, which are a stream. */
export const encodeWatchHead = (headers: RequestHeaders, grant: ReadGrant): Omit<WholeResponse, 'body'> => ({
  status: 200,
  headers: [
    'Content-Type',
    watchMessageForm(headers).mediaType,
    'Vary',
    'Accept',
    'X-Accel-Buffering',
    'no',
    ...freshnessHeaders(grant),
  ],
  revision: grant.revision,
})

// ---------------------------------------------------------------------------------------------------------------------
// Messages

/** A change in a message. */
export interface EncodedEvent {
  readonly type: 'put' | 'delete'
  readonly key: Uint8Array
  readonly revision: Revision
  /** The record of a put. */
  readonly record?: KeyRow | undefined
}

/** A format of the messages: server-sent events (WHATWG HTML, 9.2) or lines of JSON. */
export interface WatchMessageForm {
  readonly mediaType: string
  /** `revision` is that of the store when the watch began. Events up to `upTo` are older than the watch. */
  created(revision: Revision, upTo: number): string
  /** The beginning of a message of events, which are separated by commas. */
  head(revision: Revision): string
  readonly tail: string
  /** A client that connects again sends `id` back. */
  progress(upTo: Revision, id: number): string
  error(error: ApiError): string
}

export const SSE: WatchMessageForm = {
  mediaType: EVENT_STREAM,
  // The client sends the id back when it connects again, even if it has received no event.
  created: (revision, upTo) => `event: created\nid: ${upTo}\ndata: {"revision":${revision}}\n\n`,
  head: (revision) => `id: ${revision}\ndata: {"revision":${revision},"events":[`,
  tail: ']}\n\n',
  progress: (upTo, id) => `event: progress\nid: ${id}\ndata: {"revision":${upTo}}\n\n`,
  error: (error) => `event: error\ndata: ${JSON.stringify(problemDocument(error))}\n\n`,
}

export const NDJSON: WatchMessageForm = {
  mediaType: LINES,
  created: (revision) => `{"type":"created","revision":${revision}}\n`,
  head: (revision) => `{"type":"events","revision":${revision},"events":[`,
  tail: ']}\n',
  progress: (upTo) => `{"type":"progress","revision":${upTo}}\n`,
  error: (error) => `${JSON.stringify({ ...problemDocument(error), type: 'error' })}\n`,
}

/** The format that the client requests. */
export const watchMessageForm = ({ accept }: RequestHeaders): WatchMessageForm =>
  namesMediaType(accept, LINES) ? NDJSON : SSE

/** `prev`: the record before; null: there was none; undefined: it was not requested. */
export function eventJson(event: EncodedEvent, prev: KeyRow | null | undefined, values: boolean): string {
  const record = values ? recordJson : metaJson
  const before = prev === undefined ? '' : `,"prev":${prev === null ? null : record(prev)}`
  if (event.type === 'put' && event.record !== undefined)
    return `{"type":"put","kv":${record(event.record)}${before}}`
  const key = bytesJson(event.key)
  return `{"type":"delete","key":${key},"mod_revision":${event.revision}${before}}`
}
