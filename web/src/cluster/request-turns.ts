// Turns of requests to one origin, to which a browser has six connections. A request beyond them waits there unseen,
// while its time limit runs, and a paused node holds each request up to that limit. So these requests wait here, and
// begin when they are sent. What is left is for the user, for a watch and for the events of a local cluster.

interface Turn {
  readonly owner: unknown
  readonly begin: () => void
}

export class RequestTurns {
  readonly #max: number
  readonly #busy = new Set<unknown>()
  #waiting: readonly Turn[] = []

  /** `max`: limit on the requests in flight. */
  constructor(max: number) {
    this.#max = max
  }

  /** Does `work`, which makes one request after the other. Each owner has one request in flight. */
  async take<T>(owner: unknown, work: () => Promise<T>): Promise<T> {
    await new Promise<void>((resolve) => {
      this.#waiting = [...this.#waiting, { owner, begin: resolve }]
      this.#beginNext()
    })
    try {
      return await work()
    } finally {
      this.#busy.delete(owner)
      this.#beginNext()
    }
  }

  #beginNext(): void {
    while (this.#busy.size < this.#max) {
      const next = this.#waiting.find(({ owner }) => !this.#busy.has(owner))
      if (next === undefined) return
      this.#waiting = this.#waiting.filter((turn) => turn !== next)
      this.#busy.add(next.owner)
      next.begin()
    }
  }
}

/** Turns of what the page repeats by itself, by the name of the node: reads of members, and clients of the faults. */
export const nodeTurns = new RequestTurns(3)
