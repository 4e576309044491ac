// What a supervisor and the process of one node tell each other over their IPC channel. When the channel breaks, the
// supervisor is gone, and the node ends (node-process.ts).

import type { Founding, ListenAddress, NodeEnd } from '../server/node/types.ts'
import type { NodeView } from './node-view.ts'

/** What one node is started with: the part of `NodeOptions` that is plain data. */
export interface NodeOrder {
  readonly name: string
  readonly dataDir: string
  readonly listen: ListenAddress
  readonly peerListen: ListenAddress
  readonly founding: Founding
  /**
   * Where this node reaches each other local node: a relay, or with --direct the peer itself. Nodes not named are
   * dialled directly.
   */
  readonly peers: PeerAddresses
}

export type PeerAddresses = Readonly<Record<string, string>>

export type ToNode =
  /** `supervisor`: the pid of the sender. */
  | { readonly kind: 'start'; readonly order: NodeOrder; readonly supervisor: number }
  | { readonly kind: 'peers'; readonly peers: PeerAddresses }
  /**
   * `handOver`: hand leadership over, answer what is under way, close. Without it the whole cluster ends, so the node
   * closes at once: what it has acknowledged is durable.
   */
  | { readonly kind: 'stop'; readonly handOver: boolean }

export type FromNode =
  | {
      readonly kind: 'started'
      readonly url: string
      readonly peer: string
      readonly clusterId: string
    }
  /** Sent when it changes. */
  | { readonly kind: 'view'; readonly view: NodeView }
  /** The last message of a node that did not just stop on request. */
  | { readonly kind: 'ended'; readonly end: NodeEnd }
