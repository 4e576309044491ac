// Time that stands still until a test moves it, for what needs a clock and no cluster.

import { type Event, TIMER, Time } from '../../jepsen-lite/sim/world/time.ts'
import type { NodeClock } from '../../src/server/node/clock.ts'

export class VirtualClock implements NodeClock {
  readonly #time = new Time()
  readonly #events = new Set<Event>()

  now(): number {
    return this.#time.now
  }

  wallTimeMs(): number {
    return this.#time.now
  }

  after(delayMs: number, run: () => void): Event {
    const event = this.#time.push(this.#time.now + delayMs, TIMER, undefined, run)
    this.#events.add(event)
    return event
  }

  soon(run: () => void): void {
    this.after(0, run)
  }

  /** Timers that have neither run nor been cancelled. */
  get timers(): number {
    return [...this.#events].filter(({ run }) => run !== undefined).length
  }

  /** Runs everything that falls due within the next `ms`. */
  advance(ms: number): void {
    const until = this.#time.now + ms
    for (let event = this.#time.next(until); event !== undefined; event = this.#time.next(until)) {
      this.#events.delete(event)
      event.run?.(event)
    }
  }
}
