import { randomBytes } from 'node:crypto'
import type { ForwardMessage, Member, Message, ReplicaId, Term } from '../../raft/types.ts'
import type { SnapshotSource } from '../../storage/types.ts'
import type { ListenAddress, Logger, Network, NetworkEvents, StateHashAt } from '../types.ts'
import type { ByteWriter } from './bytes.ts'
import { messageCode, messageFrames, type WireMessage, writeMessage } from './codec.ts'
import type { Connection } from './connection.ts'
import type { Context } from './context.ts'
import { FRAME, type Hello, writeStateHash } from './handshake.ts'
import { newCounters, TRANSPORT_LIMITS, type TransportCounters, type TransportLimits } from './limits.ts'
import { Listener } from './listener.ts'
import { Peer } from './peer.ts'
import { Processes } from './processes.ts'
import { SnapshotReceiver } from './snapshot-receiver.ts'
import { SnapshotSender } from './snapshot-sender.ts'

export interface TcpNetworkOptions {
  readonly self: { readonly replicaId: ReplicaId; readonly clusterId: string; readonly name: string }
  readonly listen: ListenAddress
  readonly events: NetworkEvents
  /** Dials this host:port instead of the member's own. */
  readonly resolvePeer?: ((member: Member) => string) | undefined
  readonly limits?: Partial<TransportLimits>
  readonly logger: Logger
}

export interface TcpNetwork extends Network {
  /** host:port bound. */
  readonly address: string
  readonly counters: Readonly<TransportCounters>
  /** Resolves after `close` when the port is free again. */
  readonly closed: Promise<void>
}

/** Listens at once; callers are answered and peers dialled from the first `setPeers` on. Rejects when it cannot listen. */
export async function createTcpNetwork(options: TcpNetworkOptions): Promise<TcpNetwork> {
  const network = new TcpPeers(options)
  await network.listen(options.listen)
  return network
}

class TcpPeers implements TcpNetwork {
  address = ''
  readonly counters = newCounters()
  readonly closed: Promise<void>
  private readonly context: Context
  private readonly listener: Listener
  private readonly peers = new Map<ReplicaId, Peer>()
  private readonly transfers = new Map<ReplicaId, SnapshotSender>()
  private readonly receiver: SnapshotReceiver
  private open = false
  private over = false

  constructor({ self, events, resolvePeer, limits, logger }: TcpNetworkOptions) {
    const ownProcess = randomBytes(8).readBigUInt64BE()
    let attempts = 0
    this.context = {
      self: self.replicaId,
      clusterId: self.clusterId,
      limits: { ...TRANSPORT_LIMITS, ...limits },
      counters: this.counters,
      events,
      logger,
      processes: new Processes(),
      resolve: resolvePeer ?? ((member) => member.peer),
      speaker: () => ({ greeting: events.greeting(), process: ownProcess }),
      nextAttempt: () => ++attempts,
    }
    this.listener = new Listener(this.context, (connection, hello) => this.admitted(connection, hello))
    this.receiver = new SnapshotReceiver(this.context)
    this.closed = new Promise((resolve) => this.listener.server.once('close', resolve))
  }

  listen({ host, port }: ListenAddress): Promise<void> {
    const { server } = this.listener
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        server.on('error', (error) =>
          this.context.logger.error({ error: error.message }, 'the peer listener failed'),
        )
        this.address = boundAddress(server.address())
        resolve()
      })
    })
  }

  setPeers(members: readonly Member[]): void {
    if (this.over) return
    if (!this.open) this.context.processes.heard(this.context.speaker())
    const others = members.filter((member) => member.id !== this.context.self)
    const named = new Set(others.map((member) => member.id))
    for (const peer of this.peers.values()) {
      if (peer.configured && !named.has(peer.id)) this.forget(peer)
    }
    for (const member of others) {
      const peer = this.peers.get(member.id)
      if (peer === undefined) this.meet(member, true)
      else peer.update(member)
    }
    if (this.open) return
    this.open = true
    this.listener.open()
  }

  send(message: Message): void {
    if (message.type === 'snapshot')
      throw new Error('a snapshot message is made where it is received, never sent')
    const peer = this.peers.get(message.to)
    for (const part of this.fitting(message)) {
      // Entries of an append are never changed again; a forwarded frame is, should this process come to lead and stamp it.
      const stable = part.type === 'append'
      const write = (out: ByteWriter) => writeMessage(out, part)
      if (peer?.send(messageCode(part), write, messageFrames(part), stable)) this.counters.messagesSent++
      else this.counters.messagesDropped++
    }
  }

  sendStateHash(at: StateHashAt): void {
    for (const peer of this.peers.values()) peer.send(FRAME.stateHash, (out) => writeStateHash(out, at))
  }

  sendSnapshot(to: ReplicaId, term: Term, source: SnapshotSource): void {
    const peer = this.peers.get(to)
    if (peer === undefined || this.transfers.has(to)) {
      source.close()
      this.snapshotEnded(
        to,
        source,
        false,
        peer === undefined ? 'it is no peer' : 'one is being sent already',
      )
      return
    }
    const address = () => peer.address
    const sender = new SnapshotSender(this.context, { to, address, term, source }, (ok, why) => {
      this.transfers.delete(to)
      this.snapshotEnded(to, source, ok, why)
    })
    this.transfers.set(to, sender)
  }

  close(): void {
    if (this.over) return
    this.over = true
    this.listener.close()
    this.receiver.close()
    for (const sender of this.transfers.values()) sender.abort('closed')
    for (const peer of this.peers.values()) peer.close()
    this.peers.clear()
  }

  private admitted(connection: Connection, hello: Hello): void {
    const { replicaId, name, peer: address } = hello.greeting
    if (this.over) {
      connection.close('closed')
      return
    }
    if (hello.purpose === 'snapshot') {
      this.receiver.accept(connection, replicaId)
      return
    }
    const peer =
      this.peers.get(replicaId) ?? this.meet({ id: replicaId, name, peer: address, url: '' }, false)
    peer.accept(connection, hello)
  }

  private meet(member: Member, configured: boolean): Peer {
    const peer: Peer = new Peer(this.context, member, configured, () => this.forget(peer))
    this.peers.set(member.id, peer)
    return peer
  }

  private forget(peer: Peer): void {
    this.peers.delete(peer.id)
    peer.remove()
    this.transfers.get(peer.id)?.giveUp('it is no peer any more')
  }

  /** Never from within a call of the node. */
  private snapshotEnded(to: ReplicaId, source: SnapshotSource, ok: boolean, why: string): void {
    const { index } = source.meta
    this.context.logger.info(
      { to: this.peers.get(to)?.name ?? to, index, ok, why },
      'a snapshot transfer ended',
    )
    setImmediate(() => {
      if (!this.over) this.context.events.snapshotSent(to, index, ok)
    })
  }

  /** Forwarded proposals are cut to what fits into a frame; the core bounds all other messages. */
  private fitting(message: WireMessage): readonly WireMessage[] {
    if (message.type !== 'forward' || message.proposals.length < 2) return [message]
    const bytes = message.proposals.reduce((sum, proposal) => sum + proposal.frame.length, 0)
    if (bytes < this.context.limits.frameBytesMax / 2) return [message]
    const half = message.proposals.length >> 1
    const part = (proposals: ForwardMessage['proposals']) => this.fitting({ ...message, proposals })
    return [...part(message.proposals.slice(0, half)), ...part(message.proposals.slice(half))]
  }
}

function boundAddress(address: ReturnType<Listener['server']['address']>): string {
  if (address === null || typeof address === 'string') throw new Error('not bound to a port')
  return address.family === 'IPv6'
    ? `[${address.address}]:${address.port}`
    : `${address.address}:${address.port}`
}
