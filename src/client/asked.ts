// An operation on a multiplexed connection: what the connection needs of it, and an operation as a try of a call.

import type { Operation } from './operation.ts'
import { type Exchange, type Exchanged, SILENCE_MAX_MS } from './transport/http-transport.ts'
import { exchangedOf, type MuxItem, type Welcome } from './transport/mux-codec.ts'
import type { WriteId } from './write-id.ts'

/** Instead of an id: nothing of it was given to the socket; and nothing will be. */
export const QUEUED = 0
export const WITHDRAWN = -1

/** An operation on a multiplexed connection, and who waits for its answer. */
export interface Asked {
  readonly operation: Operation
  readonly identity: WriteId | undefined
  /** All times are of `performance.now()`. */
  readonly deadline: number
  /** When `due` is to be called, if it is not answered before. */
  dueMs: number
  /** QUEUED, WITHDRAWN, or the id with which it was sent: then a node may have it. */
  id: number
  answered(item: MuxItem, welcome: Welcome, nowMs: number): void
  /** There will be no answer. */
  lost(cause: Error): void
  due(nowMs: number): void
}

/** What an operation needs of its connection (connection.ts). */
export interface AskedConnection {
  readonly receivingAt: number
  giveUp(asked: Asked): void
  replace(asked: Asked, by: Asked): void
  suspect(sinceMs: number): void
}

/** An operation on a connection as a try of a call. */
export class AskedExchange implements Asked, Exchange {
  readonly operation: Operation
  readonly identity: WriteId | undefined
  readonly deadline: number
  dueMs: number
  id = QUEUED
  readonly result: Promise<Exchanged>
  readonly #resolve: (exchanged: Exchanged) => void
  readonly #connection: AskedConnection
  readonly #askedAt: number
  #isOpen = true

  constructor(
    connection: AskedConnection,
    asked: Pick<Asked, 'operation' | 'identity' | 'deadline'>,
    askedAt = performance.now(),
  ) {
    this.#connection = connection
    this.operation = asked.operation
    this.identity = asked.identity
    this.deadline = asked.deadline
    this.dueMs = Math.min(asked.deadline, askedAt + SILENCE_MAX_MS)
    this.#askedAt = askedAt
    const { promise, resolve } = Promise.withResolvers<Exchanged>()
    this.result = promise
    this.#resolve = resolve
  }

  answered(item: MuxItem, welcome: Welcome): void {
    this.#settle(exchangedOf(this.operation, item, welcome))
  }

  lost(cause: Error): void {
    this.#fail(cause, false)
  }

  due(nowMs: number): void {
    const silentMs = this.heardAt() + SILENCE_MAX_MS
    if (nowMs < Math.min(this.deadline, silentMs)) this.dueMs = Math.min(this.deadline, silentMs)
    else this.#giveUp(new Error('no answer'), true)
  }

  readonly isConnected = (): boolean => this.id > 0
  readonly heardAt = (): number => Math.max(this.#askedAt, this.#connection.receivingAt)
  readonly lookupMs = (): number => 0
  readonly cancel = (reason = 'given up'): void => this.#giveUp(new Error(reason), false)

  #giveUp(cause: Error, timedOut: boolean): void {
    if (!this.#isOpen) return
    this.#connection.giveUp(this)
    this.#fail(cause, timedOut)
  }

  #fail(cause: Error, timedOut: boolean): void {
    this.#settle({ kind: 'failed', connected: this.id > 0, accepted: true, timedOut, cause })
  }

  #settle(exchanged: Exchanged): void {
    this.#isOpen = false
    this.dueMs = Number.POSITIVE_INFINITY
    this.#resolve(exchanged)
  }
}
