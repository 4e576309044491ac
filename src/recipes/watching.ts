// What recipes need of a watch: to be woken when something may have changed. A recipe that is woken reads the store
// again, and acts on what it has read. So it does not matter how often it is woken, or whether a watch was lost.

import { whenAborted } from '../client/abort-listeners.ts'
import type { Client, WatchBatch, WatchOptions } from '../client/index.ts'
import { QuorateError } from '../client/index.ts'
import { after } from '../client/timer.ts'

/** A pause before a watch that has ended is begun again. */
const AGAIN_MS = 1_000

export type Watching = Pick<Client, 'watch'>

/**
 * Resolves when a batch after `revision` satisfies `isReason`, or when batches may have been missed. Rejects when
 * `signal` fires.
 */
export async function changeAfter(
  kv: Watching,
  range: WatchOptions,
  revision: number,
  signal: AbortSignal | undefined,
  isReason: (batch: WatchBatch) => boolean = () => true,
): Promise<void> {
  try {
    for await (const batch of kv.watch({ ...range, fromRevision: revision + 1, signal })) {
      if (isReason(batch)) return
    }
  } catch (error) {
    if (!isCompacted(error)) throw error
  }
}

/**
 * Calls `onBatch` for each batch, and `onGap` when batches may have been missed, until `signal` fires: also when the
 * watch begins, each time that it begins. It ends as well when the client is closed.
 */
export async function keepWatching(
  kv: Watching,
  range: WatchOptions,
  signal: AbortSignal,
  onBatch: (batch: WatchBatch) => void,
  onGap: (cause: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const watch = kv.watch({ ...range, signal })
      await watch.ready
      onGap(undefined)
      for await (const batch of watch) onBatch(batch)
    } catch (error) {
      if (signal.aborted || isClosed(error)) return
      onGap(error)
      if (!isCompacted(error)) await pause(AGAIN_MS, signal)
    }
  }
}

const isCompacted = (error: unknown): boolean => error instanceof QuorateError && error.code === 'compacted'

/** The client was closed: nothing can come any more. */
export const isClosed = (error: unknown): boolean => error instanceof QuorateError && error.code === 'closed'

/** `ms` may be Infinity. Ends early, without an error, when `signal` fires. With `unref` it keeps no process alive. */
export async function pause(
  ms: number,
  signal?: AbortSignal,
  options?: { readonly unref?: boolean },
): Promise<void> {
  if (signal?.aborted === true) return
  await new Promise<void>((resolve) => {
    const end = () => {
      stop()
      stopListening()
      resolve()
    }
    const stop = after(ms, end, options)
    const stopListening = whenAborted(signal, end)
  })
}
