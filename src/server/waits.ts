// Requests that are answered when the node reaches a state: leadership moved, a joint configuration left, nothing under
// way.

import type { Clock } from './types.ts'

interface Wait {
  readonly reached: () => boolean
  readonly end: (reached: boolean) => void
}

export class Waits {
  readonly #clock: Clock
  readonly #waits = new Set<Wait>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#waits.size
  }

  /**
   * Calls `done(true)` when `reached` holds, now or after a `check`, or `done(false)` when the time is over or the
   * returned function gives it up before.
   */
  until(reached: () => boolean, timeoutMs: number, done: (reached: boolean) => void): () => void {
    if (reached()) {
      done(true)
      return () => {}
    }
    const end = (isReached: boolean): void => {
      if (!this.#waits.delete(wait)) return
      timer.cancel()
      done(isReached)
    }
    const timer = this.#clock.after(timeoutMs, () => end(false))
    const wait: Wait = { reached, end }
    this.#waits.add(wait)
    return () => end(false)
  }

  /** To be called whenever something may have changed. */
  check(): void {
    for (const wait of [...this.#waits]) if (wait.reached()) wait.end(true)
  }

  /** The node ends: nothing will be reached any more. */
  endAll(): void {
    for (const wait of [...this.#waits]) wait.end(wait.reached())
  }
}
