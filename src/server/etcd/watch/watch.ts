// One watch of a stream.

import {
  FILTER_NO_DELETE,
  FILTER_NO_PUT,
  type WatchCreateRequest,
  WatchResponse,
} from '../../../etcd/messages/watch.ts'
import { compareKeys, type Revision, type Where } from '../../../operations/forms/index.ts'
import { PROGRESS_MS_MAX, type WatchedChanges } from '../../../operations/watch.ts'
import type { EventsMessage, MessageForm, WatchEnd, WatchHandle, WatchSink } from '../../node/watch/index.ts'
import { decodeRevision, decodeWhere, isTooLong } from '../fields.ts'
import { EVENTS_FORM, fragments, joined } from './messages.ts'

/** The stream of a watch. */
export interface WatchResponses {
  /** So many bytes of its watches wait that the client must take them first. */
  readonly isFull: boolean
  readonly takesProgressOnly: boolean
  header(revision: number): NonNullable<WatchResponse['header']>
  send(message: Uint8Array): void
  /** The watch waits until the client has taken enough. */
  waits(watch: EtcdWatch): void
  ended(watch: EtcdWatch, end: WatchEnd): void
}

/** The watch that a client of etcd requests. `progressMs`: interval of its progress, if the client wants it. */
export function decodeWatch(request: WatchCreateRequest, progressMs: number): WatchedChanges {
  const { startRevision, progressNotify, prevKv, filters } = request
  return {
    where: watchedKeys(request),
    from: decodeRevision(startRevision),
    only: filters.includes(FILTER_NO_PUT) ? 'delete' : filters.includes(FILTER_NO_DELETE) ? 'put' : undefined,
    prev: prevKv,
    values: true,
    progressMs: progressNotify ? Math.min(progressMs, PROGRESS_MS_MAX) : PROGRESS_MS_MAX,
  }
}

/** An empty key is the least one. A watch outlives its request, of whose bytes it keeps only these. */
const watchedKeys = ({ key, rangeEnd }: WatchCreateRequest): Where =>
  decodeWhere(key.length === 0 ? LEAST_KEY : new Uint8Array(key), new Uint8Array(rangeEnd))

const LEAST_KEY = Uint8Array.of(0)

export const isTooLargeRange = ({ key, rangeEnd }: WatchCreateRequest): boolean =>
  isTooLong(key) || isTooLong(rangeEnd)

/** Whether the end is not after the beginning. */
export function isEmptyRange(request: WatchCreateRequest): boolean {
  const where = watchedKeys(request)
  return !('key' in where) && where.end !== undefined && compareKeys(where.start, where.end) >= 0
}

type WatchOptions = Pick<WatchCreateRequest, 'fragment' | 'progressNotify' | 'filters' | 'startRevision'>

/** Both kinds of events are left out. */
const isMute = ({ filters }: WatchOptions): boolean =>
  filters.includes(FILTER_NO_PUT) && filters.includes(FILTER_NO_DELETE)

export class EtcdWatch implements WatchSink {
  readonly id: number
  /** Memory that counts for it. */
  readonly heldBytes: number
  /** It has no progress before: a client that resumed after such a revision would receive events too early. */
  readonly startRevision: number
  readonly #isFragmented: boolean
  readonly #notifies: boolean
  readonly #isMute: boolean
  readonly #connection: WatchResponses
  #handle: WatchHandle | undefined
  /** The client knows that it was created. Nothing is sent before. */
  #isCreated = false
  #waits = false
  /** The node has ended it before the client knew that it was created. */
  #end: WatchEnd | undefined
  /** Its client knows it by no id. */
  isRefused = false

  /** Keeps nothing of `options`, whose list of filters may be as long as a request. */
  constructor(id: number, options: WatchOptions, connection: WatchResponses, heldBytes: number) {
    this.id = id
    this.heldBytes = heldBytes
    this.startRevision = options.startRevision
    this.#isFragmented = options.fragment
    this.#notifies = options.progressNotify
    this.#isMute = isMute(options)
    this.#connection = connection
  }

  get form(): MessageForm {
    return EVENTS_FORM
  }

  get isFull(): boolean {
    return !this.#isCreated || this.#connection.isFull
  }

  get takesProgressOnly(): boolean {
    return this.#connection.takesProgressOnly
  }

  /** The last revision all of whose events were sent; undefined: it has not begun. */
  get sentUpTo(): Revision | undefined {
    return this.#handle?.sentUpTo()
  }

  begin(handle: WatchHandle, revision: Revision): void {
    this.#handle = handle
    this.#send({ created: true }, revision)
    this.#isCreated = true
    if (this.#end !== undefined) this.#connection.ended(this, this.#end)
    else if (this.#waits) this.drained()
  }

  /** Tells the client that it was created, and has ended. */
  refuse(revision: Revision, end: Partial<WatchResponse>, watchId = this.id): void {
    this.isRefused = watchId !== this.id
    this.#send({ watchId, created: true, canceled: true, ...end }, revision)
  }

  canceled(revision: Revision, end: Partial<WatchResponse>): void {
    this.#send({ canceled: true, ...end }, revision)
  }

  events(message: EventsMessage): void {
    if (this.#isMute) return
    const events = message.in(EVENTS_FORM)
    const parts = this.#isFragmented ? fragments(events) : [events]
    const header = this.#connection.header(message.revision)
    for (const [at, part] of parts.entries()) {
      const fragment = at < parts.length - 1
      this.#connection.send(joined(WatchResponse.encode({ header, watchId: this.id, fragment }), part))
    }
  }

  progress(revision: Revision): void {
    if (this.#notifies && revision >= this.startRevision) this.#send({}, revision)
  }

  waits(): void {
    this.#waits = true
    if (this.#isCreated) this.#connection.waits(this)
  }

  drained(): void {
    this.#waits = false
    this.#handle?.drained()
  }

  ended(end: WatchEnd): void {
    // Its response is the first one of a watch. It may wait for the watch before, which begins with a majority.
    if (this.#isCreated) this.#connection.ended(this, end)
    else this.#end = end
  }

  cancel(): void {
    this.#handle?.cancel()
  }

  #send(response: Partial<WatchResponse>, revision: Revision): void {
    const header = this.#connection.header(revision)
    this.#connection.send(WatchResponse.encode({ header, watchId: this.id, ...response }))
  }
}
