// What applications import: the client, and clusters and nodes that run inside the application itself.

export * from './client/index.ts'
export {
  type ClusterOptions,
  type EmbeddedCluster,
  type EmbeddedNode,
  type PartitionOptions,
  startCluster,
  startNode,
} from './embed/index.ts'
export { NodeStartError } from './server/start-node.ts'
export type { Founding, ListenAddress, Logger, NodeEnd, NodeOptions, RunningNode } from './server/types.ts'
