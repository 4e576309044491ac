// A watch on a multiplexed connection: a pending request until the node answers, then a stream of messages.
//
//   waiting ── served ──► streaming ── ended by the node, lost, silent, or destroyed ──► over
//      └── refused, lost, given up ────────────────────────────────────────────────────────┘
//
// All watches of a connection share its socket, which is always read, so messages are handed on at once. A watch whose
// application takes too little is cancelled, and requested again when there is room (../watch.ts).

import { whenAborted } from '../abort-listeners.ts'
import { disagree, isObject, type Json } from '../decode.ts'
import { UnavailableError } from '../errors.ts'
import type { WatchOperation } from '../operation.ts'
import {
  EVENTS,
  type MuxItem,
  type MuxWelcome,
  outcomeOf,
  PROGRESS,
  recordJson,
  SERVED,
} from './mux-codec.ts'
import { type PendingConnection, type PendingOperation, QUEUED } from './pending-request.ts'
import type { SendOptions, SendOutcome, WatchMessages } from './transport.ts'

export class PendingWatch implements PendingOperation, WatchMessages {
  readonly operation: WatchOperation
  readonly writeId = undefined
  readonly deadline: number
  dueMs: number
  id = QUEUED
  /** The node's span of a watch that begins has no parent. */
  readonly trace = undefined
  readonly #resolve: (outcome: SendOutcome) => void
  readonly #connection: PendingConnection
  readonly #url: string
  readonly #stopListening: () => void
  #state: 'waiting' | 'streaming' | 'over' = 'waiting'
  /** Messages that the reader takes within this turn. */
  #received: Json[] = []
  #end: { readonly error: Error } | undefined
  #wake = () => {}

  constructor(
    connection: PendingConnection & { readonly url: string },
    operation: WatchOperation,
    { timeoutMs, silenceMs = timeoutMs, signal }: SendOptions,
    resolve: (outcome: SendOutcome) => void,
  ) {
    this.#connection = connection
    this.#url = connection.url
    this.operation = operation
    this.#resolve = resolve
    const nowMs = performance.now()
    this.deadline = nowMs + timeoutMs
    this.dueMs = nowMs + Math.min(timeoutMs, silenceMs)
    this.#stopListening = whenAborted(signal, () => this.#giveUp(new Error('given up'), false))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Before the answer

  answered(item: MuxItem, welcome: MuxWelcome, nowMs: number): void {
    const outcome = outcomeOf(this.operation, item, welcome)
    if (item[1] !== SERVED) {
      this.#settle('over', outcome)
      return
    }
    this.#noteReceived(nowMs)
    this.#push({ type: 'created', revision: item[2] })
    this.#settle('streaming', { kind: 'streaming', headers: outcome.headers, stream: this })
  }

  lost(cause: Error): void {
    if (this.#state === 'waiting') this.#fail(cause, false)
    else this.#over(cause)
  }

  due(nowMs: number): void {
    if (nowMs < this.dueMs) return
    if (this.#state === 'waiting') {
      this.#giveUp(new Error('no answer'), true)
      return
    }
    this.#connection.suspect(nowMs - this.operation.silentMs)
    const message = `${this.#url} has sent a watch nothing for ${this.operation.silentMs} ms`
    this.#leave(new UnavailableError(message, { code: 'timeout', written: 'no', endpoint: this.#url }))
  }

  #giveUp(cause: Error, timedOut: boolean): void {
    if (this.#state !== 'waiting') return
    this.#connection.giveUp(this)
    this.#fail(cause, timedOut)
  }

  #fail(cause: Error, timedOut: boolean): void {
    this.dueMs = Number.POSITIVE_INFINITY
    if (this.id > 0) this.#settle('over', { kind: 'maybe-applied', cause, timedOut })
    else this.#settle('over', { kind: 'not-sent', cause, reached: true, timedOut })
  }

  #settle(state: 'streaming' | 'over', outcome: SendOutcome): void {
    this.#state = state
    this.#stopListening()
    this.#resolve(outcome)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The stream

  received(item: MuxItem, nowMs: number): void {
    if (this.#state !== 'streaming') return
    this.#noteReceived(nowMs)
    this.#push(messageOf(item))
  }

  /** The node has ended the watch. */
  ended(problem: unknown): void {
    if (this.#state !== 'streaming') return
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
    this.dueMs = nowMs + this.operation.silentMs
  }

  #leave(error: Error): void {
    if (this.#state !== 'streaming') return
    this.#connection.giveUp(this)
    this.#over(error)
  }

  #over(error: Error): void {
    this.#state = 'over'
    this.dueMs = Number.POSITIVE_INFINITY
    this.#end ??= { error }
    this.#wake()
  }
}

const PUT = 0

/** The message as in a line of `GET /v1/watch`. */
function messageOf([, kind, revision, items]: MuxItem): Json {
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
