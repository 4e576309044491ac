// Requests that complete when the node reaches a state: leadership has moved, a joint configuration is left, or no
// work is in flight.

import type { Clock } from '../clock.ts'

interface StateWaiter {
  readonly reached: () => boolean
  readonly end: (reached: boolean) => void
}

export class StateWaiters {
  readonly #clock: Clock
  readonly #waits = new Set<StateWaiter>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#waits.size
  }

  /**
   * Calls `done(true)` when `reached` returns true, now or in a later `check`. Calls `done(false)` after the timeout,
   * or if the returned function is called before.
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
    const wait: StateWaiter = { reached, end }
    this.#waits.add(wait)
    return () => end(false)
  }

  /** Must be called when something relevant may have changed. */
  check(): void {
    for (const wait of [...this.#waits]) if (wait.reached()) wait.end(true)
  }

  /** Fails all waits, because the node ends. */
  endAll(): void {
    for (const wait of [...this.#waits]) wait.end(wait.reached())
  }
}
