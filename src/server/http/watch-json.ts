// The messages of watches as bytes. All watchers of one form share the bytes of an event.

import type { ApiError, KeyRow, Revision } from '../../operations/forms/index.ts'
import {
  eventJson,
  NDJSON as NDJSON_TEXT,
  SSE as SSE_TEXT,
  type WatchMessageForm,
} from '../../operations/watch.ts'
import type { ChangeEvent, EventsMessage, MessageForm } from '../node/watch/index.ts'

/** A format of the messages. */
export class WatchForm implements MessageForm {
  readonly #text: WatchMessageForm
  readonly tail: Uint8Array

  constructor(text: WatchMessageForm) {
    this.#text = text
    this.tail = Buffer.from(text.tail)
  }

  created(revision: Revision, upTo: number): Uint8Array {
    return Buffer.from(this.#text.created(revision, upTo))
  }

  head({ revision }: EventsMessage): Uint8Array {
    return Buffer.from(this.#text.head(revision))
  }

  event(event: ChangeEvent, prev: KeyRow | null | undefined, values: boolean, at: number): Uint8Array {
    return Buffer.from(`${at === 0 ? '' : ','}${eventJson(event, prev, values)}`)
  }

  progress(upTo: Revision, id: number): Uint8Array {
    return Buffer.from(this.#text.progress(upTo, id))
  }

  error(error: ApiError): Uint8Array {
    return Buffer.from(this.#text.error(error))
  }
}

export const SSE = new WatchForm(SSE_TEXT)
export const NDJSON = new WatchForm(NDJSON_TEXT)
