// The links between replicas, without I/O: who may connect, what is guaranteed on a connection, when another try is
// made, and how snapshots travel. Clock, randomness and wires (wires.ts) are passed in, so the simulator runs these
// rules too; src/server/tcp supplies sockets.
//
// How it works. There are two connections between any two replicas. Each is dialled by the replica that sends on it, so
// that each direction can break, or be cut by a test, alone. A connection opens with a handshake (door.ts, dial.ts)
// that checks cluster, replica and process. Of two processes of one replica only the one with the higher boot counter
// is accepted, and the other is told to stop (processes.ts). A peer (peer.ts) is connected when both of its connections
// are established. A break is reported at once and dialled again at once. If that has failed for 20 ms, the peer is
// reported as `refused`. Snapshots (snapshot-sender.ts, snapshot-receiver.ts) travel on separate connections. limits.ts
// names every limit.
//
// Guarantees. * Nothing of a process is delivered before its `connected`, and what `connected` reports of its durable
// state is never
//    older than a message delivered before. So the core may compare the two without accusing a healthy peer (peer.ts says
//    how).
// * Messages are delivered only while the link is connected. So an answer either arrives, or the peer learns of the
//    break.
// * While a link is connected, messages arrive in the order sent, or not at all. In a break some of the last may be
// lost,
//    and messages sent between `disconnected` and the next `connected` may be lost too.
// * Every wait has a limit: handshakes time out, and callers that have not introduced themselves are limited in number
//    and in memory. At rest every number of `Links.inspect` is back at its start value.
//
// It does not retry messages; Raft does.

export { newCounters, TRANSPORT_LIMITS, type TransportCounters, type TransportLimits } from './limits.ts'
export { Links, type LinksOptions } from './links.ts'
export type { Dialled, Frame, LinkFrame, Wire, WireOwner, Wires } from './wires.ts'
