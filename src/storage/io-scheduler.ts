// Who waits for LevelDB goes before who reads ahead: batches and scans are the foreground, and the background takes a
// step when none of them is under way. Where some always are, it takes one after so many of them, so that it comes to
// its end. Without this, what an entry needs is read in competition with the reading of all rows after a start, and
// each of its turns takes longer by a step.

/** Of the foreground, for one step of the background. */
const CALLS_PER_STEP = 16

export class IoScheduler {
  #underWay = 0
  /** Since the last step. */
  #ended = 0
  #step: (() => void) | undefined

  begin(): void {
    this.#underWay++
  }

  /** Is called after what follows at once has begun. */
  end(): void {
    this.#underWay--
    this.#ended++
    if (this.#isFree) this.#take()
  }

  /** Takes this step now, or when there is room for it. It replaces a step that waits. */
  whenFree(step: () => void): void {
    this.#step = step
    if (this.#underWay === 0) this.#take()
  }

  /** The step that waits is not taken. */
  drop(): void {
    this.#step = undefined
  }

  get #isFree(): boolean {
    return this.#underWay === 0 || this.#ended >= CALLS_PER_STEP
  }

  #take(): void {
    const step = this.#step
    this.#step = undefined
    this.#ended = 0
    step?.()
  }
}
