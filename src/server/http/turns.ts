// Slices of ranges are read a few at a time. Whatever is read at the same time is encoded in the same turn of the event
// loop: 64 slices of one large value each kept heartbeats waiting for a fifth of a second of CPU time, and their
// reading kept all threads from the writes of the log.

export class Turns {
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor(atOnce: number) {
    this.#free = atOnce
  }

  /** In the order of asking. Whether or not `run` fails, its turn is the next one's then. */
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
