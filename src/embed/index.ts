// A whole cluster inside one process, for tests and experiments.
//
//   await using cluster = await startCluster({ nodes: 3 })
//   const kv = cluster.client()
//   await kv.put('greeting', 'hello')
//   await cluster.leader()?.crash()
//   console.log((await kv.get('greeting'))?.text())
//
// The nodes are the real ones: LevelDB with fsync, HTTP and peer connections over loopback TCP on free ports. Only the
// process is shared. Peer connections run through the same relays as those of `kv cluster`, so partitions are real too:
// bytes stop, sockets stay.
//
// Limits: it does not show what a power loss leaves on disk. `crash()` ends a node without a flush, but the pages that
// LevelDB gave to the system survive, as they do after kill -9. And all nodes share one event loop: what blocks it
// blocks all of them.

export { startCluster } from './cluster.ts'
export { startNode } from './single-node.ts'
export type { ClusterOptions, EmbeddedCluster, EmbeddedNode, PartitionOptions, WaitOptions } from './types.ts'
