// Limit on concurrent writes of an import: it grows while that makes the import faster, and shrinks otherwise.
//
// The rate of writes is measured at each limit, in windows of WINDOW_MS. The limit grows by WRITES_STEP. If the rate
// does not grow with it, the limit goes back, and is tried again after HOLD_WINDOWS. If the rate falls to less than
// half, so that a write takes more than twice as long (an overloaded cluster, a fail-over), the limit is halved.

/** Where an import begins, and its bounds. Writes that begin together are one entry of the log, so many cost little. */
export const WRITES_START = 128
export const WRITES_MIN = 8
export const WRITES_MAX = 512
const WRITES_STEP = 128
export const WINDOW_MS = 250
const HOLD_WINDOWS = 8
/** A larger limit stays if the rate is higher by this factor. */
const GROWTH = 1.05
const COLLAPSE = 0.5
/** Weight of the newest window in the average rate at an unchanged limit. */
const NEWEST_SHARE = 0.3

export class ImportPace {
  readonly #now: () => number
  #limit = WRITES_START
  /** The largest limit that has proved its worth, and the rate there. */
  #settled = WRITES_START
  #rate = 0
  #holds = 0
  #windowFrom: number
  #lastEnd: number
  #ended = 0
  #wasFull = false

  constructor(now: () => number = () => performance.now()) {
    this.#now = now
    this.#windowFrom = now()
    this.#lastEnd = this.#windowFrom
  }

  /** A write begins. Time without a write in flight does not count: it says nothing about the cluster. */
  begins(inFlight: number): void {
    if (inFlight === 0) this.#windowFrom += this.#now() - this.#lastEnd
  }

  /** Whether one more write may begin. */
  hasRoom(inFlight: number): boolean {
    if (inFlight < this.#limit) return true
    this.#wasFull = true
    return false
  }

  /** A write has ended. */
  ended(): void {
    const now = this.#now()
    this.#ended += 1
    this.#lastEnd = now
    const ms = now - this.#windowFrom
    if (ms < WINDOW_MS || this.#ended < this.#limit) return
    // A slow source says nothing about the cluster.
    if (this.#wasFull) this.#limit = this.#next(this.#ended / ms)
    this.#windowFrom = now
    this.#ended = 0
    this.#wasFull = false
  }

  #next(rate: number): number {
    if (rate < this.#rate * COLLAPSE) {
      this.#settled = Math.max(WRITES_MIN, Math.floor(this.#limit / 2))
      this.#rate = rate
      return this.#settled
    }
    if (this.#limit === this.#settled) {
      this.#rate += (rate - this.#rate) * (this.#rate === 0 ? 1 : NEWEST_SHARE)
    } else if (rate > this.#rate * GROWTH) {
      this.#settled = this.#limit
      this.#rate = rate
    } else {
      this.#holds = HOLD_WINDOWS
      return this.#settled
    }
    if (--this.#holds > 0) return this.#limit
    return Math.min(WRITES_MAX, this.#settled + WRITES_STEP)
  }
}
