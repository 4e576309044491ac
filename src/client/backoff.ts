// Pauses between tries: exponential, with decorrelated jitter (each pause is drawn between the base and three times the
// previous pause), so that clients that failed together do not return together.

export class Backoff {
  readonly #baseMs: number
  readonly #maxMs: number
  readonly #random: () => number
  #pauseMs: number

  constructor(baseMs: number, maxMs: number, random: () => number = Math.random) {
    this.#baseMs = baseMs
    this.#maxMs = maxMs
    this.#random = random
    this.#pauseMs = baseMs
  }

  next(): number {
    const upTo = Math.max(this.#baseMs, this.#pauseMs * 3)
    this.#pauseMs = Math.min(this.#maxMs, this.#baseMs + this.#random() * (upTo - this.#baseMs))
    return this.#pauseMs
  }

  reset(): void {
    this.#pauseMs = this.#baseMs
  }
}
