// A watch on a multiplexed connection: how it begins, and how its events become items.

import type { KeyRow, Revision } from '../../kv/index.ts'
import { answerWithinMs } from '../http/parameters.ts'
import { problemDocument, Refused, refusedByNode } from '../http/problem.ts'
import { readOptions } from '../http/reading.ts'
import {
  beginWatch,
  endOfWatch,
  PROGRESS_MS_DEFAULT,
  PROGRESS_MS_MAX,
  PROGRESS_MS_MIN,
  watchedWhere,
} from '../http/watching.ts'
import type { NodeApi } from '../types.ts'
import type {
  EventsMessage,
  MessageForm,
  Watch,
  WatchEnd,
  WatchEvent,
  WatchRequest,
  WatchSink,
} from '../watch/index.ts'
import {
  checkLength,
  type Fields,
  invalid,
  isNil,
  readBytes,
  readFlag,
  readMap,
  readOneOf,
  readRevision,
  readTimeout,
} from './fields.ts'
import { type Item, packAll, SharedItem } from './messages.ts'
import type { Operation } from './operation.ts'
import { EVENTS, PROGRESS, SUCCESS, WATCH_ENDED } from './protocol.ts'
import { record } from './record.ts'

interface WatchOptions {
  readonly node: NodeApi
  /** The problem for an error. Reports the error if it is not the client's fault. */
  readonly refused: (error: unknown) => Refused
}

/** Answers the operation when the watch has begun. Throws `Refused`. */
export function watch({ node, refused }: WatchOptions, operation: Operation, item: Item): void {
  checkLength(item, 6)
  const timeoutMs = answerWithinMs(readTimeout(item[2]))
  const request = readWatch(item[3], item[4], item[5])
  node.read(readOptions(timeoutMs, LINEARIZABLE), (result) => {
    if (operation.isAbandoned) {
      operation.end(0, [])
      return
    }
    try {
      if (!result.ok) throw refusedByNode(result.problem)
      const opened = operation.openWatch()
      opened.begin(beginWatch(node, request, opened))
      operation.end(200, [operation.id, SUCCESS, result.value.revision])
    } catch (error) {
      operation.refuse(refused(error), 'no')
    }
  })
}

const LINEARIZABLE = { consistency: undefined, max_staleness: undefined, min_revision: undefined }

const WHERE = ['key', 'prefix', 'start', 'end'] as const
const OPTIONS = ['prev', 'only', 'values', 'progress_ms'] as const

function readWatch(range: unknown, from: unknown, options: unknown): WatchRequest {
  const named: Fields<(typeof WHERE)[number]> = isNil(range) ? new Map() : readMap(range, 'the range', WHERE)
  const bytes = (name: (typeof WHERE)[number]): Uint8Array | undefined =>
    isNil(named.get(name)) ? undefined : readBytes(named.get(name), name)
  const where = watchedWhere({
    key: bytes('key'),
    prefix: bytes('prefix'),
    start: bytes('start'),
    end: bytes('end'),
  })
  const given: Fields<(typeof OPTIONS)[number]> = isNil(options)
    ? new Map()
    : readMap(options, 'options', OPTIONS)
  return {
    where,
    from: isNil(from) ? undefined : readRevision(from, 'from'),
    only: readOneOf(given.get('only'), 'only', ['put', 'delete']),
    prev: readFlag(given.get('prev'), 'prev') ?? false,
    values: readFlag(given.get('values'), 'values') ?? true,
    progressMs: readProgress(given.get('progress_ms')),
  }
}

function readProgress(field: unknown): number {
  if (isNil(field)) return PROGRESS_MS_DEFAULT
  if (typeof field === 'number' && field >= PROGRESS_MS_MIN && field <= PROGRESS_MS_MAX) return field
  throw invalid('progress_ms', `a number from ${PROGRESS_MS_MIN} to ${PROGRESS_MS_MAX}`)
}

/** The connection of a watch. */
export interface WatchConnection {
  /** So much waits for the client that it must take it first. */
  readonly isFull: boolean
  /** Sends an item, of so many bytes. */
  tell(item: Item | SharedItem, bytes: number): void
  /** The watch is to be drained when the client has taken everything. */
  waits(watch: MuxWatch): void
  began(id: number, watch: MuxWatch): void
  watchEnded(id: number): void
}

/** Of an item without events. */
const SMALL_ITEM_BYTES = 32

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
    this.#end(new Refused('cancelled', 'the client has cancelled it'))
  }

  /** The connection is gone. */
  forget(): void {
    this.#watch?.cancel()
  }

  #end(refused: Refused): void {
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
