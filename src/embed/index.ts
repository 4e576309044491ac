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
// What it does not do: show what a killed process or a lost power supply leaves on disk. `crash()` cuts a node off
// without a flush, but the pages that LevelDB handed to the system survive, as they survive kill -9. And the nodes
// share one event loop: whatever blocks it blocks all of them at once.

export { startCluster } from './cluster.ts'
export { startNode } from './single-node.ts'
export type { ClusterOptions, EmbeddedCluster, EmbeddedNode, PartitionOptions, WaitOptions } from './types.ts'
