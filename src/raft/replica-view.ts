// What the parts of the state machine know of their replica, and how they send. Only `Raft` changes it.

import type { Leases } from './leader-lease.ts'
import type { LeaderState } from './leader-state.ts'
import type { RaftLog } from './log.ts'
import type {
  Configuration,
  MessageContent,
  MonotonicMs,
  RaftLimits,
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
  readonly leases: Leases
  /** The applied configuration. */
  readonly configuration: Configuration
  /** The time of the current input. */
  readonly now: MonotonicMs
  readonly term: Term
  readonly leader: ReplicaId | undefined
  /**
   * The leader, if it is another replica that now receives what this one sends. Undefined also while this replica's own
   * term is not durable because its disk stalls.
   */
  readonly reachableLeader: ReplicaId | undefined
  /** Undefined unless this replica leads. */
  readonly lead: LeaderState | undefined
  send(to: ReplicaId, content: MessageContent): void
}
