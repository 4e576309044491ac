// Limits the calls that a client has under way. Further calls wait, first come, first served, before any byte of them
// leaves. Ten thousand calls that begin at once would only delay each other and the nodes, so that none ends in time.

import type { Interruption } from './list.ts'
import { after } from './timer.ts'

export class Turns {
  readonly #max: number
  #taken = 0
  /** Callbacks that begin the waiting calls, by order of arrival. */
  readonly #waiting = new Map<number, () => void>()
  #arrivals = 0
  /** All earlier arrivals have begun or left. */
  #next = 0
  #usualMs = 0

  constructor(max: number) {
    this.#max = max
  }

  /** The usual duration of a call from its turn on: a moving average in which the newest call counts an eighth. */
  get usualMs(): number {
    return this.#usualMs
  }

  /** Number of calls that have a turn. */
  get acquired(): number {
    return this.#taken
  }

  /** Number of calls that have a turn or wait for one. */
  get wanted(): number {
    return this.#taken + this.#waiting.size
  }

  /** Takes a turn at once if there is room, and returns whether it did. The caller must give it back. */
  tryAcquire(): boolean {
    // No call waits while there is room: a turn that is given back goes to the next call at once.
    if (this.#taken >= this.#max) return false
    this.#taken += 1
    return true
  }

  /** Waits behind earlier calls. Returns whether the turn has come; false: the time is over, or it was interrupted. */
  async wait(withinMs: number, interruption: Interruption): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const arrival = this.#arrivals++
    this.#waiting.set(arrival, () => resolve(true))
    const leave = () => {
      if (this.#waiting.delete(arrival)) resolve(false)
    }
    const stopTimer = after(withinMs, leave)
    const stopListening = interruption.listen(leave)
    const isTurn = await promise
    stopTimer()
    stopListening()
    return isTurn
  }

  /** Gives the turns back of `calls` that took this long. */
  giveAfter(ms: number, calls = 1): void {
    if (calls > 0) this.#usualMs += (ms - this.#usualMs) / 8
    for (let left = calls; left > 0; left--) this.give()
  }

  give(): void {
    while (this.#next < this.#arrivals) {
      const arrival = this.#next++
      const begin = this.#waiting.get(arrival)
      if (begin === undefined) continue
      this.#waiting.delete(arrival)
      begin()
      return
    }
    this.#taken -= 1
  }
}
