// The loop of a consumer: takes as many items as handlers are free, extends each while its handler runs, and then
// acknowledges it or gives it back. It repeats that for as long as the item is held.

import { keepProcessAlive, pause } from '../client/timer.ts'
import { boundCheck, checkOptions, checkValue, functionCheck, signalCheck } from '../client/validators.ts'
import { errorText } from './error-text.ts'
import { delayCheck } from './option-checks.ts'
import { ItemLostError, type QueueItem } from './queue-item.ts'
import { runUserCallback } from './run-user-callback.ts'
import { isClosed, isTransient } from './transient-errors.ts'

const RETRY_DELAY_MS = 1_000
/** An item is extended after this share of its time, and again after the second share if that has failed. */
const EXTEND_SHARE = 1 / 3
const EXTEND_RETRY_SHARE = 1 / 20
/** The pause after a failed attempt to take an item. */
const RETRY_MS = 1_000

export interface ConsumeOptions<T = unknown> {
  /** Ends the loop. */
  readonly signal: AbortSignal
  /** Number of concurrent handlers. Default 1. */
  readonly concurrency?: number | undefined
  /** Delay of an item whose handler has thrown. From 1,000 on, or 0. Default 1,000. */
  readonly retryDelayMs?: number | undefined
  /**
   * Called when a handler has thrown, an item was lost, or the store was unreachable; `item`: the item concerned. The
   * loop continues. Default: `process.emitWarning`.
   */
  readonly onError?: ((error: unknown, item: QueueItem<T> | undefined) => void) | undefined
}

/** Takes up to `count` items. Waits for the first one. */
type TakeItems<T> = (count: number, signal: AbortSignal) => Promise<readonly QueueItem<T>[]>

export async function consume<T>(
  take: TakeItems<T>,
  visibilityMs: number,
  handler: (item: QueueItem<T>) => unknown,
  options: ConsumeOptions<T>,
): Promise<void> {
  checkValue('queue.consume', 'handler', handler, functionCheck)
  checkOptions('queue.consume', options, CONSUME_OPTIONS)
  checkValue('queue.consume', 'signal', options.signal, signalCheck)
  const { signal, concurrency = 1, retryDelayMs = RETRY_DELAY_MS, onError: report = warnOfItem } = options
  if (concurrency === Number.POSITIVE_INFINITY)
    throw new TypeError('queue.consume: concurrency must be a number, not Infinity')
  const onError = (error: unknown, item?: QueueItem<T>) => runUserCallback(() => report(error, item))
  const running = new Set<Promise<void>>()
  let onFree = () => {}

  async function handle(item: QueueItem<T>): Promise<void> {
    const done = new AbortController()
    const extending = keepExtending(item, visibilityMs, done.signal)
    const [end] = await Promise.allSettled([keepProcessAlive((async () => handler(item))())])
    done.abort()
    await extending
    try {
      if (end.status === 'fulfilled') return await whileHeld(item, visibilityMs, 'ack', () => item.ack())
      onError(end.reason, item)
      const nack = { delayMs: retryDelayMs, error: errorText(end.reason) }
      await whileHeld(item, visibilityMs, 'nack', () => item.nack(nack))
    } catch (error) {
      onError(error, item)
    }
  }

  function start(item: QueueItem<T>): void {
    // The process may have been paused since it has taken the item: then another consumer may have it.
    const { signal: lost } = item
    if (lost.aborted) {
      onError(lost.reason, item)
      return
    }
    const handling = handle(item).finally(() => {
      running.delete(handling)
      onFree()
    })
    running.add(handling)
  }

  try {
    while (!signal.aborted) {
      try {
        const free = concurrency - running.size
        if (free > 0) for (const item of await take(free, signal)) start(item)
        else
          await new Promise<void>((resolve) => {
            onFree = resolve
          })
      } catch (error) {
        if (signal.aborted) return
        if (isClosed(error)) throw error
        onError(error)
        await pause(RETRY_MS, signal)
      }
    }
  } finally {
    await Promise.all(running)
  }
}

/** Ends when `done` fires, or the item is lost: `ack` will throw that. */
async function keepExtending(item: QueueItem, visibilityMs: number, done: AbortSignal): Promise<void> {
  for (let share = EXTEND_SHARE; ; ) {
    await pause(visibilityMs * share, done)
    if (done.aborted) return
    try {
      await item.extend()
      share = EXTEND_SHARE
    } catch (error) {
      if (error instanceof ItemLostError) return
      share = EXTEND_RETRY_SHARE
    }
  }
}

/** Repeats a call that settles the item through transient errors, for as long as the item is held. */
async function whileHeld(
  item: QueueItem,
  visibilityMs: number,
  kind: 'ack' | 'nack',
  settle: () => Promise<void>,
): Promise<void> {
  for (let isUnsure = false; ; ) {
    try {
      return await settle()
    } catch (error) {
      // An attempt before has given it back.
      if (error instanceof ItemLostError && kind === 'nack' && isUnsure) return
      if (!isTransient(error) || item.leftMs === 0) throw error
      isUnsure ||= error.written === 'unknown'
      await pause(Math.min(visibilityMs * EXTEND_RETRY_SHARE, RETRY_MS), item.signal)
    }
  }
}

const warnOfItem = (error: unknown, item: QueueItem | undefined): void =>
  process.emitWarning(
    `queue: ${item === undefined ? '' : `item ${item.id}: `}${errorText(error)}`,
    'QuorateWarning',
  )

const CONSUME_OPTIONS = {
  signal: signalCheck,
  concurrency: boundCheck,
  retryDelayMs: delayCheck,
  onError: functionCheck,
}
