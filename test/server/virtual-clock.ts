// Time that stands still until a test moves it. Everything due runs in the order of (time, order of arrival).

import type { Clock, Timer } from '../../src/server/types.ts'

interface Event {
  readonly at: number
  readonly order: number
  readonly run: () => void
}

export class VirtualClock implements Clock {
  #now = 0
  #order = 0
  #events: Event[] = []

  now(): number {
    return this.#now
  }

  after(delayMs: number, run: () => void): Timer {
    const event = { at: this.#now + Math.max(0, delayMs), order: this.#order++, run }
    this.#events.push(event)
    return {
      cancel: () => {
        this.#events = this.#events.filter((other) => other !== event)
      },
    }
  }

  soon(run: () => void): void {
    this.after(0, run)
  }

  /** Runs everything that falls due within the next `ms`. */
  advance(ms: number): void {
    const until = this.#now + ms
    for (let event = this.#next(until); event !== undefined; event = this.#next(until)) {
      this.#now = event.at
      event.run()
    }
    this.#now = until
  }

  /** Runs one event after the other until `reached`, or fails after `msMax` of virtual time. */
  advanceUntil(reached: () => boolean, msMax = 60_000): void {
    const until = this.#now + msMax
    while (!reached()) {
      const event = this.#next(until)
      if (event === undefined) throw new Error(`not reached within ${msMax} ms of virtual time: ${reached}`)
      this.#now = event.at
      event.run()
    }
  }

  #next(until: number): Event | undefined {
    let next: Event | undefined
    for (const event of this.#events) {
      if (event.at > until) continue
      if (next === undefined || event.at < next.at || (event.at === next.at && event.order < next.order))
        next = event
    }
    if (next !== undefined) this.#events = this.#events.filter((other) => other !== next)
    return next
  }
}
