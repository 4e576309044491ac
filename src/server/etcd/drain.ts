// Waiting until a client has taken the responses of a stream.

/** Longest time of a timer. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** Calls `run` at a time on the clock of `performance.now()`, until the returned function is called. */
export function runAt(time: number, run: () => void): () => void {
  const leftMs = time - performance.now()
  if (leftMs > TIMER_MS_MAX) return () => {}
  const timer = setTimeout(run, Math.max(0, leftMs)).unref()
  return () => clearTimeout(timer)
}

export class Drain {
  readonly #waiting = new Set<() => void>()

  get isAwaited(): boolean {
    return this.#waiting.size > 0
  }

  /** Resolves when the client has taken all or is gone, at the latest at this time. */
  async wait(until = Number.POSITIVE_INFINITY): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.add(resolve)
    const stopTimer = runAt(until, resolve)
    await promise
    stopTimer()
    this.#waiting.delete(resolve)
  }

  /** The client has taken all, or is gone. */
  end(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}
