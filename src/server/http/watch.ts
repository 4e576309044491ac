// GET /v1/watch: the changes of a key or a range, as server-sent events or lines of JSON, until one side ends it.

import type { ServerResponse } from 'node:http'
import { asRevision, type Revision } from '../../kv/index.ts'
import type { NodeApi, ReadGrant } from '../node/types.ts'
import type { EventsMessage, Watch, WatchEnd, WatchRequest, WatchSink } from '../node/watch/index.ts'
import { namesMediaType } from './accept-header.ts'
import { type ApiRequest, answering, type Respond, timeLeftMs } from './answer.ts'
import { bytes, duration, flag, oneOf, type ParameterValues, revision } from './parameters.ts'
import { ApiError, refusedByNode } from './problem.ts'
import { freshnessHeaders, readOptions } from './read-options.ts'
import { type OutboundBudget, writeChunked } from './response-budget.ts'
import { type Route, route } from './route.ts'
import { NDJSON, SSE, type WatchForm } from './watch-json.ts'
import {
  beginWatch,
  endOfWatch,
  PROGRESS_MS_DEFAULT,
  PROGRESS_MS_MAX,
  PROGRESS_MS_MIN,
  type WatchBuffers,
  watchedWhere,
} from './watch-limits.ts'

const PARAMETERS = {
  key: bytes('The key to watch'),
  prefix: bytes('Keys that begin with it'),
  start: bytes('From this key on, inclusive'),
  end: bytes('Up to this key, exclusive'),
  from: revision('The first revision to be told of; unless given, the next one'),
  prev: flag('Tell the records before the changes as well'),
  only: oneOf('Tell only changes of this type', 'put', 'delete'),
  progress: duration(
    'How long nothing may be sent before the revision is told up to which everything has been sent; 10s unless given',
    PROGRESS_MS_MAX,
    PROGRESS_MS_MIN,
  ),
  values: flag('false: leave the values of records out'),
}

export interface WatchRouteOptions {
  readonly node: NodeApi
  readonly backlog: OutboundBudget
  readonly buffers: WatchBuffers
}

export const watchRoute = (options: WatchRouteOptions): Route =>
  route(
    {
      method: 'GET',
      path: '/v1/watch',
      summary: 'Watch a key or a range: server-sent events, or application/x-ndjson if Accept names it',
      parameters: PARAMETERS,
      answers: SSE.mediaType,
      answersLines: true,
      headers: { 'Last-Event-ID': 'The id of the last message that was received: go on after it' },
    },
    ({ asked, values }, respond) => {
      const request = requestOf(asked, values)
      const { node } = options
      node.read(
        readOptions(timeLeftMs(asked), LINEARIZABLE),
        answering(respond, (result) => {
          if (!result.ok) throw refusedByNode(result.problem)
          begin(options, asked, request, result.value, respond)
        }),
      )
    },
  )

const LINEARIZABLE = { consistency: undefined, max_staleness: undefined, min_revision: undefined }

function requestOf(asked: ApiRequest, values: ParameterValues<typeof PARAMETERS>): WatchRequest {
  const { from, only, prev = false, progress = PROGRESS_MS_DEFAULT, values: withValues = true } = values
  const seen = lastEventId(asked)
  // A client that comes again sends the target with which it began.
  const next = seen === undefined ? from : asRevision(Math.max(seen + 1, from ?? 0))
  return { where: watchedWhere(values), from: next, only, prev, values: withValues, progressMs: progress }
}

function lastEventId({ headers }: ApiRequest): number | undefined {
  const given = headers['last-event-id']
  if (given === undefined || given === '') return undefined
  const id = Number(given)
  if (/^[0-9]{1,16}$/.test(String(given)) && id < Number.MAX_SAFE_INTEGER) return id
  throw new ApiError(
    'bad_request',
    'Last-Event-ID must be the id of a message of a watch, which is a revision',
  )
}

function begin(
  { node, backlog, buffers }: WatchRouteOptions,
  asked: ApiRequest,
  request: WatchRequest,
  grant: ReadGrant,
  respond: Respond,
): void {
  const { revision } = grant
  const form = namesMediaType(asked.headers.accept, NDJSON.mediaType) ? NDJSON : SSE
  const answer = {
    status: 200,
    headers: [
      'Content-Type',
      form.mediaType,
      'Vary',
      'Accept',
      'X-Accel-Buffering',
      'no',
      ...freshnessHeaders(grant),
    ],
    revision,
  }
  const stream = new WatchStream(form, backlog, buffers, request.from)
  const watch = beginWatch(node, request, stream)
  if (asked.method === 'HEAD') {
    watch.cancel()
    respond({ ...answer, body: { stream() {} } })
    return
  }
  respond({ ...answer, body: { stream: (to) => stream.begin(to, watch, revision) } })
}

/** A watch on its way to the client. What becomes ready in one turn of the event loop is written together. */
class WatchStream implements WatchSink {
  readonly #form: WatchForm
  readonly #backlog: OutboundBudget
  readonly #buffers: WatchBuffers
  /** What the client is not told because it is older, where it has named the first revision itself. */
  readonly #before: number
  #to: ServerResponse | undefined
  #watch: Watch | undefined
  #ready: Uint8Array[] = []
  /** What is ready, and what the kernel has not taken yet. */
  #bytes = 0
  #flushesSoon = false
  #isPouring = false
  /** The watch waits until the client has taken everything. */
  #waits = false
  /** The last message is ready. */
  #ends = false

  constructor(form: WatchForm, backlog: OutboundBudget, buffers: WatchBuffers, from: Revision | undefined) {
    this.#form = form
    this.#backlog = backlog
    this.#buffers = buffers
    this.#before = (from ?? 1) - 1
  }

  get isFull(): boolean {
    return this.#buffers.isFull(this.#bytes)
  }

  /** `to` undefined: the client is gone. */
  begin(to: ServerResponse | undefined, watch: Watch, revision: Revision): void {
    if (to === undefined) {
      watch.cancel()
      return
    }
    this.#to = to
    this.#watch = watch
    // A client that closes its side still gets its answers, but this one has no end.
    const { socket } = to
    const leave = (): void => void to.destroy()
    socket?.once('end', leave)
    to.once('close', () => {
      socket?.off('end', leave)
      this.#gone()
    })
    if (socket?.readableEnded) leave()
    this.#ready.unshift(this.#counted(this.#form.created(revision, watch.from - 1)))
    this.#flush()
  }

  events(message: EventsMessage): void {
    this.#write(message.in(this.#form))
  }

  waits(): void {
    this.#waits = true
  }

  progress(upTo: Revision): void {
    // Ids never go back: the first revision may lie in the future.
    this.#write(this.#form.progress(upTo, Math.max(upTo, this.#before)))
  }

  ended(end: WatchEnd): void {
    this.#ends = true
    this.#write(this.#form.error(endOfWatch(end)))
  }

  #write(bytes: Uint8Array): void {
    this.#ready.push(this.#counted(bytes))
    if (this.#flushesSoon || this.#isPouring) return
    this.#flushesSoon = true
    setImmediate(() => this.#flush())
  }

  #counted(bytes: Uint8Array): Uint8Array {
    this.#bytes += bytes.length
    this.#buffers.bytes += bytes.length
    return bytes
  }

  #flush(): void {
    this.#flushesSoon = false
    const to = this.#to
    const [first] = this.#ready
    if (to === undefined || this.#isPouring || first === undefined) return
    const whole = this.#ready.length === 1 ? first : Buffer.concat(this.#ready)
    this.#ready = []
    this.#isPouring = true
    writeChunked(to, [whole], this.#backlog, (taken) => {
      this.#isPouring = false
      if (taken) this.#taken(whole.length)
    })
  }

  #taken(bytes: number): void {
    if (this.#to === undefined) return
    this.#bytes -= bytes
    this.#buffers.bytes -= bytes
    if (this.#ready.length > 0) this.#flush()
    else if (this.#ends) this.#to.end()
    else if (this.#waits) {
      this.#waits = false
      this.#watch?.drained()
    }
  }

  #gone(): void {
    this.#watch?.cancel()
    this.#to = undefined
    this.#ready = []
    this.#buffers.bytes -= this.#bytes
    this.#bytes = 0
  }
}
