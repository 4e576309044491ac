// Whose turn it is: a client has a bounded number of calls under way. Further ones wait, first come, first served,
// before anything of them leaves: ten thousand calls that begin at once would only keep one another, and the nodes,
// from ending in time.

import type { Interruption } from './list.ts'
import { after } from './timer.ts'

export class Turns {
  readonly #max: number
  #taken = 0
  /** By the number of their arrival: what says that their turn has come. */
  readonly #waiting = new Map<number, () => void>()
  #arrivals = 0
  /** Nobody who arrived before this one waits. */
  #next = 0
  #usualMs = 0

  constructor(max: number) {
    this.#max = max
  }

  /** What calls have needed lately from their turn on: the newest counts an eighth. */
  get usualMs(): number {
    return this.#usualMs
  }

  /** Those who have a turn. */
  get acquired(): number {
    return this.#taken
  }

  /** Those who have a turn, and those who wait for one. */
  get wanted(): number {
    return this.#taken + this.#waiting.size
  }

  /** A turn at once, if there is room: whether there is. Who has one gives it back. */
  tryAcquire(): boolean {
    // Nobody waits while there is room: a turn that is given back is the next one's in the same moment.
    if (this.#taken >= this.#max) return false
    this.#taken += 1
    return true
  }

  /** Behind those who came before: whether its turn has come. If not, its time is up or it was interrupted. */
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

  /** Back from a call that has needed so long. */
  giveAfter(ms: number): void {
    this.#usualMs += (ms - this.#usualMs) / 8
    this.give()
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
