// Limits how often a second node is asked because the first one is silent. If one node hangs, a second copy costs
// little. If all nodes are slow because of overload, each copy makes them slower. Without a limit a cluster that was
// late once would get three copies of every request, and would stay late as long as the load lasts.
//
// It is a token bucket, like a retry budget. It is full at first, so that every call under way can ask another node
// when a node is lost. They do so a few at a time: a working node answers at once, and over a saturated network no copy
// helps.

/** Tokens for each ended call: in the long run one call in twenty may be sent twice. */
export const TOKENS_PER_CALL = 0.05
/** Tokens for each second: as many as the circuit breaker of a hanging node needs for its probes. */
export const TOKENS_PER_SECOND = 1
/** The size of the bucket for clients with few calls under way. */
export const TOKENS_MIN = 32
/** Limit of copies under way: this share of the calls under way, but at least COPIES_MIN. */
export const COPIES_SHARE = 0.125
export const COPIES_MIN = 4

export class Hedges {
  readonly #max: number
  #tokens: number
  #at = performance.now()
  /** Copies of calls that have not ended. */
  #copies = 0

  /** `callsMax`: how many calls may be under way at a time. */
  constructor(callsMax: number) {
    this.#max = Math.max(TOKENS_MIN, callsMax)
    this.#tokens = this.#max
  }

  callEnded(copies: number): void {
    this.#copies -= copies
    this.#add(TOKENS_PER_CALL)
  }

  /** Whether one of the `calls` under way may be sent to another node now. */
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
