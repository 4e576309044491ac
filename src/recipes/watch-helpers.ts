// Recipes use watches only to wake up: a recipe that wakes reads the store again and acts on what it has read. So a
// wake-up too many is harmless, and so are events that were lost together with a watch.

import type { Client, WatchBatch, WatchOptions } from '../client/index.ts'
import { pause } from '../client/timer.ts'
import { isClosed, isCompacted, isTransient } from './transient-errors.ts'

const REWATCH_PAUSE_MS = 1_000
/**
 * Interval at which the node of a watch says that it works. A connection that carries nothing any more, without an end
 * of which the process could know, is left after twice this and a second: 7 s.
 */
export const WATCH_PROGRESS_MS = 3_000

export type WatchClient = Pick<Client, 'watch'>

/**
 * Resolves when a batch after `revision` satisfies `wakesOn`, or when batches may have been lost. Rejects when `signal`
 * fires.
 */
export async function changeAfter(
  kv: WatchClient,
  range: WatchOptions,
  revision: number,
  signal: AbortSignal | undefined,
  wakesOn: (batch: WatchBatch) => boolean = () => true,
): Promise<void> {
  try {
    const watched = { progressMs: WATCH_PROGRESS_MS, ...range, fromRevision: revision + 1, signal }
    for await (const batch of kv.watch(watched)) if (wakesOn(batch)) return
  } catch (error) {
    if (!isCompacted(error)) throw error
  }
}

/** Whether the event ends the ownership of its key: the key is deleted, or has no lease any more. */
export const isGone = (event: WatchBatch['events'][number]): boolean =>
  event.type === 'delete' || event.kv.lease === undefined

/**
 * Watches until `signal` fires or the client is closed, and keeps no process alive. Calls `onGap` whenever batches may
 * have been lost: at each start of the watch (`cause` is undefined then) and at each failure.
 */
export async function keepWatching(
  kv: WatchClient,
  range: WatchOptions,
  signal: AbortSignal,
  onBatch: (batch: WatchBatch) => void,
  onGap: (cause: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const watch = kv.watch({ progressMs: WATCH_PROGRESS_MS, ...range, background: true, signal })
      await watch.ready
      onGap(undefined)
      for await (const batch of watch) onBatch(batch)
    } catch (error) {
      if (signal.aborted || isClosed(error)) return
      onGap(error)
      if (!isCompacted(error)) await pause(REWATCH_PAUSE_MS, signal, { unref: true })
    }
  }
}

/** One signal that fires with the first of those given. */
export const anySignal = (
  first: AbortSignal,
  ...others: readonly (AbortSignal | undefined)[]
): AbortSignal => {
  const present = others.filter((signal) => signal !== undefined)
  return present.length === 0 ? first : AbortSignal.any([first, ...present])
}

/** The result of a read, and the range to watch before the next one. */
export interface VersionedRead<T> {
  readonly value: T
  /** Two readings with the same version have the same value. */
  readonly version: string
  readonly revision: number
  readonly watch: WatchOptions
}

/**
 * Yields the first reading and each later one with another version. The first one may fail; from then on transient
 * errors are retried, as a watch of the client does.
 */
export async function* readOnChange<T>(
  kv: WatchClient,
  read: () => Promise<VersionedRead<T>>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  let reading = await read()
  let shown: string | undefined
  for (;;) {
    const { value, version, revision, watch } = reading
    if (version !== shown) yield value
    shown = version
    await throughOutages(() => changeAfter(kv, { ...watch, keysOnly: true }, revision, signal), signal)
    reading = await throughOutages(read, signal)
  }
}

/**
 * Repeats a call of a stream until no transient error ends it. So a stream without end depends on no single call with a
 * time limit. It ends with the signal, or when the client is closed.
 */
export async function throughOutages<T>(call: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  for (;;) {
    try {
      return await call()
    } catch (error) {
      if (!isTransient(error)) throw error
      await pause(REWATCH_PAUSE_MS, signal)
    }
  }
}
