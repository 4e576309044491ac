// The state that a replica has only while it leads. Each election makes a new one, so nothing of it survives a change
// of role or term.

import { LeaderLease } from './leader-lease.ts'
import type { Progress } from './progress.ts'
import { QuorumRounds, type ReadOrigin } from './quorum-rounds.ts'
import { DiskLag } from './slow-disk.ts'
import type { LogIndex, MonotonicMs, ReplicaId } from './types.ts'

/** A leadership transfer to `target` in progress (thesis §3.10). */
export interface Transfer {
  readonly target: ReplicaId
  readonly deadline: MonotonicMs
}

/** A read that arrived before the leader knew all committed entries. */
export interface EarlyRead {
  readonly origin: ReadOrigin
  readonly leaderLease: boolean
}

/** The wait of a removed leader until the new voters have applied its removal too. */
export interface Retirement {
  readonly deadline: MonotonicMs
}

export class LeaderState {
  readonly electedAt: MonotonicMs
  /** Index of the leader's first entry of its term. Its commitment commits everything before it (paper §8). */
  readonly firstIndex: LogIndex
  /** All other members of the applied configuration, and removed ones that are still informed, by id … */
  readonly progress = new Map<ReplicaId, Progress>()
  /** … and sorted by id. */
  followers: readonly Progress[] = []
  heartbeatAt: MonotonicMs
  /** Time to send the commit index to idle followers. */
  commitSendAt: MonotonicMs = Number.POSITIVE_INFINITY
  transfer: Transfer | undefined
  retirement: Retirement | undefined
  readonly rounds = new QuorumRounds()
  earlyReads: EarlyRead[] = []
  readonly leaderLease = new LeaderLease()
  readonly diskLag = new DiskLag()
  /** Cluster time at the election (KV-12). */
  readonly #clusterTimeMs: number

  constructor(now: MonotonicMs, firstIndex: LogIndex, clusterTimeMs: number, heartbeatMs: number) {
    this.electedAt = now
    this.firstIndex = firstIndex
    this.heartbeatAt = now + heartbeatMs
    this.#clusterTimeMs = clusterTimeMs
  }

  /**
   * Whether the leader knows all committed entries. Those of earlier terms are in its log before `firstIndex` (paper
   * §5.4.3), so it is enough that all of these are committed. The leader knows this at the latest when its first entry
   * is committed (paper §8).
   */
  knowsCommit(commit: LogIndex): boolean {
    return commit >= this.firstIndex - 1
  }

  committedInTerm(commit: LogIndex): boolean {
    return commit >= this.firstIndex
  }

  /**
   * Cluster time: the latest stamp at the election plus the time since then on the leader's monotonic clock. It
   * advances while nothing is written and while there is no leader. It never uses the time of day.
   */
  clusterTimeMs(now: MonotonicMs): number {
    return this.#clusterTimeMs + Math.floor(now - this.electedAt)
  }
}
