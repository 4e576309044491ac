// The links of one node to its peers: which peers to reach, who may call, what is sent and in which order. `index.ts`
// describes the whole folder.

import type {
  ForwardMessage,
  InFlightCounts,
  Message,
  RaftMember,
  ReplicaId,
  Term,
} from '../../raft/types.ts'
import type { SnapshotSource } from '../../storage/types.ts'
import type { Clock } from '../node/clock.ts'
import type {
  ForwardedKeepAlive,
  KeepAliveAnswer,
  Network,
  NetworkEvents,
  ReportAnswer,
  ReportRequest,
  StateHashAt,
  TracedProposal,
} from '../node/network.ts'
import type { Logger } from '../options.ts'
import { Acceptor } from './accept.ts'
import type { Context } from './context.ts'
import { KnownIdentities } from './known-identities.ts'
import { LINK_LIMITS, type LinkCounters, type LinkLimits, newCounters } from './limits.ts'
import { NewestProcesses } from './newest-processes.ts'
import { Peer } from './peer.ts'
import { SnapshotReceiver } from './snapshot-receiver.ts'
import { SnapshotSender } from './snapshot-sender.ts'
import type { Hello, MemberIdentity, Wire, WireMessage, Wires } from './wires.ts'

interface LinksOptions {
  readonly self: { readonly replicaId: ReplicaId; readonly clusterId: string }
  readonly clock: Clock
  /** A random number, uniform in [0, 1). */
  readonly random: () => number
  readonly wires: Wires
  readonly events: NetworkEvents
  /** Dials this host:port in place of the member's address. */
  readonly resolvePeer?: ((member: RaftMember) => string) | undefined
  readonly limits?: Partial<LinkLimits>
  /** The supplier of the wires counts in them too. */
  readonly counters?: LinkCounters
  readonly logger: Logger
}

/** Callers are answered and peers are dialled after the first `setPeers`. */
export class Links implements Network {
  readonly counters: LinkCounters
  readonly #context: Context
  readonly #acceptor: Acceptor
  readonly #peers = new Map<ReplicaId, Peer>()
  readonly #transfers = new Map<ReplicaId, SnapshotSender>()
  readonly #receiver: SnapshotReceiver
  readonly #identities: KnownIdentities
  #open = false
  #over = false

  constructor({ self, clock, random, wires, events, resolvePeer, limits, counters, logger }: LinksOptions) {
    const ownProcess = (bits32(random) << 32n) | bits32(random)
    const bounds = { ...LINK_LIMITS, ...limits }
    let attempts = 0
    this.counters = counters ?? newCounters()
    this.#identities = new KnownIdentities(clock, {
      self: () => events.greeting(),
      configured: (id) => {
        const peer = this.#peers.get(id)
        return peer?.configured === true ? peer.identity : undefined
      },
      send: (frame, to) => {
        for (const peer of this.#peers.values())
          if (to === undefined ? peer.configured : peer.id === to) peer.send(frame)
      },
    })
    this.#context = {
      self: self.replicaId,
      clusterId: self.clusterId,
      clock,
      random,
      wires,
      events,
      logger,
      limits: bounds,
      counters: this.counters,
      processes: new NewestProcesses(bounds),
      identities: this.#identities,
      resolve: resolvePeer ?? ((member) => member.peer),
      speaker: () => ({ greeting: events.greeting(), incarnation: ownProcess }),
      nextAttempt: () => ++attempts,
    }
    this.#acceptor = new Acceptor(this.#context, (wire, hello) => this.#admitted(wire, hello))
    this.#receiver = new SnapshotReceiver(this.#context)
  }

  setPeers(members: readonly RaftMember[]): void {
    if (this.#over) return
    const others = members.filter((member) => member.id !== this.#context.self)
    const named = new Set(others.map((member) => member.id))
    for (const peer of this.#peers.values()) {
      if (peer.configured && !named.has(peer.id)) this.#forget(peer)
    }
    for (const member of others) {
      const peer = this.#peers.get(member.id)
      if (peer === undefined) this.#meet(member, true)
      else peer.update(member)
    }
    if (this.#open) return
    this.#open = true
    this.#context.processes.greeted(this.#context.speaker())
    this.#acceptor.open()
  }

  /** The members as a node has described them over a connection that was verified, for a replica that joins. */
  learn(members: readonly (MemberIdentity & { readonly id: ReplicaId })[]): void {
    for (const { id, name, peer } of members) this.#identities.learn(id, { name, peer })
  }

  send(message: Message): void {
    if (message.type === 'snapshot')
      throw new Error('a snapshot message is made where it is received, never sent')
    const peer = this.#peers.get(message.to)
    for (const part of this.#splitToFit(message)) {
      if (peer?.send(part)) this.counters.messagesSent++
      else this.counters.messagesDropped++
    }
  }

  sendStateHash(at: StateHashAt): void {
    for (const peer of this.#peers.values()) peer.send({ type: 'state-hash', at })
  }

  requestKeepAlive(to: ReplicaId, question: ForwardedKeepAlive): void {
    this.#peers.get(to)?.send({ type: 'keep-alive', question })
  }

  answerKeepAlive(to: ReplicaId, answer: KeepAliveAnswer): void {
    this.#peers.get(to)?.send({ type: 'kept-alive', answer })
  }

  requestReport(to: ReplicaId, request: ReportRequest): boolean {
    const peer = this.#peers.get(to)
    // While one direction is broken, the answer would not come.
    return peer?.isConnected === true && peer.send({ type: 'report-request', request })
  }

  answerReport(to: ReplicaId, answer: ReportAnswer): void {
    this.#peers.get(to)?.send({ type: 'report-answer', answer })
  }

  sendTraces(to: ReplicaId, proposals: readonly TracedProposal[]): void {
    this.#peers.get(to)?.send({ type: 'traces', proposals })
  }

  sendSnapshot(to: ReplicaId, term: Term, source: SnapshotSource): void {
    const peer = this.#peers.get(to)
    if (peer === undefined || this.#transfers.has(to)) {
      source.close()
      this.#snapshotEnded(
        to,
        source,
        false,
        peer === undefined ? 'it is no peer' : 'one is being sent already',
      )
      return
    }
    const address = () => peer.address
    const sender = new SnapshotSender(this.#context, { to, address, term, source }, (ok, why) => {
      this.#transfers.delete(to)
      this.#snapshotEnded(to, source, ok, why)
    })
    this.#transfers.set(to, sender)
  }

  inspect(): InFlightCounts {
    const inFlight: Record<string, number> = {
      unidentified: this.#acceptor.waiting,
      receiving: this.#receiver.inFlight,
      transfers: this.#transfers.size,
      chunksInFlight: [...this.#transfers.values()].reduce((sum, { inflight }) => sum + inflight, 0),
    }
    for (const peer of this.#peers.values()) if (peer.configured) peer.inspect(inFlight)
    return inFlight
  }

  close(): void {
    if (this.#over) return
    this.#over = true
    this.#acceptor.close()
    this.#receiver.close()
    for (const sender of this.#transfers.values()) sender.abort('closed')
    for (const peer of this.#peers.values()) peer.close()
    this.#peers.clear()
  }

  #admitted(wire: Wire, hello: Hello): void {
    const { replicaId, name, peer: address } = hello.greeting
    const identity = this.#identities.of(replicaId)
    if (this.#over) {
      wire.close('closed')
      return
    }
    if (hello.purpose === 'snapshot') {
      this.#receiver.accept(wire, replicaId)
      return
    }
    const known = this.#peers.get(replicaId)
    if (known === undefined && this.#guests >= this.#context.limits.unidentifiedMax) {
      wire.close('too many replicas that are no members are connected')
      return
    }
    const peer =
      known ?? this.#meet({ id: replicaId, name: identity?.name ?? name, peer: address, url: '' }, false)
    peer.accept(wire, hello)
  }

  /** Number of connected replicas that the configuration does not have. */
  get #guests(): number {
    let count = 0
    for (const { configured } of this.#peers.values()) if (!configured) count++
    return count
  }

  #meet(member: RaftMember, configured: boolean): Peer {
    const peer: Peer = new Peer(this.#context, member, configured, () => this.#forget(peer))
    this.#peers.set(member.id, peer)
    return peer
  }

  #forget(peer: Peer): void {
    this.#peers.delete(peer.id)
    peer.remove()
    this.#transfers.get(peer.id)?.giveUp('it is no peer any more')
  }

  /** Never called from within a call of the node. */
  #snapshotEnded(to: ReplicaId, source: SnapshotSource, ok: boolean, why: string): void {
    const { index } = source.meta
    this.#context.logger.info(
      { to: this.#peers.get(to)?.name ?? to, index, ok, why },
      'a snapshot transfer ended',
    )
    this.#context.clock.soon(() => {
      if (!this.#over) this.#context.events.snapshotSent(to, index, ok ? undefined : why)
    })
  }

  /** Forwarded proposals are split so that each part fits into a frame. The core limits all other messages. */
  #splitToFit(message: WireMessage): readonly WireMessage[] {
    if (message.type !== 'forward' || message.proposals.length < 2) return [message]
    const bytes = message.proposals.reduce((sum, proposal) => sum + proposal.frame.length, 0)
    if (bytes < this.#context.limits.frameBytesMax / 2) return [message]
    const half = message.proposals.length >> 1
    const part = (proposals: ForwardMessage['proposals']) => this.#splitToFit({ ...message, proposals })
    return [...part(message.proposals.slice(0, half)), ...part(message.proposals.slice(half))]
  }
}

const bits32 = (random: () => number): bigint => BigInt(Math.floor(random() * 2 ** 32))
