// Messages between a supervisor and the process of one node, over an IPC channel. When the channel breaks, the
// supervisor is gone, and the node ends (node-process.ts).

import type { Founding, ListenAddress, NodeEnd, NodeOptions } from '../../server/options.ts'
import type { NodeReport, NodeView } from './node-view.ts'

/** The part of `NodeOptions` that is plain data. */
export interface NodeStartOrder {
  readonly name: string
  readonly dataDir: string
  readonly listen: ListenAddress
  readonly peerListen: ListenAddress
  readonly founding: Founding
  readonly peers: PeerAddresses
  readonly tls?: NodeOptions['tls']
  readonly peerTls?: NodeOptions['peerTls']
  readonly etcdApi?: boolean | undefined
}

/**
 * The address at which a node dials each other local node: a relay, or with --direct the peer itself. Other members are
 * dialled at the address in the configuration.
 */
export type PeerAddresses = Readonly<Record<string, string>>

export type ToNode =
  /** `supervisor`: the pid of the sender. */
  | { readonly kind: 'start'; readonly order: NodeStartOrder; readonly supervisor: number }
  | { readonly kind: 'peers'; readonly peers: PeerAddresses }
  /** Requests a `report`. */
  | { readonly kind: 'report' }
  /**
   * With `transferLeadership` the node transfers leadership, finishes requests in flight and closes. Without it the
   * whole cluster ends, so the node closes at once: acknowledged writes are durable.
   */
  | { readonly kind: 'stop'; readonly transferLeadership: boolean }

export type FromNode =
  | { readonly kind: 'started'; readonly peer: string; readonly clusterId: string }
  /** Sent when it changes. */
  | { readonly kind: 'view'; readonly view: NodeView }
  /** undefined: the node does not serve. */
  | { readonly kind: 'report'; readonly report: NodeReport | undefined }
  /** The last message before the process ends. */
  | { readonly kind: 'ended'; readonly end: NodeEnd }
