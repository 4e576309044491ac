// The loop of a consumer: takes an item, extends it while the handler runs, and acknowledges it or gives it back.

import { checkOptions, checkValue, isBound, isFunction, isSignal } from '../client/validators.ts'
import { errorText } from './error-text.ts'
import { isDelay } from './option-checks.ts'
import { ItemLostError, type QueueItem } from './queue-item.ts'
import { isClosed } from './transient-errors.ts'
import { anySignal, pause } from './watch-helpers.ts'

const RETRY_DELAY_MS = 1_000
/** An item is extended after this share of its time, and again after the second share if that has failed. */
const EXTEND_SHARE = 1 / 3
const EXTEND_RETRY_SHARE = 1 / 20
/** The pause after a failed attempt to take an item. */
const RETRY_MS = 1_000

export interface ConsumeOptions {
  /** Ends the loop. */
  readonly signal: AbortSignal
  /** Number of concurrent handlers. Default 1. */
  readonly concurrency?: number | undefined
  /** Delay of an item whose handler has thrown. From 1,000 on, or 0. Default 1,000. */
  readonly retryDelayMs?: number | undefined
  /**
   * Called when a handler has thrown, an item was lost, or the store was unreachable; `item`: the item concerned. The
   * loop continues, unless this throws. Default: `process.emitWarning`.
   */
  readonly onError?: ((error: unknown, item: QueueItem | undefined) => void) | undefined
}

/** Waits for an item. `onChosen`: called before each attempt to take one. */
type Take = (signal: AbortSignal, onChosen: () => void) => Promise<QueueItem | undefined>

export async function consume(
  take: Take,
  visibilityMs: number,
  handler: (item: QueueItem) => unknown,
  options: ConsumeOptions,
): Promise<void> {
  checkValue('queue.consume', 'handler', handler, isFunction)
  checkOptions('queue.consume', options, CONSUME_OPTIONS)
  checkValue('queue.consume', 'signal', options.signal, isSignal)
  const { concurrency = 1, retryDelayMs = RETRY_DELAY_MS } = options
  if (concurrency === Number.POSITIVE_INFINITY)
    throw new TypeError('queue.consume: concurrency must be a number, not Infinity')
  /** Fires when a worker fails: `onError` has thrown, or the client is closed. */
  const failed = new AbortController()
  const signal = anySignal(failed.signal, options.signal)
  const onError: NonNullable<ConsumeOptions['onError']> = (error, item) => {
    try {
      ;(options.onError ?? warnOfItem)(error, item)
    } catch (thrown) {
      failed.abort(thrown)
    }
  }

  /** Resolves when no worker before looks for an item. One at a time reads and watches, however many handlers run. */
  let isFree = Promise.resolve()

  async function takeItem(): Promise<QueueItem | undefined> {
    const before = isFree
    const { promise, resolve } = Promise.withResolvers<void>()
    isFree = promise
    try {
      await before
      return signal.aborted ? undefined : await take(signal, resolve)
    } finally {
      resolve()
    }
  }

  async function work(): Promise<void> {
    while (!signal.aborted) {
      let item: QueueItem | undefined
      try {
        item = await takeItem()
        if (item !== undefined) await handle(item)
      } catch (error) {
        if (item === undefined && signal.aborted) return
        if (item === undefined && isClosed(error)) throw error
        onError(error, item)
        if (item === undefined) await pause(RETRY_MS, signal)
      }
    }
  }

  async function handle(item: QueueItem): Promise<void> {
    const done = new AbortController()
    const extending = keepExtending(item, visibilityMs, done.signal)
    let failure: { readonly error: unknown } | undefined
    try {
      await handler(item)
    } catch (error) {
      failure = { error }
    }
    done.abort()
    await extending
    if (failure === undefined) return item.ack()
    onError(failure.error, item)
    await item.nack({ delayMs: retryDelayMs, error: errorText(failure.error) })
  }

  // A worker that fails ends the others, but not their handlers.
  const run = () => work().catch((error: unknown) => failed.abort(error))
  await Promise.all(Array.from({ length: concurrency }, run))
  failed.signal.throwIfAborted()
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

const warnOfItem = (error: unknown, item: QueueItem | undefined): void =>
  process.emitWarning(
    `queue: ${item === undefined ? '' : `item ${item.id}: `}${errorText(error)}`,
    'QuorateWarning',
  )

const CONSUME_OPTIONS = { signal: isSignal, concurrency: isBound, retryDelayMs: isDelay, onError: isFunction }
