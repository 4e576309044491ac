// Links over TCP: sockets, the frames on them (frames.ts), what is said in these (link-codec.ts, codec.ts), and pings
// that notice a side that has fallen silent (connection.ts). Who may connect, what is sent and when is for
// src/server/links.
//
// What holds.
//  * Frames sent in one turn of the event loop leave in one write, or a few where they are long; long entries go out
//    from the memory they were born in.
//  * A side that reads slowly is waited for; one that neither reads nor answers a ping is not.
//  * No byte of a peer can throw through this folder: what does not decode closes its connection, and is counted.
//  * Nothing waits without bound: queues drop, silence times out, and nobody unknown makes this process set memory
//    aside.
//
// What it does not. It neither encrypts nor authenticates yet: a process that reaches the port and knows the cluster's
// id can speak as any replica, which is why nodes listen on loopback unless told otherwise. It does not share bandwidth
// between a snapshot and the messages beside it; only the event loop is shared fairly.

import type { Member, ReplicaId } from '../../raft/types.ts'
import { systemClock } from '../clock.ts'
import { Links, newCounters, TRANSPORT_LIMITS, type TransportLimits } from '../links/index.ts'
import type { ListenAddress, Logger, NetworkEvents } from '../types.ts'
import { TcpWires } from './wires.ts'

export interface TcpNetworkOptions {
  readonly self: { readonly replicaId: ReplicaId; readonly clusterId: string }
  readonly listen: ListenAddress
  readonly events: NetworkEvents
  /** Dials this host:port instead of the member's own. */
  readonly resolvePeer?: ((member: Member) => string) | undefined
  readonly limits?: Partial<TransportLimits>
  readonly logger: Logger
}

export interface TcpNetwork {
  readonly links: Links
  /** host:port for others: the host as given, the port bound. */
  readonly address: string
  /** Resolves after `links.close()` when the port is free again. */
  readonly closed: Promise<void>
}

/**
 * Listens at once; callers are answered and peers dialled from the first `setPeers` on. Rejects when it cannot listen.
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
