// Decides when the core takes its next step: for the requests of this turn of the event loop, at the core's deadline,
// and to retry requests that no leader has accepted.

import type { MonotonicMs, Raft, RaftTiming } from '../../raft/index.ts'
import type { Clock, Timer } from './clock.ts'
import type { Lifecycle } from './lifecycle.ts'
import type { DriverLimits } from './limits.ts'
import type { NodeEvents } from './node-events.ts'
import type { Reads } from './read/reads.ts'
import type { Proposer } from './write/proposer.ts'

interface StepSchedulerOptions {
  readonly clock: Clock
  readonly limits: Pick<DriverLimits, 'retryMs'>
  readonly timing: Pick<RaftTiming, 'heartbeatMs'>
  readonly raft: Pick<Raft, 'deadline' | 'leader' | 'role'>
  readonly lifecycle: Pick<Lifecycle, 'end'>
  readonly proposer: Proposer
  readonly reads: Reads
  readonly events: Pick<NodeEvents, 'step'>
}

export class StepScheduler {
  readonly #options: StepSchedulerOptions
  #timer: Timer | undefined
  #timerAt: MonotonicMs = Number.POSITIVE_INFINITY
  #isWakeScheduled = false
  #retryTimer: Timer | undefined

  constructor(options: StepSchedulerOptions) {
    this.#options = options
  }

  inspect(): { readonly wakeSoon: number; readonly retryTimer: number } {
    return { wakeSoon: Number(this.#isWakeScheduled), retryTimer: Number(this.#retryTimer !== undefined) }
  }

  stop(): void {
    this.#timer?.cancel()
    this.#retryTimer?.cancel()
  }

  /** Schedules one step for all requests of this turn. */
  wake(): void {
    if (this.#isWakeScheduled) return
    this.#isWakeScheduled = true
    const { clock, events, lifecycle, proposer, reads } = this.#options
    clock.soon(() => {
      this.#isWakeScheduled = false
      if (lifecycle.end !== undefined) return
      proposer.proposeQueued()
      if (!reads.hasFresh) return
      const batch = reads.nextBatch()
      if (batch.length > 0) events.step({ kind: 'read', now: clock.now(), reads: batch })
    })
  }

  /** Called at the end of every step. */
  stepEnded(): void {
    const { lifecycle, proposer, raft } = this.#options
    if (lifecycle.end === undefined) this.#armTimer(raft.deadline())
    this.#armRetry()
    if (proposer.canContinue) this.wake()
  }

  /** Sends all waiting requests to the core again, because a leader can be reached. */
  unpark(): void {
    this.#options.proposer.tracker.unpark()
    this.#unparkReads()
  }

  #unparkReads(): void {
    const { proposer, reads } = this.#options
    reads.unpark()
    if (proposer.tracker.queued > 0 || reads.hasFresh) this.wake()
  }

  /** Retries what was refused because there was no leader, or has had no answer. */
  #armRetry(): void {
    const { clock, lifecycle, limits, proposer, raft, reads } = this.#options
    if (!proposer.tracker.hasParked && !reads.hasParked) return
    if (this.#retryTimer !== undefined || lifecycle.end !== undefined) return
    this.#retryTimer = clock.after(limits.retryMs, () => {
      this.#retryTimer = undefined
      if (raft.leader !== undefined) {
        proposer.tracker.unparkDue()
        this.#unparkReads()
      }
      this.#armRetry()
    })
  }

  /** A timer that fires early only checks again. So a deadline that moves with every heartbeat costs nothing. */
  #armTimer(at: MonotonicMs): void {
    if (at >= this.#timerAt) return
    const { clock } = this.#options
    this.#timer?.cancel()
    this.#timerAt = at
    this.#timer = clock.after(Math.max(0, at - clock.now()), () => {
      const lateMs = clock.now() - this.#timerAt
      this.#timerAt = Number.POSITIVE_INFINITY
      this.#tick(lateMs)
    })
  }

  #tick(lateMs: MonotonicMs): void {
    const { clock, events, raft, timing } = this.#options
    const tick = (): void => events.step({ kind: 'tick', now: clock.now() })
    // After a stall, messages of the peers wait in the sockets. They are read first, before the peers are judged as
    // silent. If the stall ends just after an election timeout, the timer is not late, so a follower always does this.
    const mayElect = raft.role !== 'leader'
    if (mayElect || lateMs > timing.heartbeatMs) clock.soon(() => clock.soon(tick))
    else tick()
  }
}
