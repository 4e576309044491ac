// What watches write: server-sent events (WHATWG HTML, 9.2) or lines of JSON.

import type { KeyRow, Revision } from '../../kv/index.ts'
import type { EventsMessage, MessageForm, WatchEvent } from '../node/watch/index.ts'
import { bytesJson, metaJson, recordJson } from './json.ts'
import { type ApiError, problemDocument } from './problem.ts'

/** A way to write a watch. */
export interface WatchForm extends MessageForm {
  readonly mediaType: string
  /** `revision`: of the store, when the watch began. `upTo`: what is not told because it is older. */
  created(revision: Revision, upTo: number): Uint8Array
  /** `id`: what the client sends back to go on. */
  progress(upTo: Revision, id: number): Uint8Array
  error(refused: ApiError): Uint8Array
}

export const SSE: WatchForm = {
  mediaType: 'text/event-stream',
  // An id that the client sends back when it comes again, also if it has not been told of anything else.
  created: (revision, upTo) => Buffer.from(`event: created\nid: ${upTo}\ndata: {"revision":${revision}}\n\n`),
  encode: (message) => Buffer.from(`id: ${message.revision}\ndata: {${eventsJson(message)}}\n\n`),
  progress: (upTo, id) => Buffer.from(`event: progress\nid: ${id}\ndata: {"revision":${upTo}}\n\n`),
  error: (refused) => Buffer.from(`event: error\ndata: ${JSON.stringify(problemDocument(refused))}\n\n`),
}

export const NDJSON: WatchForm = {
  mediaType: 'application/x-ndjson',
  created: (revision) => Buffer.from(`{"type":"created","revision":${revision}}\n`),
  encode: (message) => Buffer.from(`{"type":"events",${eventsJson(message)}}\n`),
  progress: (upTo) => Buffer.from(`{"type":"progress","revision":${upTo}}\n`),
  error: (refused) => Buffer.from(`${JSON.stringify({ ...problemDocument(refused), type: 'error' })}\n`),
}

function eventsJson(message: EventsMessage): string {
  const record = message.values ? recordJson : metaJson
  const prevs = message.prevs()
  const events = message.events.map((event, at) => eventJson(event, prevs[at], record))
  return `"revision":${message.revision},"events":[${events.join(',')}]`
}

function eventJson(
  event: WatchEvent,
  prev: KeyRow | null | undefined,
  record: (row: KeyRow) => string,
): string {
  const before = prev === undefined ? '' : `,"prev":${prev === null ? null : record(prev)}`
  if (event.type === 'put') return `{"type":"put","kv":${record(event.record)}${before}}`
  return `{"type":"delete","key":${bytesJson(event.key)},"mod_revision":${event.revision}${before}}`
}
