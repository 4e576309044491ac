// GET /v1/watch: the changes of a key or a range, as server-sent events or lines of JSON, until one side ends it.

import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { freshnessHeaders } from '../../operations/forms/http.ts'
import { ApiError, asRevision, type Revision, whereToWatch } from '../../operations/forms/index.ts'
import { namesMediaType } from '../../operations/forms/media-types.ts'
import {
  bytes,
  duration,
  flag,
  oneOf,
  type ParameterValues,
  revision,
} from '../../operations/forms/parameters.ts'
import type { WatchedChanges } from '../../operations/index.ts'
import { PROGRESS_MS_DEFAULT, PROGRESS_MS_MAX, PROGRESS_MS_MIN } from '../../operations/watch.ts'
import { type OutboundBudget, writeChunked } from '../api/budget.ts'
import type { ApiResult } from '../api/operation.ts'
import { errorOfWatch, type WaitingClient, type WatchBuffers } from '../api/watch.ts'
import type { HttpRequest, HttpResponse } from '../connections/messages.ts'
import type { EventsMessage, WatchEnd, WatchHandle, WatchSink } from '../node/watch/index.ts'
import { type Route, route } from './route.ts'
import { NDJSON, SSE, type WatchForm } from './watch-json.ts'

const PARAMETERS = {
  key: bytes('The key to watch'),
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  from: revision('The first revision to send; unless given, the next one'),
  prev: flag('Send the records before the changes as well'),
  only: oneOf('Send only changes of this type', 'put', 'delete'),
  progress: duration(
    'Silence after which the watch sends the revision up to which it has sent everything; 10s unless given',
    PROGRESS_MS_MAX,
    PROGRESS_MS_MIN,
  ),
  values: flag('false: leave the values of records out'),
}

/** The memory of answers and of watches, which all clients share. */
export interface WatchBudgets {
  readonly outbound: OutboundBudget
  readonly watchBuffers: WatchBuffers
}

export const watchRoute = (budgets: WatchBudgets): Route =>
  route(
    {
      method: 'GET',
      path: '/v1/watch',
      summary: 'Watch a key or a range: server-sent events, or application/x-ndjson if Accept names it',
      parameters: PARAMETERS,
      answers: SSE.mediaType,
      answersLines: true,
      headers: {
        'Last-Event-ID': 'The id of the last message that was received: the watch continues after it',
      },
    },
    ({ request, headers, values }) => {
      const watched = requestOf(headers, values)
      request.openSink = () => new WatchStream(formOf(headers), budgets, watched.from)
      return { kind: 'watch', request: watched }
    },
  )

const formOf = ({ accept }: IncomingHttpHeaders): WatchForm =>
  namesMediaType(accept, NDJSON.mediaType) ? NDJSON : SSE

function requestOf(headers: IncomingHttpHeaders, values: ParameterValues<typeof PARAMETERS>): WatchedChanges {
  const { from, only, prev = false, progress = PROGRESS_MS_DEFAULT, values: withValues = true } = values
  const seen = lastEventId(headers)
  // A client that connects again sends its first target.
  const next = seen === undefined ? from : asRevision(Math.max(seen + 1, from ?? 0))
  return { where: whereToWatch(values), from: next, only, prev, values: withValues, progressMs: progress }
}

function lastEventId({ 'last-event-id': header }: IncomingHttpHeaders): number | undefined {
  if (header === undefined || header === '') return undefined
  const id = Number(header)
  if (/^[0-9]{1,16}$/.test(String(header)) && id < Number.MAX_SAFE_INTEGER) return id
  throw new ApiError(
    'bad_request',
    'Last-Event-ID must be the id of a message of a watch, which is a revision',
  )
}

export function watchResponse(
  { grant, watch, sink }: Extract<ApiResult, { readonly kind: 'watching' }>,
  { method, headers }: HttpRequest,
): HttpResponse {
  const { revision } = grant
  const response = {
    status: 200,
    headers: [
      ...['Content-Type', formOf(headers).mediaType, 'Vary', 'Accept', 'X-Accel-Buffering', 'no'],
      ...freshnessHeaders(grant),
    ],
    revision,
  }
  if (method !== 'HEAD' && sink instanceof WatchStream)
    return { ...response, body: { stream: (to) => sink.begin(to, watch, revision) } }
  watch.cancel()
  return { ...response, body: { stream() {} } }
}

/** The response of a watch. Messages of one turn of the event loop are written together. */
export class WatchStream implements WatchSink, WaitingClient {
  readonly form: WatchForm
  readonly #budget: OutboundBudget
  readonly #buffers: WatchBuffers
  /** The last revision before the first one that the client has requested. */
  readonly #before: number
  #to: ServerResponse | undefined
  #watch: WatchHandle | undefined
  #ready: Uint8Array[] = []
  /** Bytes of messages that are ready, or that the kernel has not taken yet. */
  #bytes = 0
  #flushesSoon = false
  #isWriting = false
  /** The watch waits until the client has taken all messages. */
  #isWaiting = false
  /** The last message is ready. */
  #ends = false

  constructor(form: WatchForm, { outbound, watchBuffers }: WatchBudgets, from: Revision | undefined) {
    this.form = form
    this.#budget = outbound
    this.#buffers = watchBuffers
    this.#before = (from ?? 1) - 1
  }

  get isFull(): boolean {
    return this.#buffers.isFull(this.#bytes)
  }

  get takesProgressOnly(): boolean {
    return this.#buffers.takesProgressOnly
  }

  /** Without `to` the client is gone. */
  begin(to: ServerResponse | undefined, watch: WatchHandle, revision: Revision): void {
    if (to === undefined) {
      watch.cancel()
      return
    }
    this.#to = to
    this.#watch = watch
    // A client that closes its side still receives its answers, but this one has no end.
    const { socket } = to
    const leave = (): void => void to.destroy()
    socket?.once('end', leave)
    to.once('close', () => {
      socket?.off('end', leave)
      this.#forget()
    })
    if (socket?.readableEnded) leave()
    this.#ready.unshift(this.#counted(this.form.created(revision, watch.from - 1)))
    this.#flush()
  }

  events(message: EventsMessage): void {
    this.#write(message.in(this.form))
  }

  waits(): void {
    this.#isWaiting = true
    if (this.#bytes === 0) this.#buffers.wait(this)
  }

  resume(): void {
    if (!this.#isWaiting) return
    this.#isWaiting = false
    this.#watch?.drained()
  }

  progress(upTo: Revision): void {
    // Ids never go back: the first revision may lie in the future.
    this.#write(this.form.progress(upTo, Math.max(upTo, this.#before)))
  }

  ended(end: WatchEnd): void {
    this.#ends = true
    this.#write(this.form.error(errorOfWatch(end)))
  }

  #write(bytes: Uint8Array): void {
    this.#ready.push(this.#counted(bytes))
    if (this.#flushesSoon || this.#isWriting) return
    this.#flushesSoon = true
    setImmediate(() => this.#flush())
  }

  #counted(bytes: Uint8Array): Uint8Array {
    this.#bytes += bytes.length
    this.#buffers.add(bytes.length)
    return bytes
  }

  #flush(): void {
    this.#flushesSoon = false
    const to = this.#to
    const [first] = this.#ready
    if (to === undefined || this.#isWriting || first === undefined) return
    const whole = this.#ready.length === 1 ? first : Buffer.concat(this.#ready)
    this.#ready = []
    this.#isWriting = true
    writeChunked(to, [whole], this.#budget, (onDrain) => {
      this.#isWriting = false
      if (onDrain) this.#onDrain(whole.length)
    })
  }

  #onDrain(bytes: number): void {
    if (this.#to === undefined) return
    this.#bytes -= bytes
    this.#buffers.remove(bytes)
    if (this.#ready.length > 0) this.#flush()
    else if (this.#ends) this.#to.end()
    else this.resume()
  }

  #forget(): void {
    this.#watch?.cancel()
    this.#to = undefined
    this.#ready = []
    this.#buffers.forget(this)
    this.#buffers.remove(this.#bytes)
    this.#bytes = 0
  }
}
