// Time since an instant, including the time for which the machine was suspended.

import { machineClocks, type Stopwatch, startStopwatch } from '../client/suspend-aware-clock.ts'
import { after } from '../client/timer.ts'

export type { Stopwatch }

/** Measures the time since this call. */
export const stopwatch = (): Stopwatch => startStopwatch(machineClocks)

/** Share of a lease that is left for clocks of different speeds. */
const MARGIN_SHARE = 0.01
/** Timers stand still while the machine is suspended. Reading the clock this often bounds the delay after a resume. */
const CHECK_MS = 1_000

/** The life of a lease as its holder may count it: it ends before the cluster can have ended the lease. */
export class LeaseTimer {
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

  /** Calls `onEnd` if the time is over. */
  check(): void {
    if (this.#start === undefined) return
    this.#stopTimer()
    const leftMs = this.#lifeMs - this.#start.elapsedMs()
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
