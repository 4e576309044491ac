// The messages of watches as bytes. All watchers of one form share the bytes of an event.

import type { ApiError, KeyRow, Revision } from '../../operations/forms/index.ts'
import type { RequestHeaders } from '../../operations/http/conditions.ts'
import {
  type EncodedEvent,
  NDJSON as NDJSON_TEXT,
  NDJSON_WITH_TIME,
  SSE as SSE_TEXT,
  SSE_WITH_TIME,
  type WatchMessageForm,
  watchMessageForm,
} from '../../operations/watch.ts'
import type { EventsMessage, MessageForm } from '../node/watch/index.ts'

/** The bytes of a format. */
export class WatchForm implements MessageForm {
  readonly #text: WatchMessageForm
  readonly tail: Uint8Array

  constructor(text: WatchMessageForm) {
    this.#text = text
    this.tail = Buffer.from(text.tail)
  }

  created(revision: Revision, before: number): Uint8Array {
    return Buffer.from(this.#text.created(revision, before))
  }

  head({ revision }: Pick<EventsMessage, 'revision'>): Uint8Array {
    return Buffer.from(this.#text.head(revision))
  }

  event(event: EncodedEvent, prev: KeyRow | null | undefined, values: boolean, at: number): Uint8Array {
    return Buffer.from(this.#text.event(event, prev, values, at))
  }

  progress(upTo: Revision, before: number): Uint8Array {
    return Buffer.from(this.#text.progress(upTo, before))
  }

  error(error: ApiError): Uint8Array {
    return Buffer.from(this.#text.error(error))
  }
}

export const SSE = new WatchForm(SSE_TEXT)
export const NDJSON = new WatchForm(NDJSON_TEXT)
const WITH_TIME = { sse: new WatchForm(SSE_WITH_TIME), ndjson: new WatchForm(NDJSON_WITH_TIME) }

/** The form that the client requests. `time`: with the times of changes. */
export function watchForm(headers: RequestHeaders, time = false): WatchForm {
  const isSse = watchMessageForm(headers) === SSE_TEXT
  if (time) return isSse ? WITH_TIME.sse : WITH_TIME.ndjson
  return isSse ? SSE : NDJSON
}
