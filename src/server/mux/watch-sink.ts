// The sink of a watch of a multiplexed connection: its events become items.

import type { KeyRow, Revision } from '../../operations/forms/index.ts'
import { ApiError, problemDocument } from '../../operations/forms/index.ts'
import type { Item } from '../../operations/mux/form.ts'
import {
  type EncodedEvent,
  EVENTS,
  encodeEvent,
  encodeProgress,
  encodeWatchEnd,
} from '../../operations/watch.ts'
import { errorOfWatch } from '../api/watch.ts'
import type { EventsMessage, MessageForm, WatchEnd, WatchHandle, WatchSink } from '../node/watch/index.ts'
import { arrayHead, packAll, SharedItem } from './messages.ts'

/** The connection of a watch. */
export interface WatchConnection {
  /** Phase of the progress messages of its watches. */
  readonly phase: number
  /** So many bytes of its watches wait that the client must take them first. */
  readonly isFull: boolean
  readonly takesProgressOnly: boolean
  /** Sends an item of `bytes` bytes. */
  send(item: Item | SharedItem, bytes: number): void
  /** The watch waits until the client has taken enough. */
  waits(watch: MuxWatch): void
  began(id: number, watch: MuxWatch): void
  watchEnded(id: number): void
}

/** Size of an item without events. */
export const SMALL_ITEM_BYTES = 32

export class MuxWatch implements WatchSink {
  /** Bytes of its range. */
  heldBytes = 0
  readonly #id: number
  readonly #connection: WatchConnection
  readonly form: MessageForm
  #watch: WatchHandle | undefined

  /** `time`: its messages have the times of changes. */
  constructor(id: number, connection: WatchConnection, time = false) {
    this.#id = id
    this.#connection = connection
    this.form = time ? EVENTS_FORM_WITH_TIME : EVENTS_FORM
  }

  begin(watch: WatchHandle): void {
    this.#watch = watch
    this.#connection.began(this.#id, this)
  }

  get phase(): number {
    return this.#connection.phase
  }

  get isFull(): boolean {
    return this.#connection.isFull
  }

  get takesProgressOnly(): boolean {
    return this.#connection.takesProgressOnly
  }

  events(message: EventsMessage): void {
    const item = new SharedItem(this.#id, EVENTS, message.in(this.form), EVENTS_FIELDS)
    this.#connection.send(item, item.bytes)
  }

  progress(revision: Revision): void {
    this.#connection.send(encodeProgress(this.#id, revision), SMALL_ITEM_BYTES)
  }

  waits(): void {
    this.#connection.waits(this)
  }

  ended(end: WatchEnd): void {
    this.#end(errorOfWatch(end))
  }

  drained(): void {
    this.#watch?.drained()
  }

  /** The client has cancelled the watch. */
  cancel(): void {
    this.#watch?.cancel()
    this.#end(new ApiError('cancelled', 'the client has cancelled it'))
  }

  /** The connection is gone. */
  forget(): void {
    this.#watch?.cancel()
  }

  #end(error: ApiError): void {
    const problem = problemDocument(error)
    this.#connection.send(encodeWatchEnd(this.#id, problem), JSON.stringify(problem).length)
    this.#connection.watchEnded(this.#id)
  }
}

/** The fields of an item of events, packed: the revision, and the list of events. */
export const EVENTS_FORM = {
  head: ({
    revision,
    events,
  }: {
    readonly revision: Revision
    readonly events: { readonly length: number }
  }) => Buffer.concat([packAll(revision), arrayHead(events.length)]),
  event: (event: EncodedEvent, prev: KeyRow | null | undefined, values: boolean) =>
    packAll(encodeEvent(event, prev, values)),
  tail: new Uint8Array(),
} satisfies MessageForm

export const EVENTS_FORM_WITH_TIME = {
  ...EVENTS_FORM,
  event: (event: EncodedEvent, prev: KeyRow | null | undefined, values: boolean) =>
    packAll(encodeEvent(event, prev, values, true)),
} satisfies MessageForm

export const EVENTS_FIELDS = 2
