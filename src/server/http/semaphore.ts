// Only a few slices of ranges are read at the same time. Slices that are read together are encoded in the same turn of
// the event loop: 64 slices with one large value each delayed heartbeats by a fifth of a second, and their reads kept
// all threads from writing the log.

export class Semaphore {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  /** Calls are served in order. After `run`, also if it fails, the next call has its turn. */
  async take<T>(run: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      return await run()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
