// A call that waits for work which it shares with other calls: its signal and its time limit end the wait, and the work
// continues.

import { whenAborted } from '../client/abort-listeners.ts'
import { type CallOptions, UnavailableError, type Written } from '../client/index.ts'
import { after } from '../client/timer.ts'
import { abortedError } from './option-checks.ts'

/** Waits for work within the limits of one call. */
export type SharedWait = <T>(work: Promise<T>, written?: Written) => Promise<T>

/** `what`: the call, for messages. Its time begins now. */
export function sharedWait(what: string, { signal, timeoutMs }: CallOptions): SharedWait {
  if (signal === undefined && timeoutMs === undefined) return (work) => work
  const begunAt = performance.now()
  return (work, written = 'no') =>
    new Promise((resolve, reject) => {
      const stop = () => {
        stopListening()
        stopTimer()
      }
      const giveUp = (error: Error) => {
        stop()
        reject(error)
      }
      const abort = () => giveUp(abortedError(signal, what, written))
      const stopListening = whenAborted(signal, abort)
      const stopTimer =
        timeoutMs === undefined
          ? () => {}
          : after(begunAt + timeoutMs - performance.now(), () =>
              giveUp(timeoutError(what, timeoutMs, written)),
            )
      work.then(resolve, reject).finally(stop)
      if (signal?.aborted === true) abort()
    })
}

const timeoutError = (what: string, timeoutMs: number, written: Written): UnavailableError =>
  new UnavailableError(`${what}: no answer within ${timeoutMs} ms`, { code: 'timeout', written })
