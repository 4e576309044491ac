// The state that the parts of one node's links share.

import type { RaftMember, ReplicaId } from '../../raft/types.ts'
import type { Clock, Logger, NetworkEvents } from '../node/types.ts'
import type { LinkCounters, LinkLimits } from './limits.ts'
import type { NewestProcesses } from './newest-processes.ts'
import type { Speaker, Wires } from './wires.ts'

export interface Context {
  readonly clusterId: string
  /** This replica's id. */
  readonly self: ReplicaId
  readonly clock: Clock
  /** A random number, uniform in [0, 1). */
  readonly random: () => number
  readonly wires: Wires
  readonly limits: LinkLimits
  readonly counters: LinkCounters
  readonly events: NetworkEvents
  readonly logger: Logger
  readonly processes: NewestProcesses
  /** The name of a replica in the configuration. */
  nameOf(id: ReplicaId): string | undefined
  /** The host:port to dial for a member. */
  resolve(member: RaftMember): string
  /** This process's introduction to a peer, with its current state. */
  speaker(): Speaker
  /** Numbers the dials of this process. */
  nextAttempt(): number
}
