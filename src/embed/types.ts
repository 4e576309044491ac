// The public types of an embedded cluster.

import type { Client, ClientOptions, ClientTls } from '../client/index.ts'
import type { Logger, NodeOptions } from '../server/options.ts'

export interface ClusterOptions {
  /** Number of nodes. Default: as many as `ports`, or 3. Not fewer than `dataDir` holds. */
  readonly nodes?: number | undefined
  /** A directory that keeps the data. Default: a temporary directory, which is removed. */
  readonly dataDir?: string | undefined
  /** TLS for clients and between the nodes. The certificates are made in the data directory. Default: false. */
  readonly tls?: boolean | undefined
  /** Client ports, one for each node. Default: free ports. */
  readonly ports?: readonly number[] | undefined
  /** Checks rights: the user root is made, or gets this password, and `client()` is this user. */
  readonly auth?: { readonly rootPassword: string } | undefined
  /** Heartbeat and election timeouts. */
  readonly timing?: NodeOptions['timing'] | undefined
  /** For example a pino logger. Default: silent. */
  readonly logger?: Logger | undefined
  /** Time for all nodes to become ready voters, in milliseconds, above 0. Default: 30,000. */
  readonly readyTimeoutMs?: number | undefined
}

/** While rights are checked, a client that names neither `user` nor `token` is root. */
export type EmbeddedClientOptions = Partial<ClientOptions>

export interface PartitionOptions {
  /** Also closes the connections between the groups, like a firewall that rejects them. */
  readonly reset?: boolean | undefined
}

export interface WaitOptions {
  /** In milliseconds, above 0. Default: 30,000. */
  readonly timeoutMs?: number | undefined
}

/** A cluster inside this process. It keeps the process alive until it is closed. */
export interface EmbeddedCluster extends AsyncDisposable {
  /** Base URLs of all nodes. */
  readonly endpoints: readonly string[]
  readonly nodes: readonly EmbeddedNode[]
  /** With TLS: the CA of the nodes, and the certificate and key of the user root, for other clients. */
  readonly tls: ClientTls | undefined
  /**
   * The node `n1`, `n2`, …
   *
   * @throws RangeError when there is no such node
   */
  node(name: string): EmbeddedNode
  /**
   * The node that leads in the highest term; undefined while no node leads. A leader that is cut off counts until it
   * steps down.
   */
  leader(): EmbeddedNode | undefined
  /**
   * Waits for a leader: after a crash of the leader, for its successor. A leader that is cut off counts until another
   * one leads.
   *
   * @throws Error when no node leads within `timeoutMs`, or the cluster is closed
   * @example
   * await cluster.leader()?.crash()
   * const next = await cluster.waitForLeader()
   */
  waitForLeader(options?: WaitOptions): Promise<EmbeddedNode>
  /**
   * Creates a client of all nodes, which is closed together with the cluster.
   *
   * @throws Error when the cluster is closed
   */
  client(options?: EmbeddedClientOptions): Client
  /**
   * Cuts the network between groups of nodes. Nodes that no group names form one more group.
   *
   * @throws RangeError when a name is unknown or given twice, or nothing would be cut off
   * @example
   * cluster.partition([['n1'], ['n2', 'n3']])
   */
  partition(groups: readonly (readonly string[])[], options?: PartitionOptions): void
  /** Undoes every partition. */
  heal(): void
  /** Ends every node and client, and removes temporary data. */
  close(): Promise<void>
}

/** A node of an embedded cluster. */
export interface EmbeddedNode {
  readonly name: string
  /** Base URL of its HTTP API; stays the same over restarts. */
  readonly url: string
  readonly running: boolean
  /** Transfers leadership, finishes requests in flight and closes. */
  stop(): Promise<void>
  /** Ends as if killed. */
  crash(): Promise<void>
  /** Starts it again on its data. Resolves when it serves; it catches up later. */
  start(): Promise<void>
}
