// Links over TCP, ready to use. README.md lists their guarantees.

import type { RaftMember, ReplicaId } from '../../../raft/types.ts'
import type { NetworkEvents } from '../../node/network.ts'
import { systemClock } from '../../node/system-clock.ts'
import type { ListenAddress, Logger } from '../../options.ts'
import type { TlsFiles } from '../../tls/tls-files.ts'
import { LINK_LIMITS, type LinkLimits, Links, newCounters } from '../index.ts'
import { TcpWires } from './wires.ts'

interface TcpNetworkOptions {
  readonly self: { readonly replicaId: ReplicaId; readonly clusterId: string }
  readonly listen: ListenAddress
  readonly events: NetworkEvents
  /** Connects to this host:port instead of the member's address. */
  readonly resolvePeer?: ((member: RaftMember) => string) | undefined
  readonly limits?: Partial<LinkLimits>
  readonly logger: Logger
  /** Certificates of the peers, which then speak only TLS; undefined: peers use plain TCP. */
  readonly tls?: TlsFiles | undefined
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
  tls,
  ...options
}: TcpNetworkOptions): Promise<TcpNetwork> {
  const limits = { ...LINK_LIMITS, ...options.limits }
  const counters = newCounters()
  const wires = new TcpWires({ limits, counters, logger, tls })
  const links = new Links({
    self,
    events,
    resolvePeer,
    limits,
    logger,
    counters,
    wires,
    clock: systemClock,
    random: Math.random,
  })
  await wires.listen(listen)
  return { links, address: wires.address, closed: wires.closed }
}
