// The batch delay: changes wait for others that will share their entry, or at least their step of the core and its
// fsync.
//
// Clients whose writes were committed together receive their outcomes together, and write again together. If their
// first few writes were proposed at once, the disks and the network would get a small batch, and then a second one with
// all others. So changes wait until as many have arrived as were pending lately, but no longer than two writes take. In
// that time the batch that they have just missed is committed, and its clients write again. With 64 clients this saves
// a sixth of the CPU time of a write, and the latency of every client is lower. A few clients never wait. PostgreSQL's
// commit_delay with commit_siblings does the same.

import type { MonotonicMs } from '../../../raft/index.ts'
import type { Clock } from '../clock.ts'
import type { DriverLimits } from '../limits.ts'

/** The share of the recent number of changes that is awaited. The last few may not come. */
const SHARE_AWAITED = 0.9
/** The delay is at most as long as this many writes take. */
const WRITES_MAX = 2
/** Each batch multiplies the awaited number by this, because clients may have left. */
const CROWD_DECAY = 0.95
/** A proposal without a result after this long is not used to measure the duration of a write. */
const MEASURE_MS_MAX = 1_000

export class BatchDelay {
  readonly #clock: Pick<Clock, 'now'>
  readonly #limits: Pick<DriverLimits, 'batchDelayFrom' | 'batchDelayMsMax'>
  /** The largest number of changes that were pending together lately. */
  #crowd = 0
  /** When the current delay began. */
  #delayedSince: MonotonicMs | undefined
  /** The duration of a recent write. */
  #writeMs = 0
  /** The proposal whose duration is being measured. */
  #measured: { readonly seq: number; readonly at: MonotonicMs } | undefined

  constructor(clock: Pick<Clock, 'now'>, limits: Pick<DriverLimits, 'batchDelayFrom' | 'batchDelayMsMax'>) {
    this.#clock = clock
    this.#limits = limits
  }

  /**
   * Milliseconds to wait for more changes; 0: propose now. `queued`: the changes that are not proposed yet, `pending`:
   * all changes without a result.
   */
  leftMs(queued: number, pending: number): number {
    const now = this.#clock.now()
    const { batchDelayFrom, batchDelayMsMax } = this.#limits
    this.#crowd = Math.max(this.#crowd, pending)
    if (this.#crowd >= batchDelayFrom && queued < SHARE_AWAITED * this.#crowd) {
      this.#delayedSince ??= now
      const leftMs = Math.min(batchDelayMsMax, WRITES_MAX * this.#writeMs) - (now - this.#delayedSince)
      if (leftMs > 0) return leftMs
    }
    this.#delayedSince = undefined
    this.#crowd = Math.max(pending, this.#crowd * CROWD_DECAY)
    return 0
  }

  /** Records that a batch of proposals was handed to the core. `seq`: its first proposal. */
  proposed(seq: number): void {
    const now = this.#clock.now()
    if (this.#measured === undefined || now - this.#measured.at > MEASURE_MS_MAX)
      this.#measured = { seq, at: now }
  }

  /** Records that a proposal has its result. */
  ended(seq: number): void {
    if (this.#measured?.seq !== seq) return
    this.#writeMs = this.#clock.now() - this.#measured.at
    this.#measured = undefined
  }
}
