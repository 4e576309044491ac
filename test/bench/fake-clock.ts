import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../bench/load/loop.ts'

/** Time that passes only when everything else waits. */
export class FakeClock implements Clock {
  #now = 0
  readonly #waiting: { readonly time: number; readonly resolve: () => void }[] = []

  now(): number {
    return this.#now
  }

  until(time: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ time, resolve }))
  }

  after(ms: number): Promise<void> {
    return this.until(this.#now + ms)
  }

  /** Lets time pass until `done` has a result. */
  async pass<Result>(done: Promise<Result>): Promise<Result> {
    let isDone = false
    const finished = done.finally(() => {
      isDone = true
    })
    for (;;) {
      await turn()
      if (isDone) return finished
      const next = this.#waiting.sort((a, b) => a.time - b.time).shift()
      if (next === undefined) throw new Error('everything waits for something else than time')
      this.#now = Math.max(this.#now, next.time)
      next.resolve()
    }
  }
}
