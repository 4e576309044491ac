// A watch on its way to the client of a multiplexed connection: its events as items.

import type { KeyRow, Revision } from '../../kv/index.ts'
import { ApiError, problemDocument } from '../http/problem.ts'
import { endOfWatch } from '../http/watch-limits.ts'
import type {
  EventsMessage,
  MessageForm,
  Watch,
  WatchEnd,
  WatchEvent,
  WatchSink,
} from '../node/watch/index.ts'
import { type Item, packAll, SharedItem } from './messages.ts'
import { EVENTS, PROGRESS, WATCH_ENDED } from './protocol.ts'
import { record } from './record.ts'

/** The connection of a watch. */
export interface WatchConnection {
  /** Of the progress of its watches. */
  readonly phase: number
  /** So much of its watches waits for the client that it must take it first. */
  readonly isFull: boolean
  /** Sends an item, of so many bytes. */
  tell(item: Item | SharedItem, bytes: number): void
  /** The watch is to be drained when the client has taken enough. */
  waits(watch: MuxWatch): void
  began(id: number, watch: MuxWatch): void
  watchEnded(id: number): void
}

/** Of an item without events. */
export const SMALL_ITEM_BYTES = 32

export class MuxWatch implements WatchSink {
  readonly #id: number
  readonly #connection: WatchConnection
  #watch: Watch | undefined

  constructor(id: number, connection: WatchConnection) {
    this.#id = id
    this.#connection = connection
  }

  begin(watch: Watch): void {
    this.#watch = watch
    this.#connection.began(this.#id, this)
  }

  get phase(): number {
    return this.#connection.phase
  }

  get isFull(): boolean {
    return this.#connection.isFull
  }

  events(message: EventsMessage): void {
    const item = new SharedItem(this.#id, EVENTS, message.in(FORM), 2)
    this.#connection.tell(item, item.bytes)
  }

  progress(revision: Revision): void {
    this.#connection.tell([this.#id, PROGRESS, revision], SMALL_ITEM_BYTES)
  }

  waits(): void {
    this.#connection.waits(this)
  }

  ended(end: WatchEnd): void {
    this.#end(endOfWatch(end))
  }

  drained(): void {
    this.#watch?.drained()
  }

  /** The client needs it no longer. */
  cancel(): void {
    this.#watch?.cancel()
    this.#end(new ApiError('cancelled', 'the client has cancelled it'))
  }

  /** The connection is gone. */
  forget(): void {
    this.#watch?.cancel()
  }

  #end(refused: ApiError): void {
    const problem = problemDocument(refused)
    this.#connection.tell([this.#id, WATCH_ENDED, problem], JSON.stringify(problem).length)
    this.#connection.watchEnded(this.#id)
  }
}

const FORM: MessageForm = {
  encode(message) {
    const prevs = message.prevs()
    return packAll(
      message.revision,
      message.events.map((event, at) => wireEvent(event, prevs[at], message.values)),
    )
  },
}

const EVENT_PUT = 0
const EVENT_DELETE = 1

function wireEvent(event: WatchEvent, prev: KeyRow | null | undefined, values: boolean): readonly unknown[] {
  const wire = (row: KeyRow): readonly unknown[] => {
    const [key, value, ...revisions] = record(row.key, row)
    return [key, values ? value : null, ...revisions]
  }
  const told: unknown[] =
    event.type === 'put' ? [EVENT_PUT, wire(event.record)] : [EVENT_DELETE, event.key, event.revision]
  if (prev !== undefined) told.push(prev === null ? null : wire(prev))
  return told
}
