// The peer transport: how replicas talk over TCP.
//
// What it does. Between any two replicas stand two connections, each dialled by the one that sends on it, so that either direction can break, or be
// cut by a test, alone. A connection opens with a handshake (handshake.ts, listener.ts, dial.ts) that settles cluster, replica and process: of two
// processes of one replica only the one with the higher boot counter is talked to, and the other is told to stop (processes.ts). After it come
// frames (frames.ts) with a checksum, each holding one Raft message (codec.ts) or one word between transports. Messages sent in one turn of the
// event loop leave in one write; long entries go out from the memory they were born in. A peer (peer.ts) is connected when both of its connections
// stand; its breaks are told at once, dialled again at once, and called `refused` when that has failed for 20 ms. Snapshots
// (snapshot-sender.ts, snapshot-receiver.ts) travel on connections of their own. limits.ts names every bound.
//
// What holds.
//  * Nothing of a process is delivered before its `connected`, and what `connected` says of its durable state is never older than a message
//    delivered before: the core may compare the two without accusing a healthy peer (peer.ts says how).
//  * Within one standing link messages arrive in the order sent, or not at all. Across a break some of the last may be lost.
//  * No byte of a peer can throw through this folder: what does not decode closes its connection, and is counted.
//  * Nothing waits without bound: queues drop, handshakes and silence time out, strangers are limited in number and in memory.
//
// What it does not. It neither encrypts nor authenticates yet: whoever reaches the port and knows the cluster's id can speak as any
// replica, which is why nodes listen on loopback unless told otherwise. It does not retry messages; Raft does. It does not
// share bandwidth between a snapshot and the messages beside it; only the event loop is shared fairly.

export { TRANSPORT_LIMITS, type TransportCounters, type TransportLimits } from './limits.ts'
export { createTcpNetwork, type TcpNetwork, type TcpNetworkOptions } from './tcp-network.ts'
