// The package's public exports: the client, and clusters and nodes that run inside the application itself.

export * from './client/index.ts'
export {
  type ClusterOptions,
  type EmbeddedCluster,
  type EmbeddedNode,
  type PartitionOptions,
  startCluster,
  startNode,
  type WaitOptions,
} from './embed/index.ts'
export type { RaftTiming } from './raft/timing.ts'
export type { HttpLimits } from './server/listener/limits.ts'
export {
  type Founding,
  type ListenAddress,
  type Logger,
  type NodeEnd,
  type NodeOptions,
  NodeStartError,
  type RunningNode,
} from './server/options.ts'
