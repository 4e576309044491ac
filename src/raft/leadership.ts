// What a replica has only while it leads. It is made anew by each election, so nothing of it survives a change of role
// or term.

import { LeaderLease } from './leases.ts'
import type { Progress } from './progress.ts'
import { type Reader, Rounds } from './rounds.ts'
import type { LogIndex, MonotonicMs, ReplicaId } from './types.ts'

/** A hand-over to `target` under way (thesis §3.10). */
export interface Transfer {
  readonly target: ReplicaId
  readonly deadline: MonotonicMs
}

/** A read that came before the leader knew of all that is committed. */
export interface EarlyRead {
  readonly reader: Reader
  readonly lease: boolean
}

/** The leader applied a configuration in which it is no voter, and waits until the new voters have, too. */
export interface Retirement {
  readonly deadline: MonotonicMs
}

export class Leadership {
  readonly electedAt: MonotonicMs
  /** Its first entry: when that is committed, so is everything before (paper §8). */
  readonly firstIndex: LogIndex
  /** All other members of the configuration applied, and those that it is about to let go, by id … */
  readonly progress = new Map<ReplicaId, Progress>()
  /** … and sorted by id. */
  followers: readonly Progress[] = []
  heartbeatAt: MonotonicMs
  /** When idle followers are told of what was committed since. */
  shareCommitAt: MonotonicMs = Number.POSITIVE_INFINITY
  transfer: Transfer | undefined
  /** Until then nobody is asked to take over for want of room: the last one who was did not. */
  noHandOverUntil: MonotonicMs = Number.NEGATIVE_INFINITY
  retiring: Retirement | undefined
  readonly rounds = new Rounds()
  earlyReads: EarlyRead[] = []
  readonly lease = new LeaderLease()
  /** Cluster time at the election (KV-12). */
  readonly #clusterTimeMs: number

  constructor(now: MonotonicMs, firstIndex: LogIndex, clusterTimeMs: number, heartbeatMs: number) {
    this.electedAt = now
    this.firstIndex = firstIndex
    this.heartbeatAt = now + heartbeatMs
    this.#clusterTimeMs = clusterTimeMs
  }

  /** Cluster time: the latest in the log at the election, and the leader's own clock since; never the time of day. */
  clusterTimeMs(now: MonotonicMs): number {
    return this.#clusterTimeMs + Math.floor(now - this.electedAt)
  }
}
