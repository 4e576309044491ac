// Calls that observe the status of the node. One timer serves all of them.

/** Interval at which the status is read. */
const READ_MS = 1_000

export class StatusObservers {
  readonly #all = new Set<() => void>()
  #timer: NodeJS.Timeout | undefined

  /** Calls `observe` now, and at intervals until the returned function is called. */
  add(observe: () => void): () => void {
    this.#all.add(observe)
    this.#timer ??= setInterval(() => {
      for (const each of this.#all) each()
    }, READ_MS).unref()
    observe()
    return () => {
      this.#all.delete(observe)
      if (this.#all.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }
}
