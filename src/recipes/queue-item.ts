// An item that a consumer holds. It is this consumer's until its hold ends, and after that until somebody has put it
// back; every change of it compares the token, so the store decides, and no clock.

import { type CallOptions, QuorateError, type TxnOperation } from '../client/index.ts'
import { checkOptions, isText } from '../client/validators.ts'
import { CALL, isDelay } from './checks.ts'
import { shortened } from './reason.ts'

/** A share of the time is left for clocks that run at different speeds. */
const MARGIN_SHARE = 0.01

/** An item as it is in the queue. */
export interface QueueEntry {
  readonly id: string
  /** Deliveries so far. */
  readonly attempts: number
  /** Higher first. */
  readonly priority: number
  readonly value: Uint8Array
  /** The value as text. */
  text(): string
  /** The value parsed as JSON. */
  json(): unknown
  /** Why the last delivery has failed, as far as it is known. */
  readonly error: string | undefined
}

export interface NackOptions extends CallOptions {
  /** The item cannot be taken before. From 1,000 on, or 0. Default 0. */
  readonly delayMs?: number | undefined
  /** Why; its first 1,000 characters are kept with the item. */
  readonly error?: string | undefined
}

/** `attempts` counts this delivery. */
export interface QueueItem extends QueueEntry {
  /** A fencing token: each taking of an item gives a higher one. */
  readonly token: number
  /** Fires when others may be able to take the item. Its reason is an `ItemLostError`. */
  readonly signal: AbortSignal
  /** The item is done. Throws an `ItemLostError` if it is not held any more. */
  ack(options?: CallOptions): Promise<void>
  /** Gives the item back; after the last attempt it becomes a dead letter. */
  nack(options?: NackOptions): Promise<void>
  /** The time for which it is held begins anew. */
  extend(options?: CallOptions): Promise<void>
}

/** The consumer has no longer the item: its time was up, and another one may have it. */
export class ItemLostError extends QuorateError {}

/** How its queue changes the item. */
export interface Holding {
  readonly token: number
  /** By `performance.now()`, before it was taken. */
  readonly beganAt: number
  readonly visibilityMs: number
  /** Returns whether the item was still held with this token. */
  commit(operations: readonly TxnOperation[], options: CallOptions): Promise<boolean>
  readonly operations: {
    acknowledge(): readonly TxnOperation[]
    extend(): readonly TxnOperation[]
    giveBack(error: string | undefined, delayMs: number): readonly TxnOperation[]
  }
}

export class HeldItem implements QueueItem {
  readonly id: string
  readonly attempts: number
  readonly priority: number
  readonly value: Uint8Array
  readonly error: string | undefined
  readonly token: number
  readonly signal: AbortSignal
  readonly #entry: QueueEntry
  readonly #holding: Holding
  readonly #lost = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #isDone = false

  constructor(entry: QueueEntry, holding: Holding) {
    this.id = entry.id
    this.attempts = entry.attempts
    this.priority = entry.priority
    this.value = entry.value
    this.error = entry.error
    this.#entry = entry
    this.#holding = holding
    this.token = holding.token
    this.signal = this.#lost.signal
    this.#arm(holding.beganAt)
  }

  text(): string {
    return this.#entry.text()
  }

  json(): unknown {
    return this.#entry.json()
  }

  async ack(options: CallOptions = {}): Promise<void> {
    checkOptions('item.ack', options, CALL)
    await this.#settle(this.#holding.operations.acknowledge(), options)
  }

  async nack(options: NackOptions = {}): Promise<void> {
    checkOptions('item.nack', options, NACK)
    const { delayMs = 0, error, ...call } = options
    await this.#settle(this.#holding.operations.giveBack(error && shortened(error), delayMs), call)
  }

  async extend(options: CallOptions = {}): Promise<void> {
    checkOptions('item.extend', options, CALL)
    const beganAt = performance.now()
    await this.#change(this.#holding.operations.extend(), options)
    if (!this.#isDone) this.#arm(beganAt)
  }

  async #settle(operations: readonly TxnOperation[], options: CallOptions): Promise<void> {
    await this.#change(operations, options)
    this.#isDone = true
    clearTimeout(this.#timer)
  }

  async #change(operations: readonly TxnOperation[], options: CallOptions): Promise<void> {
    if (this.#isDone)
      throw new ItemLostError(`the item ${this.id} was acknowledged or given back already`, {
        code: 'item_lost',
        written: 'no',
      })
    if (await this.#holding.commit(operations, options)) return
    this.#lose('it is held no more, and another consumer may have it')
    throw this.signal.reason
  }

  #arm(beganAt: number): void {
    clearTimeout(this.#timer)
    const lastsMs = this.#holding.visibilityMs * (1 - MARGIN_SHARE)
    const leftMs = Math.max(0, lastsMs - (performance.now() - beganAt))
    this.#timer = setTimeout(
      () => this.#lose('its time is over, and another consumer may take it'),
      Math.min(leftMs, TIMER_MAX_MS),
    ).unref()
  }

  #lose(why: string): void {
    clearTimeout(this.#timer)
    this.#lost.abort(new ItemLostError(`the item ${this.id}: ${why}`, { code: 'item_lost', written: 'no' }))
  }
}

/** What setTimeout can wait. A signal that fires too early does no harm. */
const TIMER_MAX_MS = 2 ** 31 - 1

const NACK = { ...CALL, delayMs: isDelay, error: isText }
