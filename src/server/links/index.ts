// The links between replicas, without I/O: who may connect, what holds on a connection, when another try is made, and
// how snapshots travel. Clock, randomness and wires (wires.ts) are handed in, so the simulator runs these very rules;
// src/server/tcp supplies sockets.
//
// What it does. Between any two replicas stand two connections, each dialled by the one that sends on it, so that
// either direction can break, or be cut by a test, alone. A connection opens with a handshake (door.ts, dial.ts) that
// settles cluster, replica and process: of two processes of one replica only the one with the higher boot counter is
// talked to, and the other is told to stop (processes.ts). A peer (peer.ts) is connected when both of its connections
// stand; its breaks are told at once, dialled again at once, and called `refused` when that has failed for 20 ms.
// Snapshots (snapshot-sender.ts, snapshot-receiver.ts) travel on connections of their own. limits.ts names every bound.
//
// What holds.
//  * Nothing of a process is delivered before its `connected`, and what `connected` says of its durable state is never
//    older than a message delivered before: the core may compare the two without accusing a healthy peer (peer.ts says
//    how).
//  * Messages are delivered only while the link stands, so that whatever is answered arrives, or the peer learns of the
//    break.
//  * Within one standing link messages arrive in the order sent, or not at all. Across a break some of the last may be
//    lost, and what is sent after `disconnected` and before the next `connected` may be lost too.
//  * Nothing waits without bound: handshakes time out, strangers are limited in number and in memory. At rest every
//    register and counter of `Links.inspect` is back at its start.
//
// What it does not. It does not retry messages; Raft does.

export { newCounters, TRANSPORT_LIMITS, type TransportCounters, type TransportLimits } from './limits.ts'
export { Links, type LinksOptions } from './links.ts'
export type { Dialled, Frame, LinkFrame, Wire, WireOwner, Wires } from './wires.ts'
