// The network between the nodes of a cluster, as a node sees it: what it sends, and the events that it receives.
// `server/peers` implements it over connections, and the simulator in virtual time.

import type { LeaseId } from '../../operations/forms/index.ts'
import type { InFlightCounts, LogIndex, Message, RaftMember, ReplicaId, Term } from '../../raft/types.ts'
import type { SnapshotSink, SnapshotSource } from '../../storage/types.ts'

/** A process's description of itself in a handshake. */
export interface Greeting {
  readonly clusterId: string
  readonly replicaId: ReplicaId
  readonly name: string
  readonly boot: number
  /** Durable term and last log index of the sender. */
  readonly term: Term
  readonly lastIndex: LogIndex
  /** The newest cluster version that the sender knows. */
  readonly clusterVersion: number
  /** The sender's listen address, so that a changed address corrects itself. */
  readonly peer: string
}

/** A hash of the applied rows at one index; compared between replicas (NODE-6). */
export interface StateHashAt {
  readonly index: LogIndex
  readonly hash: bigint
}

/** A request of a follower to the leader to keep leases alive, or for the times that they have left. */
export interface ForwardedKeepAlive {
  /** The number of the request within its process, for the reply. */
  readonly number: number
  readonly timeoutMs: number
  /** false: the leases are left as they are. */
  readonly renews: boolean
  readonly ids: readonly LeaseId[]
}

export interface KeepAliveAnswer {
  readonly number: number
  /**
   * The time to live of each lease, or the time that it has left; undefined for a lease that does not exist. Undefined
   * as a whole: the node refuses to reply.
   */
  readonly kept: readonly (number | undefined)[] | undefined
}

/** Reports of a member on itself, for clients of another one. */
export const REPORT_KINDS = ['status', 'metrics'] as const
export type ReportKind = (typeof REPORT_KINDS)[number]

export interface ReportRequest {
  /** The number of the request within its process, for the reply. */
  readonly number: number
  readonly kind: ReportKind
}

export interface ReportAnswer {
  readonly number: number
  /** undefined: the node does not report. */
  readonly report: Uint8Array | undefined
}

/** The trace context of a proposal, or of its entry, that the next message has. */
export interface TracedProposal {
  /** Name of the proposal, equal on all nodes (entry-traces.ts). */
  readonly proposal: string
  readonly traceparent: string
  /** Empty: there is none. */
  readonly tracestate: string
}

export interface NetworkEvents {
  /** This node's greeting for the next handshake. */
  greeting(): Greeting
  /**
   * Decides whether this process may connect: it belongs to this cluster and is the newest of its replica. Returns
   * undefined if it may; otherwise `refuse` is the reason, and `stop` orders it to stop.
   */
  admit(greeting: Greeting): { readonly refuse: string; readonly stop: boolean } | undefined
  message(message: Message): void
  stateHash(from: ReplicaId, at: StateHashAt): void
  keepAliveRequested(from: ReplicaId, question: ForwardedKeepAlive): void
  keepAliveAnswered(from: ReplicaId, answer: KeepAliveAnswer): void
  reportRequested(from: ReplicaId, request: ReportRequest): void
  reportAnswered(from: ReplicaId, answer: ReportAnswer): void
  tracesReceived(proposals: readonly TracedProposal[]): void
  connected(greeting: Greeting): void
  disconnected(peer: ReplicaId): void
  /** Reconnects to `peer` have been refused or have failed for the grace time. */
  unreachable(peer: ReplicaId): void
  /**
   * A peer has ordered this process to stop: a newer process has replaced it, it was removed, or it has lost durable
   * state.
   */
  stop(reason: string): void
  /** A peer offers a snapshot. `done` gets a sink for it, or a sentence that refuses it. */
  snapshotOffered(
    from: ReplicaId,
    term: Term,
    snapshotId: string,
    meta: SnapshotSource['meta'],
    done: (refuse: string | undefined, sink: SnapshotSink | undefined) => void,
  ): void
  /** The snapshot is complete and staged under `snapshotId`. */
  snapshotReceived(from: ReplicaId, term: Term, snapshotId: string, meta: SnapshotSource['meta']): void
  /** `failure`: why the peer does not have the snapshot; undefined: it has it. */
  snapshotSent(to: ReplicaId, index: LogIndex, failure: string | undefined): void
}

export interface Network {
  /** The peers to stay connected with. Called at the start and with every applied configuration. */
  setPeers(peers: readonly RaftMember[]): void
  /** Never blocks. Drops the message when the bounded queue of a peer is full or there is no connection. */
  send(message: Message): void
  sendStateHash(at: StateHashAt): void
  /** Both keep-alive messages are dropped, like other messages, without a connection. */
  requestKeepAlive(to: ReplicaId, question: ForwardedKeepAlive): void
  answerKeepAlive(to: ReplicaId, answer: KeepAliveAnswer): void
  /** Returns whether the request was sent: not unless the node is connected. */
  requestReport(to: ReplicaId, request: ReportRequest): boolean
  answerReport(to: ReplicaId, answer: ReportAnswer): void
  /** Precedes a message with these proposals or their entries. */
  sendTraces(to: ReplicaId, proposals: readonly TracedProposal[]): void
  /**
   * Streams the snapshot on a separate connection and closes the source. Ends with `snapshotSent`, never within this
   * call.
   */
  sendSnapshot(to: ReplicaId, term: Term, source: SnapshotSource): void
  /** The work in flight; all 0 at rest, for peers (`… of <id>`) that can be reached. */
  inspect(): InFlightCounts
  /** Closes all connections without another event. */
  close(): void
}

/** Running totals of the traffic between nodes. */
export interface PeerTotals {
  readonly messagesSent: number
  readonly messagesReceived: number
  /** The queue was full or there was no connection. */
  readonly messagesDropped: number
  readonly bytesSent: number
  readonly bytesReceived: number
  readonly connectionsOpened: number
  readonly connectionsBroken: number
  /** TLS handshakes of callers that failed. */
  readonly tlsHandshakesFailed: number
}
