// The messages of watches: server-sent events (WHATWG HTML, 9.2) or lines of JSON.

import type { KeyRow, Revision } from '../../kv/index.ts'
import { type ApiError, problemDocument } from '../api/errors.ts'
import type { ChangeEvent, EventsMessage, MessageForm } from '../node/watch/index.ts'
import { bytesJson, metaJson, recordJson } from './json.ts'

/** A format of the messages. */
export interface WatchForm extends MessageForm {
  readonly mediaType: string
  /** `revision` is that of the store when the watch began. Events up to `upTo` are older than the watch. */
  created(revision: Revision, upTo: number): Uint8Array
  /** A client that connects again sends `id` back. */
  progress(upTo: Revision, id: number): Uint8Array
  error(error: ApiError): Uint8Array
}

export const SSE: WatchForm = {
  mediaType: 'text/event-stream',
  // The client sends the id back when it connects again, even if it has received no event.
  created: (revision, upTo) => Buffer.from(`event: created\nid: ${upTo}\ndata: {"revision":${revision}}\n\n`),
  encode: (message) => Buffer.from(`id: ${message.revision}\ndata: {${eventsJson(message)}}\n\n`),
  progress: (upTo, id) => Buffer.from(`event: progress\nid: ${id}\ndata: {"revision":${upTo}}\n\n`),
  error: (error) => Buffer.from(`event: error\ndata: ${JSON.stringify(problemDocument(error))}\n\n`),
}

export const NDJSON: WatchForm = {
  mediaType: 'application/x-ndjson',
  created: (revision) => Buffer.from(`{"type":"created","revision":${revision}}\n`),
  encode: (message) => Buffer.from(`{"type":"events",${eventsJson(message)}}\n`),
  progress: (upTo) => Buffer.from(`{"type":"progress","revision":${upTo}}\n`),
  error: (error) => Buffer.from(`${JSON.stringify({ ...problemDocument(error), type: 'error' })}\n`),
}

function eventsJson(message: EventsMessage): string {
  const record = message.values ? recordJson : metaJson
  const prevs = message.prevs()
  const events = message.events.map((event, at) => eventJson(event, prevs[at], record))
  return `"revision":${message.revision},"events":[${events.join(',')}]`
}

function eventJson(
  event: ChangeEvent,
  prev: KeyRow | null | undefined,
  record: (row: KeyRow) => string,
): string {
  const before = prev === undefined ? '' : `,"prev":${prev === null ? null : record(prev)}`
  if (event.type === 'put') return `{"type":"put","kv":${record(event.record)}${before}}`
  return `{"type":"delete","key":${bytesJson(event.key)},"mod_revision":${event.revision}${before}}`
}
