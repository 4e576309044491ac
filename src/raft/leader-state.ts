// The state that a replica has only while it leads. Each election makes a new one, so nothing of it survives a change
// of role or term.

import { LeaderLease } from './leader-lease.ts'
import type { Progress } from './progress.ts'
import { QuorumRounds, type Reader } from './quorum-rounds.ts'
import type { LogIndex, MonotonicMs, ReplicaId } from './types.ts'

/** A hand-over to `target` under way (thesis §3.10). */
export interface Transfer {
  readonly target: ReplicaId
  readonly deadline: MonotonicMs
}

/** A read that arrived before the leader knew everything that is committed. */
export interface EarlyRead {
  readonly reader: Reader
  readonly lease: boolean
}

/** The leader applied a configuration in which it is not a voter. It waits until the new voters have applied it too. */
export interface Retirement {
  readonly deadline: MonotonicMs
}

export class LeaderState {
  readonly electedAt: MonotonicMs
  /** The leader's first entry of its term. When it is committed, everything before it is committed (paper §8). */
  readonly firstIndex: LogIndex
  /** All other members of the applied configuration, and removed ones that are still informed, by id … */
  readonly progress = new Map<ReplicaId, Progress>()
  /** … and sorted by id. */
  followers: readonly Progress[] = []
  heartbeatAt: MonotonicMs
  /** When idle followers are told the commit index. */
  shareCommitAt: MonotonicMs = Number.POSITIVE_INFINITY
  transfer: Transfer | undefined
  retiring: Retirement | undefined
  readonly rounds = new QuorumRounds()
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

  /**
   * Whether the leader knows everything that is committed. Everything committed before its term is in its log before
   * `firstIndex` (paper §5.4.3). So it is enough that all those entries are known to be committed. That is the case at
   * the latest when its first entry of the term is committed (paper §8).
   */
  knowsCommit(commit: LogIndex): boolean {
    return commit >= this.firstIndex - 1
  }

  committedInTerm(commit: LogIndex): boolean {
    return commit >= this.firstIndex
  }

  /**
   * Cluster time: the latest in the log at the election plus the time since this entry got here, by the leader's
   * monotonic clock. So it goes on while nothing is written and while there is no leader. It never uses the time of
   * day.
   */
  clusterTimeMs(now: MonotonicMs): number {
    return this.#clusterTimeMs + Math.floor(now - this.electedAt)
  }
}
