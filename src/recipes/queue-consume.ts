// The loop of a consumer: take an item, hold it while the handler runs, acknowledge it or give it back.

import { checkOptions, checkValue, isBound, isFunction, isSignal } from '../client/validators.ts'
import { isDelay } from './checks.ts'
import { ItemLostError, type QueueItem } from './queue-item.ts'
import { reasonOf } from './reason.ts'
import { isClosed, pause } from './watching.ts'

const RETRY_DELAY_MS = 1_000
/** The hold of an item is renewed after this share of its time, and again after the other if that has failed. */
const EXTEND_SHARE = 1 / 3
const EXTEND_AGAIN_SHARE = 1 / 20
/** The pause after the store could not be asked for an item. */
const AGAIN_MS = 1_000

export interface ConsumeOptions {
  /** Ends it. */
  readonly signal: AbortSignal
  /** Items under way at a time. Default 1. */
  readonly concurrency?: number | undefined
  /** How long an item waits whose handler has thrown. From 1,000 on, or 0. Default 1,000. */
  readonly retryDelayMs?: number | undefined
  /**
   * Called when a handler has thrown, an item was lost, or the store could not be reached; `item`: the item that it is
   * about. The loop goes on; what this throws ends it. Default: `process.emitWarning`.
   */
  readonly onError?: ((error: unknown, item: QueueItem | undefined) => void) | undefined
}

/** What it needs of a queue. */
interface Source {
  pop(options: { readonly waitMs: number; readonly signal: AbortSignal }): Promise<QueueItem | undefined>
}

export async function consume(
  source: Source,
  visibilityMs: number,
  handler: (item: QueueItem) => unknown,
  options: ConsumeOptions,
): Promise<void> {
  checkValue('queue.consume', 'handler', handler, isFunction)
  checkOptions('queue.consume', options, CONSUME)
  checkValue('queue.consume', 'signal', options.signal, isSignal)
  const { concurrency = 1, retryDelayMs = RETRY_DELAY_MS } = options
  /** Fires when the application's own `onError` has thrown. */
  const failed = new AbortController()
  const signal = AbortSignal.any([options.signal, failed.signal])
  const onError: NonNullable<ConsumeOptions['onError']> = (error, item) => {
    try {
      ;(options.onError ?? warn)(error, item)
    } catch (thrown) {
      failed.abort(thrown)
    }
  }

  async function worker(): Promise<void> {
    while (!signal.aborted) {
      try {
        const item = await source.pop({ waitMs: Number.POSITIVE_INFINITY, signal })
        if (item !== undefined) await handle(item)
      } catch (error) {
        if (signal.aborted) return
        if (isClosed(error)) throw error
        onError(error, undefined)
        await pause(AGAIN_MS, signal)
      }
    }
  }

  async function handle(item: QueueItem): Promise<void> {
    const done = new AbortController()
    const holding = hold(item, done.signal)
    try {
      const failure = await failureOf(() => handler(item))
      done.abort()
      await holding
      if (failure === undefined) await item.ack()
      else {
        onError(failure.error, item)
        await item.nack({ delayMs: retryDelayMs, error: reasonOf(failure.error) })
      }
    } catch (error) {
      onError(error, item)
    }
  }

  /** Until the handler is done, or the item is lost. */
  async function hold(item: QueueItem, done: AbortSignal): Promise<void> {
    let share = EXTEND_SHARE
    for (;;) {
      await pause(visibilityMs * share, done)
      if (done.aborted) return
      try {
        await item.extend()
        share = EXTEND_SHARE
      } catch (error) {
        // The acknowledgement will say so.
        if (error instanceof ItemLostError) return
        share = EXTEND_AGAIN_SHARE
      }
    }
  }

  const workers = concurrency === Number.POSITIVE_INFINITY ? undefined : concurrency
  if (workers === undefined) throw new TypeError('queue.consume: concurrency must be a number, not Infinity')
  // One whose client is closed fails while the handlers of others are still under way.
  const ended = await Promise.allSettled(Array.from({ length: workers }, worker))
  for (const each of ended) if (each.status === 'rejected') throw each.reason
  failed.signal.throwIfAborted()
}

async function failureOf(act: () => unknown): Promise<{ readonly error: unknown } | undefined> {
  try {
    await act()
    return undefined
  } catch (error) {
    return { error }
  }
}

const warn = (error: unknown, item: QueueItem | undefined): void =>
  process.emitWarning(
    `queue: ${item === undefined ? '' : `item ${item.id}: `}${reasonOf(error)}`,
    'QuorateWarning',
  )

const CONSUME = { signal: isSignal, concurrency: isBound, retryDelayMs: isDelay, onError: isFunction }
