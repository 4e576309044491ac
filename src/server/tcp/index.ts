// Links over TCP: sockets, frames (frames.ts), their content (link-codec.ts, codec.ts), and pings that notice a silent
// peer (connection.ts). src/server/links decides which replicas connect, and what is sent when.
//
// Promises:
//  * Frames of one turn of the event loop are sent in one write, or a few if they are long. Long entries are not
//    copied.
//  * A peer that reads slowly keeps its connection; one that neither reads nor answers a ping loses it.
//  * No bytes of a peer cause an exception outside of this folder: unreadable bytes close their connection, and are
//    counted.
//  * Nothing waits without a limit: full queues drop frames, silent peers time out, and an unknown peer cannot make
//    this process reserve memory.
//
// Not promised: connections are neither encrypted nor authenticated yet. A process that reaches the port and knows the
// cluster's id can pretend to be any replica, so nodes listen on loopback by default. Bandwidth is not divided between
// a snapshot and other messages; only the event loop is shared fairly.

import type { Member, ReplicaId } from '../../raft/types.ts'
import { systemClock } from '../clock.ts'
import { Links, newCounters, TRANSPORT_LIMITS, type TransportLimits } from '../links/index.ts'
import type { ListenAddress, Logger, NetworkEvents } from '../types.ts'
import { TcpWires } from './wires.ts'

export interface TcpNetworkOptions {
  readonly self: { readonly replicaId: ReplicaId; readonly clusterId: string }
  readonly listen: ListenAddress
  readonly events: NetworkEvents
  /** Connects to this host:port instead of the member's address. */
  readonly resolvePeer?: ((member: Member) => string) | undefined
  readonly limits?: Partial<TransportLimits>
  readonly logger: Logger
}

export interface TcpNetwork {
  readonly links: Links
  /** host:port that others connect to: the given host and the bound port. */
  readonly address: string
  /** Resolves after `links.close()` when the port is free again. */
  readonly closed: Promise<void>
}

/**
 * Listens at once. It answers and connects to peers from the first `setPeers` on. Rejects if it cannot listen.
 */
export async function createTcpNetwork({
  self,
  listen,
  events,
  resolvePeer,
  logger,
  ...options
}: TcpNetworkOptions): Promise<TcpNetwork> {
  const limits = { ...TRANSPORT_LIMITS, ...options.limits }
  const counters = newCounters()
  const wires = new TcpWires({ limits, counters, logger })
  const links = new Links({
    ...{ self, events, resolvePeer, limits, logger, counters, wires },
    clock: systemClock,
    random: Math.random,
  })
  await wires.listen(listen)
  return { links, address: wires.address, closed: wires.closed }
}
