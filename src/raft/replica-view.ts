// The shared view of a replica for the parts of its state machine, with a way to send. Only `Raft` changes the state.

import type { LeaderLeaseSettings } from './leader-lease.ts'
import type { LeaderState } from './leader-state.ts'
import type { RaftLog } from './log.ts'
import type {
  Configuration,
  LogIndex,
  MessageContent,
  MonotonicMs,
  RaftLimits,
  RaftOptions,
  RaftTiming,
  ReplicaId,
  Term,
} from './types.ts'

export interface ReplicaView {
  readonly id: ReplicaId
  readonly boot: number
  readonly limits: RaftLimits
  readonly timing: RaftTiming
  readonly log: RaftLog
  readonly leaderLeases: LeaderLeaseSettings
  readonly diskRoom: RaftOptions['diskRoom']
  readonly onDecision: RaftOptions['onDecision']
  /** The applied configuration. */
  readonly configuration: Configuration
  /** The time of the current input. */
  readonly now: MonotonicMs
  readonly term: Term
  readonly leader: ReplicaId | undefined
  /**
   * The leader, if messages reach it now. Undefined also while the disk of this replica stalls and takes no more
   * entries.
   */
  readonly reachableLeader: ReplicaId | undefined
  /** The commit index that other replicas may learn (see `Raft`). */
  readonly visibleCommit: LogIndex
  /** Undefined unless this replica leads. */
  readonly lead: LeaderState | undefined
  send(to: ReplicaId, content: MessageContent): void
}
