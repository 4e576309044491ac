// Names and addresses of the replicas that may connect, for the comparison with their certificates. The configuration
// of this node has most of them. It may be behind: a newer member may lead already, and this node needs its entries.
// Then the members of the configuration are requested to describe that replica. A certificate alone makes no member.

import type { MonotonicMs, ReplicaId } from '../../raft/types.ts'
import type { Clock } from '../node/clock.ts'
import type { Greeting } from '../node/network.ts'
import type { Identities } from './context.ts'
import type { Frame, MemberIdentity } from './wires.ts'

/** A replica that is refused calls twice a second. */
const SEEK_AGAIN_MS = 250
/** Networks whose callers are described at a time. Members have few. */
const SEEKING_MAX = 64
/** Far more members than a cluster has. */
const LEARNED_MAX = 256

interface IdentitySources {
  /** This replica. */
  readonly self: () => Pick<Greeting, 'replicaId' | 'name' | 'peer'>
  readonly configured: (id: ReplicaId) => MemberIdentity | undefined
  /** Sends a frame to one peer; without `to`, to all members of the configuration. */
  readonly send: (frame: Frame, to?: ReplicaId) => void
}

export class KnownIdentities implements Identities {
  readonly #clock: Pick<Clock, 'now'>
  readonly #sources: IdentitySources
  readonly #learned = new Map<ReplicaId, MemberIdentity>()
  /** Times of the last requests, by the network of the caller, the oldest first. */
  readonly #soughtAt = new Map<string, MonotonicMs>()

  constructor(clock: Pick<Clock, 'now'>, sources: IdentitySources) {
    this.#clock = clock
    this.#sources = sources
  }

  of(id: ReplicaId): MemberIdentity | undefined {
    return this.#member(id) ?? this.#learned.get(id)
  }

  seek(id: ReplicaId, network: string): void {
    const now = this.#clock.now()
    for (const [known, soughtAt] of this.#soughtAt) {
      if (now - soughtAt < SEEK_AGAIN_MS) break
      this.#soughtAt.delete(known)
    }
    if (this.#soughtAt.has(network) || this.#soughtAt.size >= SEEKING_MAX) return
    this.#soughtAt.set(network, now)
    this.#sources.send({ type: 'member-request', id })
  }

  /** Describes a replica to another node. Only the configuration of this node counts: what it learned may be old. */
  answer(to: ReplicaId, id: ReplicaId): void {
    const member = this.#member(id)
    if (member === undefined) return
    const { name, peer } = member
    this.#sources.send({ type: 'member-answer', id, member: { name, peer } }, to)
  }

  learn(id: ReplicaId, member: MemberIdentity): void {
    if (this.#learned.size >= LEARNED_MAX) this.#learned.clear()
    this.#learned.set(id, member)
  }

  #member(id: ReplicaId): MemberIdentity | undefined {
    const self = this.#sources.self()
    return self.replicaId === id ? self : this.#sources.configured(id)
  }
}
