// A request on a multiplexed connection that waits for its answer.

import type { ConnectionWelcome } from '../../operations/mux/connection.ts'
import type { Item } from '../../operations/mux/form.ts'
import { whenAborted } from '../abort-listeners.ts'
import {
  type ClientItemForm,
  type ClientOperation,
  isChange,
  type OperationRequest,
} from '../client-operation.ts'
import { nodeTimeoutMs, RECHECK_MS, tryLimitMs } from '../retry-policy.ts'
import { decodeItemOutcome } from './mux-codec.ts'
import type { SendOptions, SendOutcome } from './transport.ts'

/** Ids of requests that were not sent, and never will be. */
export const QUEUED = 0
export const WITHDRAWN = -1

/** A request as its connection sees it. Times are of `performance.now()`. */
export interface PendingOperation {
  /** A node that has it makes the change, also if its caller gives up. */
  readonly isChange: boolean
  readonly trace: SendOptions['trace']
  /** It keeps no process alive. */
  readonly background: boolean
  readonly deadline: number
  /** When `due` must be called, if there is no answer before. */
  dueMs: number
  /** QUEUED, WITHDRAWN, or the id with which it was sent: then the node may have it. */
  id: number
  /** The credit that it takes now: a batch grows until it is encoded. */
  readonly credit: number
  /** At most the bytes of its item, if it is encoded now. */
  readonly size: number
  /** The request as it is sent now. */
  encode(nowMs: number): Item
  answered(item: Item, welcome: ConnectionWelcome, nowMs: number): void
  /** There will be no answer. */
  lost(cause: Error): void
  due(nowMs: number): void
}

/** A request that is sent in an item of this form. */
export interface ItemRequest<Q extends OperationRequest, R> {
  readonly operation: ClientOperation<Q, R>
  readonly form: ClientItemForm<Q, R>
  readonly request: Q
}

/** A connection as its pending requests see it. */
export interface PendingConnection {
  /** When the last part of an incomplete message arrived; 0: there is none. */
  readonly receivingAt: number
  /** The caller has given up. */
  giveUp(pending: PendingOperation): void
  /** Nothing has arrived since then although a request waits. */
  probe(sinceMs: number): void
}

export class PendingRequest<Q extends OperationRequest, R> implements PendingOperation {
  readonly isChange: boolean
  readonly trace: SendOptions['trace']
  readonly background: boolean
  readonly deadline: number
  dueMs: number
  id = QUEUED
  protected readonly connection: PendingConnection
  readonly #form: ClientItemForm<Q, R>
  readonly #request: Q
  readonly #resolve: (outcome: SendOutcome<R>) => void
  readonly #silenceMs: number
  /** After this time without an answer a queued request is given up, and the connection of a sent one is checked. */
  readonly #limitMs: number
  readonly #mayGiveUp: SendOptions['mayGiveUp']
  readonly #seal: SendOptions['seal']
  readonly #startedAt: number
  readonly #stopListening: () => void
  /** It has no answer yet, and its caller has not given up. */
  protected isOpen = true

  constructor(
    connection: PendingConnection,
    { operation, form, request }: ItemRequest<Q, R>,
    { timeoutMs, silenceMs = timeoutMs, mayGiveUp, seal, trace, signal, background = false }: SendOptions,
    resolve: (outcome: SendOutcome<R>) => void,
  ) {
    this.connection = connection
    this.isChange = isChange(operation)
    this.#form = form
    this.#request = request
    this.trace = trace
    this.background = background
    this.#resolve = resolve
    this.#silenceMs = silenceMs
    this.#mayGiveUp = mayGiveUp
    this.#seal = seal
    this.#startedAt = performance.now()
    this.deadline = this.#startedAt + timeoutMs
    this.#limitMs = Math.min(silenceMs, tryLimitMs(timeoutMs))
    this.dueMs = this.#startedAt + Math.min(timeoutMs, this.#limitMs)
    this.#stopListening = whenAborted(signal, () => this.giveUp(new Error('given up')))
  }

  get credit(): number {
    return this.#form.credit(this.#request)
  }

  get size(): number {
    return this.#form.size(this.#request)
  }

  /** The request as it is sent now. */
  encode(nowMs: number): Item {
    this.#seal?.()
    return this.#form.encode(this.id, nodeTimeoutMs(this.deadline - nowMs), this.#request)
  }

  answered(item: Item, welcome: ConnectionWelcome, _nowMs: number): void {
    this.settle(this.decodeOutcome(item, welcome))
  }

  protected decodeOutcome(
    item: Item,
    welcome: ConnectionWelcome,
  ): ReturnType<typeof decodeItemOutcome<Q, R>> {
    return decodeItemOutcome(this.#form, this.#request, item, welcome)
  }

  lost(cause: Error): void {
    this.#fail(cause, false)
  }

  /** A node that sends parts of an answer is not silent. */
  due(nowMs: number): void {
    const receivedAt = Math.max(this.#startedAt, this.connection.receivingAt)
    const isQueued = this.id === QUEUED && nowMs >= this.#startedAt + this.#limitMs
    if (nowMs < this.deadline && !isQueued) {
      if (nowMs >= receivedAt + this.#limitMs) this.connection.probe(this.#startedAt)
      const silentAt = receivedAt + this.#silenceMs
      if (nowMs < silentAt) this.dueMs = silentAt
      else if (this.#mayGiveUp?.() === false) this.dueMs = nowMs + RECHECK_MS
      this.dueMs = Math.min(this.deadline, this.dueMs)
      if (this.dueMs > nowMs) return
    }
    this.giveUp(new Error('no answer'), true)
  }

  giveUp(cause: Error, timedOut = false): void {
    if (!this.isOpen) return
    this.connection.giveUp(this)
    this.#fail(cause, timedOut)
  }

  #fail(cause: Error, timedOut: boolean): void {
    if (this.id > 0) this.settle({ kind: 'maybe-applied', cause, timedOut })
    else this.settle({ kind: 'not-sent', cause, reached: true, timedOut })
  }

  protected settle(outcome: SendOutcome<R>): void {
    this.isOpen = false
    this.dueMs = Number.POSITIVE_INFINITY
    this.#stopListening()
    this.#resolve(outcome)
  }
}
