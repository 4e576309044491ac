// The messages of watches: server-sent events (WHATWG HTML, 9.2) or lines of JSON.

import type { KeyRow, Revision } from '../../operations/forms/index.ts'
import { type ApiError, problemDocument } from '../../operations/forms/index.ts'
import { bytesJson, metaJson, recordJson } from '../../operations/forms/json.ts'
import type { ChangeEvent, MessageForm } from '../node/watch/index.ts'

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
  head: ({ revision }) => Buffer.from(`id: ${revision}\ndata: {"revision":${revision},"events":[`),
  event: eventJson,
  tail: Buffer.from(']}\n\n'),
  progress: (upTo, id) => Buffer.from(`event: progress\nid: ${id}\ndata: {"revision":${upTo}}\n\n`),
  error: (error) => Buffer.from(`event: error\ndata: ${JSON.stringify(problemDocument(error))}\n\n`),
}

export const NDJSON: WatchForm = {
  mediaType: 'application/x-ndjson',
  created: (revision) => Buffer.from(`{"type":"created","revision":${revision}}\n`),
  head: ({ revision }) => Buffer.from(`{"type":"events","revision":${revision},"events":[`),
  event: eventJson,
  tail: Buffer.from(']}\n'),
  progress: (upTo) => Buffer.from(`{"type":"progress","revision":${upTo}}\n`),
  error: (error) => Buffer.from(`${JSON.stringify({ ...problemDocument(error), type: 'error' })}\n`),
}

function eventJson(
  event: ChangeEvent,
  prev: KeyRow | null | undefined,
  values: boolean,
  at: number,
): Uint8Array {
  const record = values ? recordJson : metaJson
  const comma = at === 0 ? '' : ','
  const before = prev === undefined ? '' : `,"prev":${prev === null ? null : record(prev)}`
  if (event.type === 'put') return Buffer.from(`${comma}{"type":"put","kv":${record(event.record)}${before}}`)
  const key = bytesJson(event.key)
  return Buffer.from(`${comma}{"type":"delete","key":${key},"mod_revision":${event.revision}${before}}`)
}
