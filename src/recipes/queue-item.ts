// An item that a consumer holds.
//
// Invariant: every change of the item compares its token, so the store decides who holds it. The deadline only tells
// the consumer when it may have lost the item.

import { type CallOptions, QuorateError, type TxnOperation } from '../client/index.ts'
import { type Stopwatch, startStopwatch } from '../client/suspend-aware-clock.ts'
import { after } from '../client/timer.ts'
import { checkOptions, textCheck } from '../client/validators.ts'
import { shorten } from './error-text.ts'
import { CALL_OPTIONS, delayCheck } from './option-checks.ts'

/** Share of a lease that is left for clocks of different speeds. */
const MARGIN_SHARE = 0.01
/** Timers stand still while the machine is suspended. Reading the clock this often bounds the delay after a resume. */
const CHECK_MS = 1_000

/** An item as it is in the queue. `T`: of items that `pushJson` has pushed. */
export interface QueueEntry<T = unknown> {
  readonly id: string
  /** Number of deliveries. */
  readonly attempts: number
  /** Higher first. */
  readonly priority: number
  readonly value: Uint8Array
  /** The value as text. */
  text(): string
  /** The value parsed as JSON. */
  json(): T
  /** Why the last delivery has failed, if that is known. */
  readonly error: string | undefined
}

export interface NackOptions extends CallOptions {
  /** The item cannot be taken before. From 1,000 on, or 0. Default 0. */
  readonly delayMs?: number | undefined
  /** The reason; its first 1,000 characters are stored with the item. */
  readonly error?: string | undefined
}

/** `attempts` counts this delivery. */
export interface QueueItem<T = unknown> extends QueueEntry<T> {
  /** A fencing token: each delivery of an item has a higher one. */
  readonly token: number
  /** Fires with an `ItemLostError` when another consumer may be able to take the item. */
  readonly signal: AbortSignal
  /** Time for which the item is certainly held without `extend`; 0: it may have been lost, or was settled. */
  readonly leftMs: number
  /**
   * Removes the item. Throws an `ItemLostError` if it is not held any more. After an unknown outcome, call it again
   * while the item is held: it returns if the item was removed.
   */
  ack(options?: CallOptions): Promise<void>
  /** Gives the item back; after the last attempt it becomes a dead letter. */
  nack(options?: NackOptions): Promise<void>
  /** Restarts the time for which it is held. */
  extend(options?: CallOptions): Promise<void>
}

/** The consumer has lost the item: its time was over, and another one may hold it. */
export class ItemLostError extends QuorateError {}

/** The queue's operations on the item. */
export interface ItemOperations {
  acknowledge(): readonly TxnOperation[]
  extend(): readonly TxnOperation[]
  returnItem(error: string | undefined, delayMs: number): readonly TxnOperation[]
  commit(operations: readonly TxnOperation[], options: CallOptions): Promise<Commit>
}

/** In the last two cases nothing was written: the item has another token now, or there is no such item. */
export type Commit = 'committed' | 'replaced' | 'removed'

/** `start`: before the item was taken. */
export function heldItem<T>(
  entry: QueueEntry<T>,
  token: number,
  visibilityMs: number,
  start: Stopwatch,
  { acknowledge, extend, returnItem, commit }: ItemOperations,
): QueueItem<T> {
  const lost = new AbortController()
  let isSettled = false
  const lostError = (why: string) =>
    new ItemLostError(`the item ${entry.id}: ${why}`, { code: 'item_lost', written: 'no' })
  const deadline = new LeaseTimer(visibilityMs, () =>
    lost.abort(lostError('its time is over, and another consumer may take it')),
  )
  deadline.restart(start)

  let isAcknowledging = false
  async function change(operations: readonly TxnOperation[], options: CallOptions, kind: Change) {
    if (isSettled) throw lostError('it was acknowledged or given back already')
    if (kind === 'ack') isAcknowledging = true
    const end = await commit(operations, options)
    if (end !== 'committed') {
      // A change that was sent later may have settled it.
      if (isSettled) throw lostError('it was acknowledged or given back already')
      deadline.check()
      // No other consumer could remove it: an attempt to acknowledge it has, whose outcome was not known.
      if (end === 'removed' && isAcknowledging && !lost.signal.aborted) {
        isSettled = true
        deadline.stop()
        if (kind === 'ack') return
        throw lostError('it was acknowledged already')
      }
      deadline.stop()
      lost.abort(lostError('it is not held any more, and another consumer may have it'))
      throw lost.signal.reason
    }
    isSettled ||= kind !== 'extend'
    if (isSettled) deadline.stop()
  }

  return {
    ...entry,
    token,
    // Timers may be late after a suspend of the machine: the clock decides.
    get signal() {
      deadline.check()
      return lost.signal
    },
    get leftMs() {
      return deadline.leftMs
    },
    ack: async (options = {}) => {
      checkOptions('item.ack', options, CALL_OPTIONS)
      await change(acknowledge(), options, 'ack')
    },
    nack: async (options = {}) => {
      checkOptions('item.nack', options, { ...CALL_OPTIONS, delayMs: delayCheck, error: textCheck })
      const { delayMs = 0, error, ...call } = options
      await change(returnItem(error && shorten(error), delayMs), call, 'nack')
    },
    extend: async (options = {}) => {
      checkOptions('item.extend', options, CALL_OPTIONS)
      const extended = startStopwatch()
      await change(extend(), options, 'extend')
      if (!isSettled) deadline.restart(extended)
    },
  }
}

type Change = 'ack' | 'nack' | 'extend'

/** The life of a lease as its holder may count it: it ends before the cluster can have ended the lease. */
class LeaseTimer {
  readonly #lifeMs: number
  readonly #onEnd: () => void
  #start: Stopwatch | undefined
  #stopTimer = () => {}

  constructor(ttlMs: number, onEnd: () => void) {
    this.#lifeMs = ttlMs * (1 - MARGIN_SHARE)
    this.#onEnd = onEnd
  }

  /**
   * `start`: before the request that has granted or renewed the lease was sent. Of requests that overlap the last one
   * counts, whichever is answered last.
   */
  restart(start: Stopwatch): void {
    const isLater = this.#start === undefined || start.elapsedMs() <= this.#start.elapsedMs()
    if (isLater) this.#start = start
    this.check()
  }

  get leftMs(): number {
    return this.#start === undefined ? 0 : Math.max(0, this.#lifeMs - this.#start.elapsedMs())
  }

  /** Calls `onEnd` if the time is over. */
  check(): void {
    if (this.#start === undefined) return
    this.#stopTimer()
    const { leftMs } = this
    if (leftMs > 0) this.#stopTimer = after(Math.min(leftMs, CHECK_MS), () => this.check(), { unref: true })
    else {
      this.stop()
      this.#onEnd()
    }
  }

  stop(): void {
    this.#start = undefined
    this.#stopTimer()
  }
}
