// The timer for the deadline of the consensus core.

import type { MonotonicMs } from '../../raft/index.ts'
import type { Clock, Timer } from './types.ts'

export class StepTimer {
  readonly #clock: Clock
  readonly #tick: (lateMs: number) => void
  #timer: Timer | undefined
  #at: MonotonicMs = Number.POSITIVE_INFINITY

  constructor(clock: Clock, tick: (lateMs: number) => void) {
    this.#clock = clock
    this.#tick = tick
  }

  /** A timer that fires early only checks again. So a deadline that moves with every heartbeat costs nothing. */
  arm(at: MonotonicMs): void {
    if (at >= this.#at) return
    this.#timer?.cancel()
    this.#at = at
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      const late = this.#clock.now() - this.#at
      this.#at = Number.POSITIVE_INFINITY
      this.#tick(late)
    })
  }

  cancel(): void {
    this.#timer?.cancel()
  }
}
