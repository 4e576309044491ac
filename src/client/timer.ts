// setTimeout with any delay. Node stores delays in 31 bits, and runs a longer one at once; for a negative one it gives
// a warning.

import { whenAborted } from './abort-listeners.ts'

const DELAY_MAX_MS = 2 ** 31 - 1

/**
 * Runs `run` after `delayMs`, which may be Infinity; soon if that time has passed. Returns a function that cancels it.
 * An unreferenced timer keeps no process alive.
 */
export function after(delayMs: number, run: () => void, { unref = false } = {}): () => void {
  let leftMs = delayMs
  let timer = leftMs <= DELAY_MAX_MS ? setTimeout(run, Math.max(0, leftMs)) : setTimeout(wait, DELAY_MAX_MS)
  function wait() {
    leftMs -= DELAY_MAX_MS
    timer = leftMs <= DELAY_MAX_MS ? setTimeout(run, leftMs) : setTimeout(wait, DELAY_MAX_MS)
    if (unref) timer.unref()
  }
  if (unref) timer.unref()
  return () => clearTimeout(timer)
}

/** Like `after`. If the process was busy when the time ended, events that have arrived are handled first. */
export function afterPendingEvents(
  delayMs: number,
  run: () => void,
  options?: { unref?: boolean },
): () => void {
  let immediate: NodeJS.Immediate | undefined
  const stopTimer = after(delayMs, () => (immediate = setImmediate(run)), options)
  return () => {
    stopTimer()
    clearImmediate(immediate)
  }
}

/** Resolves after `ms`, which may be Infinity, or when `signal` fires. With `unref` it keeps no process alive. */
export async function pause(
  ms: number,
  signal?: AbortSignal,
  options?: { readonly unref?: boolean },
): Promise<void> {
  if (signal?.aborted === true) return
  await new Promise<void>((resolve) => {
    const end = () => {
      stopTimer()
      stopListening()
      resolve()
    }
    const stopTimer = after(ms, end, options)
    const stopListening = whenAborted(signal, end)
  })
}

/** Keeps the process alive until `work` settles: sessions, and watches in the background, do not. */
export async function keepProcessAlive<T>(work: Promise<T>): Promise<T> {
  const stop = after(Number.POSITIVE_INFINITY, () => {})
  try {
    return await work
  } finally {
    stop()
  }
}
