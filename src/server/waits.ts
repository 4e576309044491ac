// Requests that are answered when the node reaches a state: leadership moved, a joint configuration left, nothing under way.

import type { Clock } from './types.ts'

interface Wait {
  readonly reached: () => boolean
  readonly done: (reached: boolean) => void
  readonly cancel: () => void
}

export class Waits {
  readonly #clock: Clock
  readonly #waits = new Set<Wait>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Calls `done(true)` when `reached` holds, now or after a `check`, or `done(false)` when the time is over. */
  until(reached: () => boolean, timeoutMs: number, done: (reached: boolean) => void): void {
    if (reached()) {
      done(true)
      return
    }
    const timer = this.#clock.after(timeoutMs, () => {
      this.#waits.delete(wait)
      done(false)
    })
    const wait: Wait = { reached, done, cancel: () => timer.cancel() }
    this.#waits.add(wait)
  }

  /** To be called whenever something may have changed. */
  check(): void {
    for (const wait of this.#waits) {
      if (!wait.reached()) continue
      this.#waits.delete(wait)
      wait.cancel()
      wait.done(true)
    }
  }

  /** The node ends: nothing will be reached any more. */
  endAll(): void {
    for (const wait of [...this.#waits]) {
      this.#waits.delete(wait)
      wait.cancel()
      wait.done(wait.reached())
    }
  }
}
