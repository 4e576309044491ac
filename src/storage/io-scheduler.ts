// Foreground I/O (batches, scans) has priority over background reads of all rows. A background step runs when no
// foreground call is in flight, and after every CALLS_PER_STEP foreground calls regardless, so that it cannot starve.
// Without this, the reads of an entry would compete with the background after a start, and each would take longer by a
// step.

/** Foreground calls for one step of the background. */
const CALLS_PER_STEP = 16

export class IoScheduler {
  #inFlight = 0
  /** Since the last step. */
  #ended = 0
  #step: (() => void) | undefined

  begin(): void {
    this.#inFlight++
  }

  /** Is called after what follows at once has begun. */
  end(): void {
    this.#inFlight--
    this.#ended++
    if (this.#isFree) this.#take()
  }

  /** Takes this step now, or when there is room for it. It replaces a step that waits. */
  whenFree(step: () => void): void {
    this.#step = step
    if (this.#inFlight === 0) this.#take()
  }

  /** The step that waits is not taken. */
  drop(): void {
    this.#step = undefined
  }

  get #isFree(): boolean {
    return this.#inFlight === 0 || this.#ended >= CALLS_PER_STEP
  }

  #take(): void {
    const step = this.#step
    this.#step = undefined
    this.#ended = 0
    step?.()
  }
}
