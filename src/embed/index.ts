// A whole cluster inside one process, for tests and experiments.
//
//   await using cluster = await startCluster({ nodes: 3 })
//   const kv = cluster.client()
//   await kv.put('greeting', 'hello')
//   await cluster.leader()?.crash()
//   console.log((await kv.get('greeting'))?.text())
//
// The nodes are real: LevelDB with fsync, HTTP and peer connections over loopback TCP on free ports. They share one
// process. Peer connections run through the same relays as those of `kv cluster`: a partition stops bytes and keeps
// sockets.
//
// Limits: it does not simulate a power loss. `crash()` ends a node without a flush, but the pages that LevelDB gave to
// the system survive, as after kill -9. All nodes share one event loop: code that blocks it blocks all of them.

export { startCluster } from './cluster.ts'
export { startNode } from './single-node.ts'
export type {
  ClusterOptions,
  EmbeddedClientOptions,
  EmbeddedCluster,
  EmbeddedNode,
  PartitionOptions,
  WaitOptions,
} from './types.ts'
