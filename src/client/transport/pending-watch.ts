// A watch on a multiplexed connection: a pending request until the node answers, then a stream of messages.
//
//   waiting ── served ──► streaming ── ended by the node, lost, silent, or destroyed ──► over
//      └── refused, lost, given up ────────────────────────────────────────────────────────┘
//
// All watches of a connection share its socket, which is always read, so messages are handed on at once. A watch whose
// application takes too little is cancelled, and requested again when there is room (../watch.ts).

import type { ConnectionWelcome } from '../../operations/mux/connection.ts'
import type { Item } from '../../operations/mux/form.ts'
import { type DecodedWatchMessage, decodeWatchItem } from '../../operations/watch.ts'
import type { OperationRequest } from '../client-operation.ts'
import { UnavailableError } from '../errors.ts'
import { SILENCE_MAX_MS } from './http-transport.ts'
import { type ItemRequest, type PendingConnection, PendingRequest } from './pending-request.ts'
import type { SendOptions, SendOutcome, WatchMessages } from './transport.ts'

export class PendingWatch<Q extends OperationRequest, R>
  extends PendingRequest<Q, R>
  implements WatchMessages
{
  readonly #url: string
  readonly #silentMs: number
  #isStreaming = false
  /** Messages that the reader takes within this turn. */
  #received: DecodedWatchMessage[] = []
  #end: { readonly error: Error } | undefined
  #wake = () => {}

  constructor(
    connection: PendingConnection & { readonly url: string },
    request: ItemRequest<Q, R>,
    options: SendOptions,
    resolve: (outcome: SendOutcome<R>) => void,
  ) {
    super(connection, request, options, resolve)
    this.#url = connection.url
    this.#silentMs = options.streamSilenceMs ?? SILENCE_MAX_MS
  }

  override answered(item: Item, welcome: ConnectionWelcome, nowMs: number): void {
    const outcome = this.decodeOutcome(item, welcome)
    if (outcome.kind === 'served') {
      this.settle({ kind: 'streaming', head: outcome.head, stream: this })
      this.#isStreaming = true
      this.received(item, nowMs)
      return
    }
    this.settle(outcome)
    // The node has begun a watch that nobody will read.
    if (outcome.kind === 'unreadable') this.connection.giveUp(this)
  }

  override lost(cause: Error): void {
    if (this.isOpen) super.lost(cause)
    else this.#finish(cause)
  }

  override due(nowMs: number): void {
    if (this.isOpen) {
      super.due(nowMs)
      return
    }
    if (nowMs < this.dueMs) return
    this.connection.probe(nowMs - this.#silentMs)
    const message = `${this.#url} has sent a watch nothing for ${this.#silentMs} ms`
    this.#cancel(new UnavailableError(message, { code: 'timeout', written: 'no', endpoint: this.#url }))
  }

  /** Throws `DisagreementError`. */
  received(item: Item, nowMs: number): void {
    if (!this.#isStreaming) return
    this.#noteReceived(nowMs)
    this.#push(decodeWatchItem(item))
  }

  /** The node has ended the watch, with its last item. */
  ended(item: Item): void {
    if (!this.#isStreaming) return
    this.#push(decodeWatchItem(item))
    this.#finish(new Error('the node has ended the watch'))
  }

  destroy(): void {
    this.#received = []
    this.#cancel(new Error('given up'))
  }

  async *messages(): AsyncGenerator<DecodedWatchMessage, void, undefined> {
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

  #push(message: DecodedWatchMessage): void {
    this.#received.push(message)
    this.#wake()
  }

  #noteReceived(nowMs: number): void {
    this.dueMs = nowMs + this.#silentMs
  }

  #cancel(error: Error): void {
    if (!this.#isStreaming) return
    this.connection.giveUp(this)
    this.#finish(error)
  }

  #finish(error: Error): void {
    this.#isStreaming = false
    this.dueMs = Number.POSITIVE_INFINITY
    this.#end ??= { error }
    this.#wake()
  }
}
