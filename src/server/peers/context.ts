// The state that the parts of one node's links share.

import type { RaftMember, ReplicaId } from '../../raft/types.ts'
import type { Clock } from '../node/clock.ts'
import type { NetworkEvents } from '../node/network.ts'
import type { Logger } from '../options.ts'
import type { LinkCounters, LinkLimits } from './limits.ts'
import type { NewestProcesses } from './newest-processes.ts'
import type { MemberIdentity, PeerProcess, Wire, Wires } from './wires.ts'

/**
 * The name and the address that each replica must prove with its certificate. They are never taken from a greeting:
 * every certificate names what its own greeting states.
 */
export interface Identities {
  /** Returns the identity of a member in the configuration, or of one that a member has described. */
  of(id: ReplicaId): MemberIdentity | undefined
  /**
   * Requests the description of an unknown replica from the members. `network`: of the caller. One network does not
   * keep the replicas of others from being described.
   */
  seek(id: ReplicaId, network: string): void
  /** Replies to such a request. */
  answer(to: ReplicaId, id: ReplicaId): void
  /** A member has described a replica. */
  learn(id: ReplicaId, member: MemberIdentity): void
}

/** Why the other end of a wire cannot be this replica; undefined if it can, and without TLS. */
export function misidentity({ identities }: Context, wire: Wire, id: ReplicaId): string | undefined {
  if (wire.objectionTo === undefined) return undefined
  const member = identities.of(id)
  if (member === undefined) return `this node knows no member with the id ${id}`
  const objection = wire.objectionTo(member)
  return objection === undefined ? undefined : `it is not ${member.name}: ${objection}`
}

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
  /** Names and addresses of the replicas that may connect. */
  readonly identities: Identities
  /** The host:port to dial for a member. */
  resolve(member: RaftMember): string
  /** This process's introduction to a peer, with its current state. */
  speaker(): PeerProcess
  /** Numbers the dials of this process. */
  nextAttempt(): number
}
