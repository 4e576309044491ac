// Every change of a key or a range, from a revision on.

import { decodeUtf8 } from '../bytes/index.ts'
import type { OperationFacts, RouteForm } from './definition.ts'
import { decodeBytesDocument } from './forms/bytes.ts'
import { decodeList, decodeObject, decodeRevision, disagree, isObject, tryParseJson } from './forms/decode.ts'
import { durationText } from './forms/durations.ts'
import type { ReadGrant } from './forms/freshness.ts'
import { BOUND_BYTES_MAX, rangeBounds, type Where, whereToWatch } from './forms/places.ts'
import {
  ApiError,
  decodeProblem,
  type ProblemAnswer,
  type ProblemDocument,
  problemDocument,
} from './forms/problems.ts'
import { reading } from './forms/rights.ts'
import { asRevision, type KeyRow, type Revision } from './forms/store.ts'
import type { RequestHeaders } from './http/conditions.ts'
import { freshnessHeaders, type WholeResponse } from './http/form.ts'
import {
  bytesJson,
  decodeOriginFields,
  decodeRecordFields,
  metaJson,
  originJson,
  recordJson,
} from './http/json.ts'
import { EVENT_STREAM, LINES, namesMediaType } from './http/media-types.ts'
import {
  bytes,
  choiceParameter,
  duration,
  flag,
  type ParameterValues,
  revision,
  TIME_PARAMETER,
} from './http/parameters.ts'
import { ACCEPT_LINES, getRequest, withQuery } from './http/requests.ts'
import { route } from './http/route.ts'
import {
  decodeBounds,
  decodeBytes,
  decodeChoice,
  decodeFlag,
  decodeOptionalMap,
  decodeRevisionField,
  invalidField,
  isNil,
  nestedBytes,
} from './mux/fields.ts'
import {
  decodeResultRevision,
  ITEM_BYTES,
  type Item,
  type MuxForm,
  RANGE_CREDIT_BYTES,
  SUCCESS,
} from './mux/form.ts'
import { OPCODES } from './mux/opcodes.ts'
import { encodeBounds, encodedWhereBytes } from './mux/options.ts'
import {
  decodeOriginItem,
  decodeOwnBytes,
  decodePrev,
  decodeRecord,
  encodeRecord,
  encodeRecordMeta,
} from './mux/records.ts'

/** The silence after which a client receives a progress message, in milliseconds. */
export const PROGRESS_MS_DEFAULT = 10_000
export const PROGRESS_MS_MIN = 100
export const PROGRESS_MS_MAX = 3_600_000

/** Number of times that a watch keeps its keys: as bytes, and as text for the index of watches. */
export const WATCH_KEY_COPIES = 2

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
  /** Whether events have the times of changes, and deletions their users. */
  readonly time?: boolean | undefined
  /** The client receives a progress message when nothing was sent for this long, in milliseconds. */
  readonly progressMs: number
}

export interface WatchRequest {
  readonly kind: 'watch'
  readonly request: WatchedChanges
  /**
   * A node whose state is at most so many milliseconds old begins a watch with `from` without a majority, as long as
   * rights are not checked; undefined: each watch begins after a linearizable read.
   */
  readonly maxStalenessMs?: number | undefined
}

const PARAMETERS = {
  key: bytes('The key to watch'),
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  from: revision('The first revision to send; unless given, the next one'),
  prev: flag('Send the records before the changes as well'),
  only: choiceParameter('Send only changes of this type', 'put', 'delete'),
  progress: duration(
    'Silence after which the watch sends the revision up to which it has sent everything; 10s unless given',
    PROGRESS_MS_MAX,
    PROGRESS_MS_MIN,
  ),
  values: flag('false: leave the values of records out'),
  time: TIME_PARAMETER,
}

/** The kind of its item on the multiplexed connection. */
const OPCODE = OPCODES.watch

const WHERE = ['key', 'prefix', 'start', 'end'] as const
const WATCH_OPTIONS = ['prev', 'only', 'values', 'progress_ms', 'time'] as const

export const watch = {
  effect: 'read',
  isAudited: false,
  label: 'other',
  isStreamed: () => true,
  isEndless: true,
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
    encode: ({ request }) => getRequest(watchPath(request), ACCEPT_LINES),
  },
  mux: {
    opcode: OPCODE,
    elementsMax: 6,
    encode(id, timeoutMs, { request: { where, from, only, prev, values, progressMs, time } }) {
      const place = 'key' in where ? where : encodeBounds(where)
      const options: Record<string, unknown> = { prev }
      if (only !== undefined) options.only = only
      options.values = values
      options.progress_ms = progressMs
      if (time === true) options.time = time
      return [id, OPCODE, timeoutMs, place, from ?? null, options]
    },
    decode(item) {
      const place = decodeOptionalMap(item[3], 'the range', WHERE)
      const where = whereToWatch(decodeBounds(place, decodeBytes, ...WHERE))
      const options = decodeOptionalMap(item[5], 'options', WATCH_OPTIONS)
      return {
        kind: 'watch',
        request: {
          where,
          from: isNil(item[4]) ? undefined : decodeRevisionField(item[4], 'from'),
          only: decodeChoice(options.get('only'), 'only', ['put', 'delete']),
          prev: decodeFlag(options.get('prev'), 'prev') ?? false,
          values: decodeFlag(options.get('values'), 'values') ?? true,
          progressMs: decodeProgressMs(options.get('progress_ms')),
          ...timeOption(decodeFlag(options.get('time'), 'time')),
        },
      }
    },
    credit: () => RANGE_CREDIT_BYTES,
    itemCredit: () => RANGE_CREDIT_BYTES,
    heldBytes: (item) => WATCH_KEY_COPIES * Math.min(nestedBytes(item), 3 * BOUND_BYTES_MAX),
    size: ({ request: { where } }) => 2 * ITEM_BYTES + encodedWhereBytes(where),
    encodeResult: (id, revision) => [id, SUCCESS, revision],
    decodeResult: decodeResultRevision,
    decodeHead: (item) => ({ revision: decodeResultRevision(item) }),
    resultBytes: () => 0,
  },
} satisfies OperationFacts<WatchRequest> & {
  readonly http: RouteForm<WatchRequest>
  readonly mux: MuxForm<WatchRequest, Revision>
}

function decodeWatch(headers: RequestHeaders, values: ParameterValues<typeof PARAMETERS>): WatchedChanges {
  const { from, only, prev = false, progress = PROGRESS_MS_DEFAULT, values: withValues = true, time } = values
  const seen = lastEventId(headers)
  // A client that connects again sends its first target.
  const next = seen === undefined ? from : asRevision(Math.max(seen + 1, from ?? 0))
  return {
    ...{ where: whereToWatch(values), from: next, only, prev, values: withValues, progressMs: progress },
    ...timeOption(time),
  }
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

const watchPath = ({ where, from, prev, only, values, progressMs, time }: WatchedChanges): string =>
  withQuery('/v1/watch', {
    ...('key' in where ? { key: where.key } : rangeBounds(where)),
    from,
    prev: prev || undefined,
    only,
    values: values ? undefined : false,
    progress: durationText(progressMs),
    time: time || undefined,
  })

const timeOption = (time: boolean | undefined): Pick<WatchedChanges, 'time'> =>
  time === true ? { time } : {}

function decodeProgressMs(field: unknown): number {
  if (isNil(field)) return PROGRESS_MS_DEFAULT
  if (typeof field === 'number' && field >= PROGRESS_MS_MIN && field <= PROGRESS_MS_MAX) return field
  throw invalidField('progress_ms', `a number from ${PROGRESS_MS_MIN} to ${PROGRESS_MS_MAX}`)
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages: of a node, in text over HTTP and in items on the multiplexed connection, and as a client decodes both.

/** A change in a message of a node. */
export interface EncodedEvent {
  readonly type: 'put' | 'delete'
  readonly key: Uint8Array
  readonly revision: Revision
  /** The record of a put. */
  readonly record?: KeyRow | undefined
  /** The user of a deletion, and its time. */
  readonly deletion?: ChangeOrigin | undefined
}

/** The user of a change, and its time, as far as they are known. */
type ChangeOrigin = Pick<KeyRow, 'by' | 'timeMs'>

export type DecodedWatchMessage =
  /** The watch has begun, when the store had this revision. */
  | { readonly kind: 'created'; readonly revision: Revision }
  /** All events of one revision that the watch requests. */
  | { readonly kind: 'events'; readonly revision: Revision; readonly events: readonly DecodedEvent[] }
  /** The watch has sent everything up to this revision. */
  | { readonly kind: 'progress'; readonly revision: Revision }
  /** The node has ended the watch. undefined: the problem has no code. */
  | { readonly kind: 'ended'; readonly problem: ProblemAnswer | undefined }

export type DecodedEvent = {
  readonly key: Uint8Array
  readonly revision: Revision
  /** null: there was no record before; undefined: it was not requested, or left out. */
  readonly prev: KeyRow | null | undefined
} & ({ readonly type: 'put'; readonly record: KeyRow } | ({ readonly type: 'delete' } & ChangeOrigin))

// ---------------------------------------------------------------------------------------------------------------------
// Messages over HTTP

/**
 * A format of the messages: server-sent events (WHATWG HTML, 9.2) or lines of JSON. `before` is the revision before the
 * first one of the watch.
 */
export interface WatchMessageForm {
  readonly mediaType: string
  /** `revision`: that of the store when the watch began. */
  created(revision: Revision, before: number): string
  /** The beginning of a message of events. */
  head(revision: Revision): string
  /** `prev`: the record before; null: there was none; undefined: left out. `at`: the position of the event. */
  event(event: EncodedEvent, prev: KeyRow | null | undefined, values: boolean, at: number): string
  readonly tail: string
  progress(upTo: Revision, before: number): string
  error(error: ApiError): string
}

/** A client that connects again sends the id of the last message that it has received, even if it had no events. */
const sse = (time: boolean): WatchMessageForm => ({
  mediaType: EVENT_STREAM,
  created: (revision, before) => `event: created\nid: ${before}\ndata: {"revision":${revision}}\n\n`,
  head: (revision) => `id: ${revision}\ndata: {"revision":${revision},"events":[`,
  event: (...event) => encodeEventText(time, ...event),
  tail: ']}\n\n',
  // Ids never go back: the first revision may lie in the future.
  progress: (upTo, before) =>
    `event: progress\nid: ${Math.max(upTo, before)}\ndata: {"revision":${upTo}}\n\n`,
  error: (error) => `event: error\ndata: ${JSON.stringify(problemDocument(error))}\n\n`,
})

const ndjson = (time: boolean): WatchMessageForm => ({
  mediaType: LINES,
  created: (revision) => `{"type":"created","revision":${revision}}\n`,
  head: (revision) => `{"type":"events","revision":${revision},"events":[`,
  event: (...event) => encodeEventText(time, ...event),
  tail: ']}\n',
  progress: (upTo) => `{"type":"progress","revision":${upTo}}\n`,
  error: (error) => `${JSON.stringify({ ...problemDocument(error), type: 'error' })}\n`,
})

export const SSE = sse(false)
export const NDJSON = ndjson(false)
/** The same with the times of changes. */
export const SSE_WITH_TIME = sse(true)
export const NDJSON_WITH_TIME = ndjson(true)

/** The format that the client requests. */
export const watchMessageForm = ({ accept }: RequestHeaders): WatchMessageForm =>
  namesMediaType(accept, LINES) ? NDJSON : SSE

function encodeEventText(
  time: boolean,
  event: EncodedEvent,
  prev: KeyRow | null | undefined,
  values: boolean,
  at: number,
): string {
  const comma = at === 0 ? '' : ','
  const record = (row: KeyRow): string => (values ? recordJson(row, time) : metaJson(row, time))
  const before = prev === undefined ? '' : `,"prev":${prev === null ? null : record(prev)}`
  // A node may read the record anew each time.
  const found = event.type === 'put' ? event.record : undefined
  if (found !== undefined) return `${comma}{"type":"put","kv":${record(found)}${before}}`
  const key = bytesJson(event.key)
  const origin = time ? originJson(event.deletion ?? {}) : ''
  return `${comma}{"type":"delete","key":${key},"mod_revision":${event.revision}${origin}${before}}`
}

/**
 * Decodes a line of `NDJSON`, without its LF. `values`: whether its records have values. Returns undefined for a
 * message that newer nodes send. Throws `DisagreementError`.
 */
export function decodeWatchLine(line: Uint8Array, values: boolean): DecodedWatchMessage | undefined {
  const json = tryParseJson(decodeUtf8(line))
  if (!isObject(json)) return disagree('a line of the watch is not a JSON object')
  switch (json.type) {
    case 'created':
    case 'progress':
      return { kind: json.type, revision: decodeRevision(json.revision, 'revision') }
    case 'events':
      return {
        kind: 'events',
        revision: decodeRevision(json.revision, 'revision'),
        events: decodeList(json.events, 'events').map((each) => decodeEventFields(each, values)),
      }
    case 'error':
      return { kind: 'ended', problem: decodeProblem(json) }
    default:
      return undefined
  }
}

const decodeNamedRecord = (value: unknown, name: string, values: boolean): KeyRow =>
  decodeRecordFields(decodeObject(value, name), !values)

function decodeEventFields(value: unknown, values: boolean): DecodedEvent {
  const { type, kv, key, mod_revision, prev: before, ...origin } = decodeObject(value, 'an event')
  const prev = before === undefined || before === null ? before : decodeNamedRecord(before, '"prev"', values)
  if (type === 'put') {
    const record = decodeNamedRecord(kv, '"kv"', values)
    return { type, key: record.key, revision: record.modRevision, record, prev }
  }
  if (type !== 'delete') return disagree(`an event has the type ${type}`)
  const revision = decodeRevision(mod_revision, 'mod_revision')
  return { type, key: decodeBytesDocument(key), revision, prev, ...decodeOriginFields(origin) }
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages on the multiplexed connection

/** Kinds of the items of a watch that has begun. Its first item is the result of its request. */
export const EVENTS = 2
const PROGRESS = 3
export const ENDED = 4

/** In place of a record before, if something follows it. */
const NO_PREV = false

/** Types of events. */
const EVENT_PUT = 0
const EVENT_DELETE = 1

/** An event in an item of events: `[id, EVENTS, revision, events]`. `prev` is as for `WatchMessageForm`. */
export function encodeEvent(
  event: EncodedEvent,
  prev: KeyRow | null | undefined,
  values: boolean,
  time = false,
): Item {
  const encode = (row: KeyRow): Item =>
    values ? encodeRecord(row.key, row, time) : encodeRecordMeta(row, time)
  // A node may read the record anew each time.
  const record = event.type === 'put' ? event.record : undefined
  const fields: unknown[] =
    record === undefined ? [EVENT_DELETE, event.key, event.revision] : [EVENT_PUT, encode(record)]
  if (prev !== undefined) fields.push(prev === null ? null : encode(prev))
  if (!time || record !== undefined) return fields
  const { by = null, timeMs = null } = event.deletion ?? {}
  // The origin follows the record before, of which nothing may be there.
  return [...fields, ...(prev === undefined ? [NO_PREV] : []), by, timeMs]
}

/** The watch has sent everything up to this revision. */
export const encodeProgress = (id: number, upTo: Revision): Item => [id, PROGRESS, upTo]

/** The last item of a watch. */
export const encodeWatchEnd = (id: number, problem: ProblemDocument): Item => [id, ENDED, problem]

/** Decodes an item of a watch. Only one that is not the last throws `DisagreementError`. */
export function decodeWatchItem(item: Item): DecodedWatchMessage {
  const [, kind, content, events] = item
  if (kind === ENDED) return { kind: 'ended', problem: decodeProblem(content) }
  if (kind === SUCCESS) return { kind: 'created', revision: decodeResultRevision(item) }
  if (kind === PROGRESS) return { kind: 'progress', revision: decodeResultRevision(item) }
  if (kind !== EVENTS || !Array.isArray(events)) return disagree('it sends a watch something unknown')
  return { kind: 'events', revision: decodeResultRevision(item), events: events.map(decodeEvent) }
}

function decodeEvent(field: unknown): DecodedEvent {
  if (!Array.isArray(field)) return disagree('an event is not a list')
  const [type, content, third, fourth, by, timeMs]: Item = field
  if (type === EVENT_PUT) {
    const record = decodeRecord(content)
    return { type: 'put', key: record.key, revision: record.modRevision, record, prev: decodePrev(third) }
  }
  const key = decodeOwnBytes(content, 'key')
  const prev = fourth === NO_PREV ? undefined : decodePrev(fourth)
  const revision = decodeRevision(third, 'mod_revision')
  return { type: 'delete', key, revision, prev, ...decodeOriginItem(by, timeMs) }
}
