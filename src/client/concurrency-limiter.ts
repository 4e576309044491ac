// Limits the calls of a client that are in flight. Further calls wait, first come, first served, before any byte of
// them leaves. Ten thousand calls that begin at once would only delay each other and the nodes, so that none ends in
// time.

import { whenAborted } from './abort-listeners.ts'
import { after } from './timer.ts'

type Waiter = (isAcquired: boolean) => void

export class ConcurrencyLimiter {
  readonly #max: number
  /** Number of permits held. */
  acquired = 0
  readonly #waiters = new Set<Waiter>()
  /** Position behind the waiters that have been served. A new iterator would pass over all of them each time. */
  #queue = this.#waiters.values()
  #isClosed = false
  /**
   * The usual duration of a call that has its permit: a moving average in which the newest call counts an eighth. The
   * first calls, up to those that first held all permits, do not count: they make the connections.
   */
  usualMs = 0
  /** When a call first ended while all permits were held. The calls before it also had to make the connections. */
  #warmAt = Number.POSITIVE_INFINITY

  constructor(max: number) {
    this.#max = max
  }

  /** Number of calls that wait for a permit. */
  get waiting(): number {
    return this.#waiters.size
  }

  /** Acquires a permit if one is free. No call waits then: a released permit goes to the next waiter at once. */
  tryAcquire(): boolean {
    if (this.acquired >= this.#max) return false
    this.acquired += 1
    return true
  }

  /** Waits behind earlier calls. Resolves to false when the time is up, the signal fires or the client is closed. */
  wait(withinMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    if (this.#isClosed || signal?.aborted === true) return Promise.resolve(false)
    return new Promise((resolve) => {
      const leave = () => waiter(false)
      const stopTimer = after(withinMs, leave)
      const stopListening = whenAborted(signal, leave)
      const waiter: Waiter = (isAcquired) => {
        this.#waiters.delete(waiter)
        stopTimer()
        stopListening()
        resolve(isAcquired)
      }
      this.#waiters.add(waiter)
    })
  }

  /** Releases the permits of `calls` that took this long. */
  releaseAfter(ms: number, calls = 1): void {
    const now = performance.now()
    if (calls > 0 && now - ms >= this.#warmAt) this.usualMs += (ms - this.usualMs) / 8
    if (this.acquired >= this.#max) this.#warmAt = Math.min(this.#warmAt, now)
    for (let left = calls; left > 0; left--) this.release()
  }

  release(): void {
    if (this.#waiters.size === 0) this.acquired -= 1
    else this.#next()?.(true)
  }

  /** Ends all waits. */
  close(): void {
    this.#isClosed = true
    for (const waiter of this.#waiters) waiter(false)
  }

  /** The first waiter; there is one. */
  #next(): Waiter | undefined {
    const next = this.#queue.next()
    if (next.done !== true) return next.value
    // An iterator that has reached the end sees no later waiters.
    this.#queue = this.#waiters.values()
    return this.#queue.next().value
  }
}
