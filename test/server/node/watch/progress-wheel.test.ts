// The times at which silent watchers are due.

import { expect, test } from 'vitest'
import { ProgressWheel } from '../../../../src/server/node/watch/progress-wheel.ts'

/** A clock that the test advances. */
class ManualClock {
  #now = 0
  #timers: { readonly at: number; readonly run: () => void }[] = []

  now(): number {
    return this.#now
  }

  wallClockMs(): number {
    return this.#now
  }

  soon(run: () => void): void {
    this.after(0, run)
  }

  after(ms: number, run: () => void) {
    const timer = { at: this.#now + ms, run }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  advance(ms: number): void {
    const until = this.#now + ms
    while (true) {
      const [next] = this.#timers.filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#timers = this.#timers.filter((timer) => timer !== next)
      this.#now = next.at
      next.run()
    }
    this.#now = until
  }
}

test.each([0, 0.3, 0.9])(
  'watchers of one phase (%d) that begin at any time are soon due together, once in each interval',
  (phase) => {
    for (let pause = 0; pause < 400; pause += 10) {
      const clock = new ManualClock()
      const due: [name: string, at: number][] = []
      const wheel = new ProgressWheel<Silent>(clock, (silent) => {
        due.push([silent.name, clock.now()])
        silent.sentAt = clock.now()
      })
      wheel.add({ name: 'a', progressMs: 400, sentAt: clock.now(), phase, slot: -1 })
      clock.advance(pause)
      wheel.add({ name: 'b', progressMs: 400, sentAt: clock.now(), phase, slot: -1 })
      clock.advance(800)
      due.length = 0
      clock.advance(800)
      const timesOf = (name: string) => due.filter((each) => each[0] === name).map((each) => each[1])
      expect(timesOf('a'), `${pause} ms apart`).toEqual(timesOf('b'))
      expect(timesOf('a')).toHaveLength(2)
    }
  },
)

interface Silent {
  readonly name: string
  readonly progressMs: number
  sentAt: number
  readonly phase: number
  slot: number
}
