// Waits until the store is in a certain state: checks it, and checks it again after each relevant watch event.
// Transient errors are retried until the caller's time limit.

import type { WatchBatch, WatchOptions } from '../client/index.ts'
import { after, pause } from '../client/timer.ts'
import { isClosed, isTransient } from './transient-errors.ts'
import { changeAfter, type WatchClient } from './watch-helpers.ts'

/** How long an abandoned attempt waits for its lease to be revoked. The client continues in the background. */
export const REVOKE_WAIT_MS = 1_000
const RETRY_MS = 500

/** The state is not reached yet. */
export interface PendingWait {
  /** The revision of the store that the check has read. */
  readonly revision: number
  readonly watch: WatchOptions
  /** Whether an event is a reason to check again. Default: every event. */
  readonly wakesOn?: ((batch: WatchBatch) => boolean) | undefined
}

interface WaitControls {
  /** Ends the wait with an `AbortedError`. */
  readonly signal: AbortSignal
  /** End of the caller's time, by `performance.now()`. The state is still checked once after it. */
  readonly untilMs: number
  readonly timeoutError: () => Error
  /** Whether a transient error of the first check ends the wait. Otherwise an earlier call has reached the cluster. */
  readonly beginsWithCheck?: boolean
}

/** `check` may write. It runs again after an unknown outcome. */
export async function waitUntil<T extends object>(
  kv: WatchClient,
  check: () => Promise<T | PendingWait>,
  { signal, untilMs, timeoutError, beginsWithCheck = false }: WaitControls,
): Promise<T> {
  const { signal: timeLimit, stop } = startTimeLimit(untilMs - performance.now())
  const isOver = AbortSignal.any([signal, timeLimit])
  try {
    for (let mayFail = beginsWithCheck; ; mayFail = false) {
      let state: T | PendingWait
      try {
        state = await check()
      } catch (error) {
        if (!isTransient(error) || timeLimit.aborted || mayFail) throw error
        await pause(RETRY_MS, isOver)
        continue
      }
      if (!('watch' in state)) return state
      if (timeLimit.aborted) throw timeoutError()
      try {
        await changeAfter(kv, state.watch, state.revision, isOver, state.wakesOn)
      } catch (error) {
        if (signal.aborted || isClosed(error)) throw error
        // Check once more: the watch may be at a node that has just stopped and delivers nothing.
        if (timeLimit.aborted) continue
        if (!isTransient(error)) throw error
        await pause(RETRY_MS, isOver)
      }
    }
  } finally {
    stop()
  }
}

/** A signal that fires after `waitMs`, which may be Infinity. Its timer keeps the process alive until `stop`. */
export function startTimeLimit(waitMs: number): {
  readonly signal: AbortSignal
  stop(): void
} {
  const over = new AbortController()
  return { signal: over.signal, stop: after(waitMs, () => over.abort()) }
}
