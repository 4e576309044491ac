// Reasons for which a call ends early: its signal fires, or its client is closed.

import { whenAborted } from './abort-listeners.ts'
import { AbortedError } from './errors.ts'
import { after } from './timer.ts'

export interface Interruption {
  /** Why the call must end; undefined while it may continue. */
  reason(): AbortedError | undefined
  /** Calls `end` when a reason exists, at once if there is one already. Returns a function that unsubscribes. */
  listen(end: () => void): () => void
}

export const closedError = (): AbortedError =>
  new AbortedError('the client is closed', { code: 'closed', written: 'no' })

/** Whether a client is closed, and who must know when it is. */
export class CloseNotifier {
  readonly #listeners = new Set<() => void>()
  isClosed = false

  close(): void {
    this.isClosed = true
    for (const end of [...this.#listeners]) end()
  }

  /** Calls `end` when the client is closed, at once if it is. Returns a function that unsubscribes. */
  whenClosed(end: () => void): () => void {
    this.#listeners.add(end)
    if (this.isClosed) end()
    return () => this.#listeners.delete(end)
  }

  /** Why a call with this signal must end; undefined while it may continue. */
  reason(signal: AbortSignal | undefined): AbortedError | undefined {
    if (this.isClosed) return closedError()
    if (signal?.aborted !== true) return undefined
    const details = { code: 'aborted', written: 'no', cause: signal.reason } as const
    return new AbortedError('the call was aborted', details)
  }

  interruption(signal: AbortSignal | undefined): Interruption {
    const reason = () => this.reason(signal)
    return {
      reason,
      listen: (end) => {
        const unsubscribe = this.whenClosed(end)
        const stopListening = whenAborted(signal, end)
        // No event follows if the reason exists already.
        if (reason() !== undefined) end()
        return () => {
          stopListening()
          unsubscribe()
        }
      },
    }
  }
}

/** Waits, at most until an interruption, or until `until` has settled. With `unref` it keeps no process alive. */
export async function pauseUntilInterrupted(
  ms: number,
  interruption: Interruption,
  { until, unref }: { readonly until?: Promise<unknown>; readonly unref?: boolean } = {},
): Promise<void> {
  let unsubscribe = () => {}
  await new Promise<void>((resolve) => {
    const stop = after(ms, resolve, { unref })
    const end = () => {
      stop()
      resolve()
    }
    until?.then(end, end)
    // It may call this at once.
    unsubscribe = interruption.listen(end)
  })
  unsubscribe()
}
