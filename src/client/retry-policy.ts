// How long one try of a call may take, when there is another one, and how many. When a node stays silent for the time
// limit of a try, the try is given up and the next node gets the request.
//
// When all nodes are slow because of overload, each further copy of a request makes them slower. So few tries are given
// up at a time, and a token bucket bounds their number. A try that may not be given up continues.
//
// Giving up has a price: the answer may have been close. So a call leaves each endpoint at most once, only in the first
// half of its time, and never the last endpoint. A cluster of three nodes whose answers take up to four fifths of the
// timeout still answers every call.
//
// The last endpoint may be the one that hangs, while the others have become able to answer since the call left them:
// for example, because they have elected a leader. So they get the request again beside it. The limit of such side
// tries doubles each time.

/**
 * Up to so many calls in flight, linearizable reads go to the leader. Another node must ask the leader first: with
 * three nodes on two cores, a read took 0.42 ms there and 0.31 ms at the leader, one of eight at a time 0.9 and 0.39
 * ms. Beyond, reads go round all nodes, whose processors the leader cannot replace. A client whose leader is silent
 * uses the others, as for writes.
 */
export const READS_AT_LEADER = 8

/** Time limit of a first try: this share of the time of its call, within these bounds. */
const TRY_SHARE = 0.1
export const TRY_MIN_MS = 250
const TRY_MAX_MS = 1_000
/** After this time a silent try checks again whether it may be given up. */
export const RECHECK_MS = 50
/**
 * Time limit of a try with a password, at most this share of the time of the call. A node computes on a password for a
 * tenth of a second of a core. If all nodes are busy, further nodes that compute on it make them slower. And when two
 * nodes have a change of users under the same revision, its outcome is often unknown.
 */
export const PASSWORD_MS = 5_000
export const PASSWORD_SHARE = 0.4
/** A large body gets extra time: as long as it takes at 3 Mbit/s. */
export const SLOW_BYTES_PER_MS = 400
/** The `timeout` that a node gets is a little shorter than the client's, so that its reason arrives in time. */
const TRANSIT_SHARE = 0.05
const TRANSIT_MAX_MS = 100
/** Longest `timeout` that a node accepts (docs/reference/http.md). */
const NODE_TIMEOUT_MAX_MS = 60_000
/** With less time left there is no further try. The first try is always made: a call may have a shorter timeout. */
export const LEFT_MIN_MS = 5
/**
 * With less time left, a write that was refused is not tried again, and a write that has waited for the limiter does
 * not begin. A try without time for its answer would make the outcome unknown.
 */
export const WRITE_MIN_MS = 100
/** Pauses after all endpoints were tried. */
export const RETRY_BASE_MS = 15
export const RETRY_MAX_MS = 1_000
/**
 * A write whose token names no revision is not sent again later than this after a try that may have been applied. A
 * node applies a copy again once it has forgotten the outcome. It keeps an outcome for 15 minutes of cluster time, or
 * for a million later tokens, and no cluster takes a million tokens in 10 s.
 */
export const UNDATED_RETRY_MS = 10_000
/** After this many `internal` answers within one call, more are expected, and the call ends. */
export const INTERNAL_MAX = 3

/**
 * The time that a call must have left after waiting for the limiter. It needs a quarter more than calls usually take
 * now. Otherwise, under overload, all calls would begin when their time is nearly over, and none would end in time.
 */
export function leastMs(isRead: boolean, timeoutMs: number, usualMs: number): number {
  const tryMs = Math.min(isRead ? LEFT_MIN_MS : WRITE_MIN_MS, timeoutMs / 2)
  return Math.max(tryMs, Math.min(1.25 * usualMs, timeoutMs * 0.75))
}

/** Time limit of a try without a byte from the node. */
export const tryLimitMs = (timeoutMs: number): number =>
  Math.min(TRY_MAX_MS, Math.max(TRY_MIN_MS, timeoutMs * TRY_SHARE))

/** Whether a call must not give up the try at its node, however silent that is: the answer may be close. */
export const mustWait = (timeoutMs: number, leftMs: number): boolean =>
  leftMs < Math.min(timeoutMs / 2, timeoutMs - TRY_MIN_MS)

/** The `timeout` parameter of a request. */
export function nodeTimeoutMs(leftMs: number): number {
  const transitMs = Math.min(TRANSIT_MAX_MS, leftMs * TRANSIT_SHARE)
  return Math.max(1, Math.floor(Math.min(NODE_TIMEOUT_MAX_MS, leftMs - transitMs)))
}

/** Tokens for each ended call: in the long run one call in twenty may be sent twice. */
export const TOKENS_PER_CALL = 0.05
/** Tokens for each second: as many as the circuit breaker of a hanging node needs for its probes. */
export const TOKENS_PER_SECOND = 1
/** Size of the bucket for clients with few calls in flight. */
export const TOKENS_MIN = 32

/** Limit of calls in flight that have given up a try: this share of all, but at least COPIES_MIN. */
export const COPIES_SHARE = 0.125
export const COPIES_MIN = 4

/** Token bucket for tries that are given up. Full at first: all calls in flight can leave a node that is lost. */
export class RetryBudget {
  readonly #max: number
  #tokens: number
  #at = performance.now()
  /** Tries that were given up by calls that have not ended. */
  #copies = 0

  /** `callsMax`: how many calls may be in flight. */
  constructor(callsMax: number) {
    this.#max = Math.max(TOKENS_MIN, callsMax)
    this.#tokens = this.#max
  }

  /** Whether one of the `calls` in flight may give up a try now. */
  tryAcquire(calls: number): boolean {
    const nowMs = performance.now()
    this.#add(((nowMs - this.#at) / 1_000) * TOKENS_PER_SECOND)
    this.#at = nowMs
    if (this.#tokens < 1 || this.#copies >= Math.max(COPIES_MIN, calls * COPIES_SHARE)) return false
    this.#tokens -= 1
    this.#copies += 1
    return true
  }

  callEnded(copies: number): void {
    this.#copies -= copies
    this.#add(TOKENS_PER_CALL)
  }

  #add(tokens: number): void {
    this.#tokens = Math.min(this.#max, this.#tokens + tokens)
  }
}
