// The public types of an embedded cluster.

import type { Client, ClientOptions } from '../client/index.ts'
import type { Logger, NodeOptions } from '../server/options.ts'

export interface ClusterOptions {
  /** 3 unless `ports` says otherwise. Not fewer than `dataDir` holds. */
  readonly nodes?: number | undefined
  /** Keeps the data, and goes on with what is there. Without it a temporary directory is used and removed. */
  readonly dataDir?: string | undefined
  /** Client ports, one per node; free ones without it. */
  readonly ports?: readonly number[] | undefined
  /** Heartbeat and election timeouts. */
  readonly timing?: NodeOptions['timing'] | undefined
  /** A pino logger, for instance; silent without it. */
  readonly logger?: Logger | undefined
  /** For all nodes to become ready voters, in milliseconds, above 0; 30,000 without it. */
  readonly readyTimeoutMs?: number | undefined
}

export interface PartitionOptions {
  /** Also closes the connections between the groups, as a firewall that rejects. */
  readonly reset?: boolean | undefined
}

/** A cluster inside this process. It keeps the process alive until it is closed. */
export interface EmbeddedCluster extends AsyncDisposable {
  /** Base URLs of all nodes. */
  readonly endpoints: readonly string[]
  readonly nodes: readonly EmbeddedNode[]
  /** n1, n2, … */
  node(name: string): EmbeddedNode
  /**
   * The node that leads in the highest term; undefined while none does. A leader that is cut off may not know it yet.
   */
  leader(): EmbeddedNode | undefined
  /** A client of all nodes, closed together with the cluster. */
  client(options?: Partial<ClientOptions>): Client
  /**
   * Cuts the network between groups of names: `partition([['n1'], ['n2', 'n3']])`. Nodes not named form one more group.
   */
  partition(groups: readonly (readonly string[])[], options?: PartitionOptions): void
  /** Undoes every partition. */
  heal(): void
  /** Ends every node and client, and removes temporary data. */
  close(): Promise<void>
}

/** A node of an embedded cluster, as its user sees it. */
export interface EmbeddedNode {
  readonly name: string
  /** Base URL of its HTTP API; stays the same over restarts. */
  readonly url: string
  readonly running: boolean
  /** Hands leadership over, answers what is under way, and closes. */
  stop(): Promise<void>
  /** Ends as if killed. */
  crash(): Promise<void>
  /** Starts it again on its data. Resolves when it serves; a majority brings it up to date behind that. */
  start(): Promise<void>
}
