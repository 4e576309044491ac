// A request on a multiplexed connection that waits for its answer.

import { muxFormOf } from '../../operations/index.ts'
import type { ConnectionWelcome } from '../../operations/mux/connection.ts'
import type { Item } from '../../operations/mux/form.ts'
import { whenAborted } from '../abort-listeners.ts'
import { nodeTimeoutMs, RECHECK_MS, tryLimitMs } from '../retry-policy.ts'
import { isMuxed, type MuxRequest, outcomeOf } from './mux-codec.ts'
import type { SendOptions, SendOutcome } from './transport.ts'

/** Ids of requests that were not sent, and never will be. */
export const QUEUED = 0
export const WITHDRAWN = -1

/** A request as its connection sees it. Times are of `performance.now()`. */
export interface PendingOperation {
  readonly request: MuxRequest
  readonly trace: SendOptions['trace']
  /** It keeps no process alive. */
  readonly background: boolean
  readonly deadline: number
  /** When `due` must be called, if there is no answer before. */
  dueMs: number
  /** QUEUED, WITHDRAWN, or the id with which it was sent: then the node may have it. */
  id: number
  /** The request as it is sent now. */
  encode(nowMs: number): Item
  answered(item: Item, welcome: ConnectionWelcome, nowMs: number): void
  /** There will be no answer. */
  lost(cause: Error): void
  due(nowMs: number): void
}

/** A connection as its pending requests see it. */
export interface PendingConnection {
  /** When the last part of an incomplete message arrived; 0: there is none. */
  readonly receivingAt: number
  /** The caller has given up. */
  giveUp(pending: PendingOperation): void
  /** Nothing has arrived since then although a request waits. */
  suspect(sinceMs: number): void
}

export class PendingRequest implements PendingOperation {
  request: MuxRequest
  readonly trace: SendOptions['trace']
  readonly background: boolean
  readonly deadline: number
  dueMs: number
  id = QUEUED
  protected readonly connection: PendingConnection
  readonly #resolve: (outcome: SendOutcome) => void
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
    request: MuxRequest,
    { timeoutMs, silenceMs = timeoutMs, mayGiveUp, seal, trace, signal, background = false }: SendOptions,
    resolve: (outcome: SendOutcome) => void,
  ) {
    this.connection = connection
    this.request = request
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

  /** The request as it is sent now. */
  encode(nowMs: number): Item {
    const sealed = this.#seal?.()
    if (sealed !== undefined && isMuxed(sealed)) this.request = sealed
    return muxFormOf(this.request).encode(this.id, nodeTimeoutMs(this.deadline - nowMs), this.request)
  }

  answered(item: Item, welcome: ConnectionWelcome, _nowMs: number): void {
    this.settle(outcomeOf(this.request, item, welcome))
  }

  lost(cause: Error): void {
    this.#fail(cause, false)
  }

  /** A node that sends parts of an answer is not silent. */
  due(nowMs: number): void {
    const receivedAt = Math.max(this.#startedAt, this.connection.receivingAt)
    const isQueued = this.id === QUEUED && nowMs >= this.#startedAt + this.#limitMs
    if (nowMs < this.deadline && !isQueued) {
      if (nowMs >= receivedAt + this.#limitMs) this.connection.suspect(this.#startedAt)
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

  protected settle(outcome: SendOutcome): void {
    this.isOpen = false
    this.dueMs = Number.POSITIVE_INFINITY
    this.#stopListening()
    this.#resolve(outcome)
  }
}
