// A watch on a multiplexed connection: a pending request until the node answers, then a stream of messages.
//
//   waiting ── served ──► streaming ── ended by the node, lost, silent, or destroyed ──► over
//      └── refused, lost, given up ────────────────────────────────────────────────────────┘
//
// All watches of a connection share its socket, which is always read, so messages are handed on at once. A watch whose
// application takes too little is cancelled, and requested again when there is room (../watch.ts).

import { disagree, isObject } from '../../operations/forms/disagreement.ts'
import type { ConnectionWelcome } from '../../operations/mux/connection.ts'
import { type Item, SUCCESS } from '../../operations/mux/form.ts'
import { EVENTS, PROGRESS } from '../../operations/watch.ts'
import type { Json } from '../decode.ts'
import { UnavailableError } from '../errors.ts'
import type { RequestOf } from '../request.ts'
import { SILENCE_MAX_MS } from './http-transport.ts'
import { outcomeOf, recordJson } from './mux-codec.ts'
import { type PendingConnection, PendingRequest } from './pending-request.ts'
import type { SendOptions, SendOutcome, WatchMessages } from './transport.ts'

export class PendingWatch extends PendingRequest implements WatchMessages {
  readonly #url: string
  readonly #silentMs: number
  #isStreaming = false
  /** Messages that the reader takes within this turn. */
  #received: Json[] = []
  #end: { readonly error: Error } | undefined
  #wake = () => {}

  constructor(
    connection: PendingConnection & { readonly url: string },
    request: RequestOf<'watch'>,
    options: SendOptions,
    resolve: (outcome: SendOutcome) => void,
  ) {
    super(connection, request, options, resolve)
    this.#url = connection.url
    this.#silentMs = options.streamSilenceMs ?? SILENCE_MAX_MS
  }

  override answered(item: Item, welcome: ConnectionWelcome, nowMs: number): void {
    if (item[1] !== SUCCESS) {
      super.answered(item, welcome, nowMs)
      return
    }
    const { head } = outcomeOf(this.request, item, welcome)
    this.#isStreaming = true
    this.#push({ type: 'created', revision: item[2] })
    this.settle({ kind: 'streaming', head, stream: this })
    this.#noteReceived(nowMs)
  }

  override lost(cause: Error): void {
    if (this.isOpen) super.lost(cause)
    else this.#over(cause)
  }

  override due(nowMs: number): void {
    if (this.isOpen) {
      super.due(nowMs)
      return
    }
    if (nowMs < this.dueMs) return
    this.connection.suspect(nowMs - this.#silentMs)
    const message = `${this.#url} has sent a watch nothing for ${this.#silentMs} ms`
    this.#leave(new UnavailableError(message, { code: 'timeout', written: 'no', endpoint: this.#url }))
  }

  received(item: Item, nowMs: number): void {
    if (!this.#isStreaming) return
    this.#noteReceived(nowMs)
    this.#push(messageOf(item))
  }

  /** The node has ended the watch. */
  ended(problem: unknown): void {
    if (!this.#isStreaming) return
    this.#push({ ...(isObject(problem) ? problem : {}), type: 'error' })
    this.#over(new Error('the node has ended the watch'))
  }

  destroy(): void {
    this.#received = []
    this.#leave(new Error('given up'))
  }

  async *messages(): AsyncGenerator<Json, void, undefined> {
    for (;;) {
      const message = this.#received.shift()
      if (message !== undefined) yield message
      else if (this.#end !== undefined) throw this.#end.error
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    }
  }

  #push(message: Json): void {
    this.#received.push(message)
    this.#wake()
  }

  #noteReceived(nowMs: number): void {
    this.dueMs = nowMs + this.#silentMs
  }

  #leave(error: Error): void {
    if (!this.#isStreaming) return
    this.connection.giveUp(this)
    this.#over(error)
  }

  #over(error: Error): void {
    this.#isStreaming = false
    this.dueMs = Number.POSITIVE_INFINITY
    this.#end ??= { error }
    this.#wake()
  }
}

const PUT = 0

/** The message as in a line of `GET /v1/watch`. */
function messageOf([, kind, revision, items]: Item): Json {
  if (kind === PROGRESS) return { type: 'progress', revision }
  if (kind !== EVENTS || !Array.isArray(items)) return disagree('it sends a watch something unknown')
  const events = items.map((event: unknown) => {
    if (!Array.isArray(event)) return disagree('an event is not a list')
    const [type, content, ...rest] = event
    const prev = rest[type === PUT ? 0 : 1]
    const before = prev === undefined ? undefined : { prev: prev === null ? null : recordJson(prev) }
    if (type === PUT) return { type: 'put', kv: recordJson(content), ...before }
    return { type: 'delete', key: content, mod_revision: rest[0], ...before }
  })
  return { type: 'events', revision, events }
}
