// The time that reads and answers of all clients take in one turn of the event loop. Each works in small steps. However
// many there are, other events, such as messages of the peers, wait for a few milliseconds only.

/** Time of all steps of a turn. The last step may exceed it. */
const TURN_MS = 5

/** Steps run at once while their turn has time, and otherwise in later turns, in their order. */
export class TurnQueue {
  readonly #waiting: (() => void)[] = []
  /** When the time of this turn is over; undefined: no step has run in it. */
  #until: number | undefined

  run(step: () => void): void {
    if (this.#waiting.length === 0 && this.#hasTime()) step()
    else this.#waiting.push(step)
  }

  /** Waits for the turn of a step that is the rest of an async function. */
  next(): Promise<void> {
    return new Promise((resolve) => this.run(resolve))
  }

  #hasTime(): boolean {
    const now = performance.now()
    if (this.#until === undefined) this.#begin(now)
    return now < (this.#until ?? 0)
  }

  #begin(now: number): void {
    this.#until = now + TURN_MS
    setImmediate(this.#endTurn)
  }

  readonly #endTurn = (): void => {
    this.#until = undefined
    if (this.#waiting.length > 0) this.#runWaiting()
  }

  readonly #runWaiting = (): void => {
    if (!this.#hasTime()) return
    const step = this.#waiting.shift()
    if (step === undefined) return
    // Behind everything that the step causes with promises.
    queueMicrotask(() => process.nextTick(this.#runWaiting))
    step()
  }
}
