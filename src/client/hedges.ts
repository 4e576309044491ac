// How often a second node may be asked because the first keeps silent. Where one node hangs that costs nothing; where
// all are slow, since more is asked for than they can do, each further copy makes them slower: without a bound a
// cluster that once was late for a moment would get three copies of everything, and would stay late for as long as the
// load lasts.
//
// A token bucket, as retry budgets are: full at first, so that every call that is under way when a node is lost finds
// another one. They do so one after the other, a part of them at a time: from a node that works the answers come at
// once, and over a wire that is full no copy helps.

/** Tokens that each call brings: in the long run one in twenty is asked twice. */
export const TOKENS_PER_CALL = 0.05
/** And those that time brings: as many as the circuit breaker of a node that hangs needs for its probes. */
export const TOKENS_PER_SECOND = 1
/** Of clients with few calls under way. */
export const TOKENS_MIN = 32
/** Copies on their way at a time: for so many of the calls under way one, and this many where few are. */
export const COPIES_SHARE = 0.125
export const COPIES_MIN = 4

export class Hedges {
  readonly #max: number
  #tokens: number
  #at = performance.now()
  /** Of calls that have not ended. */
  #copies = 0

  /** `callsMax`: calls that are under way at a time. */
  constructor(callsMax: number) {
    this.#max = Math.max(TOKENS_MIN, callsMax)
    this.#tokens = this.#max
  }

  callEnded(copies: number): void {
    this.#copies -= copies
    this.#add(TOKENS_PER_CALL)
  }

  /** Whether one of so many `calls` may be asked of a further node now. */
  tryAcquire(calls: number): boolean {
    const nowMs = performance.now()
    this.#add(((nowMs - this.#at) / 1_000) * TOKENS_PER_SECOND)
    this.#at = nowMs
    if (this.#tokens < 1 || this.#copies >= Math.max(COPIES_MIN, calls * COPIES_SHARE)) return false
    this.#tokens -= 1
    this.#copies += 1
    return true
  }

  #add(tokens: number): void {
    this.#tokens = Math.min(this.#max, this.#tokens + tokens)
  }
}
