// The interfaces of one running node. The driver (`driver.ts`) joins core, state machine and storage. It uses the
// outside world only through Clock, Network and Storage, whose completions are callbacks, so that the simulator runs
// the same driver in virtual time. HTTP, embedding and supervisor use a node through `NodeApi`.

import type { SpanContext } from '@opentelemetry/api'
import type { KvState, Outcome, Request, UserIdentity } from '../../kv/types.ts'
import type {
  KeyRow,
  KvSettings,
  LeaseId,
  ReadConsistency,
  ReadGrant,
  Revision,
} from '../../operations/forms/index.ts'
import type {
  Configuration,
  ConfigurationChange,
  InFlightCounts,
  LeaderLeaseSetting,
  LogIndex,
  Message,
  MonotonicMs,
  RaftMember,
  RaftStatus,
  ReplicaId,
  Term,
} from '../../raft/types.ts'
import type { RowScan, SnapshotSink, SnapshotSource, WriteCallback } from '../../storage/types.ts'
import type { CertificateExpiry, NodeOptions, RunningNode } from '../options.ts'
import type { Auth } from './auth-view.ts'
import type { MetadataScan } from './metadata-scan.ts'
import type { KeyScan, RecordScan, RecordScanOptions, SliceLimits } from './record-scan.ts'
import type { PermittedWatch, WatchHandle, WatchSink } from './watch/types.ts'

export interface Timer {
  cancel(): void
}

export interface Clock {
  /**
   * Monotonic time: it is never set back, and advances while the process is stopped (not while the whole machine is
   * suspended, see `clock.ts`).
   */
  now(): MonotonicMs
  after(delayMs: number, run: () => void): Timer
  /**
   * Runs at the end of this turn of the event loop, so that events that arrived together are handled together. Calls
   * may run in any order.
   */
  soon(run: () => void): void
}

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

/** The trace context of a proposal, or of its entry, that the next message has. */
export interface TracedProposal {
  /** The same on all nodes (entry-traces.ts). */
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
  snapshotSent(to: ReplicaId, index: LogIndex, ok: boolean): void
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

/**
 * An error of the table in docs/reference/errors.md. It is decided below HTTP, so that all interfaces report the same.
 */
export interface Problem {
  readonly code:
    | 'no_leader'
    | 'no_quorum'
    | 'not_ready'
    | 'overloaded'
    | 'too_stale'
    | 'revision_behind'
    | 'membership_refused'
    | 'request_too_large'
    | 'storage_full'
    | 'outcome_unknown'
    | 'cancelled'
    | 'internal'
  readonly detail: string
  /** Whether a change may have been made. */
  readonly written: 'no' | 'unknown'
}

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem }

export interface ReadRequirements {
  readonly consistency: ReadConsistency
  readonly maxStalenessMs?: number | undefined
  readonly minRevision?: Revision | undefined
  readonly timeoutMs: number
}

/**
 * `low`: only changes that free space are accepted. `none`: no command is written, only the few small entries of
 * consensus.
 */
export type DiskSpaceState = 'enough' | 'low' | 'none'

export interface DriverStatus {
  readonly name: string
  readonly clusterId: string
  readonly replicaId: ReplicaId
  readonly raft: RaftStatus
  /** Free bytes of the file system with the data directory, at the last check. */
  readonly diskFreeBytes: number
  readonly diskSpace: DiskSpaceState
  readonly revision: Revision
  readonly settings: KvSettings
  readonly stateHash: bigint
  readonly leases: LeaseCounts
  readonly host: HostStatus
  /** Problems for an operator; empty when all is well. */
  readonly errors: readonly string[]
  /**
   * Reasons why the node is not ready. Empty when it serves linearizable reads and forwards changes, is a voter, and
   * its disk is not far behind.
   */
  readonly notReady: readonly string[]
}

/** The surroundings of the replica: its disk, files and backups. The values may be read at each access. */
export interface HostStatus {
  /** The size of the file system with the data directory; Infinity when it is unknown. */
  readonly diskTotalBytes: number
  readonly certificates: readonly CertificateExpiry[]
  /** The age of the newest scheduled backup that this node knows; undefined: it knows none. */
  readonly lastBackupAgeMs: number | undefined
  /** Why the last scheduled backup of this node failed. */
  readonly backupFailure: string | undefined
}

export interface LeaseCounts {
  /** Leases that exist. */
  readonly count: number
  /**
   * Counts of this process: leases that it has ended as the leader; keep-alives answered without an entry, and with
   * one.
   */
  readonly expired: number
  readonly inMemory: number
  readonly inLog: number
}

/** The state of a lease, in cluster time. */
export interface LeaseNow {
  readonly grantedTtlMs: number
  /**
   * The remaining time to live without a keep-alive, never more than `grantedTtlMs`. On a node that does not lead it
   * may be too short, because only the leader knows of all keep-alives (`remainingTtls`).
   */
  readonly remainingTtlMs: number
  /** The user who was granted it, if rights were checked. */
  readonly owner?: UserIdentity
  /** The beginning of all its keys; undefined: it has no keys. */
  readonly keyPrefix?: Uint8Array
}

/** Rows of one instant. `next`: one call at a time; then `finish` or `close`. */
export interface SlicedScan<T> {
  /**
   * Reads the next page: at least one item, unless there is none. `more`: whether there are more items. With
   * `readsMax` the page may end with fewer items, even without one; then `more` is undefined, which means unknown.
   */
  next(
    limits: SliceLimits,
    done: (error: Error | undefined, items: readonly T[], more: boolean | undefined) => void,
  ): void
  /** Without an error the items were complete. */
  finish(done: WriteCallback): void
  close(): void
}

/** One node, as HTTP and embedding use it. Callbacks are called exactly once, never before the call returns. */
export interface NodeApi {
  readonly name: string
  readonly clusterId: string
  status(): DriverStatus
  /** The parts of the status that are cheap, for the headers of every response. */
  readonly term: Term
  readonly revision: Revision
  readonly leaderName: string | undefined
  /** Users and rights as this node has applied them. */
  readonly auth: Auth
  /** `trace`: the trace of the request, if it is recorded. */
  propose(
    request: Request,
    timeoutMs: number,
    done: (result: Result<{ readonly outcome: Outcome; readonly replayed: boolean }>) => void,
    trace?: SpanContext,
  ): void
  /**
   * Grants a read. `done` runs synchronously with a state that satisfies it: read in it, or open scans. The returned
   * function withdraws the read: if it still waits, it ends at once as `cancelled`.
   */
  read(options: ReadRequirements, done: (result: Result<ReadGrant>) => void): () => void
  /** The revisions at which the store can be read, and from which it can be watched. */
  readonly history: KvState['history']
  /** Reads a key's current record. `done` may be called before this returns. */
  get(key: Uint8Array, done: (error: Error | undefined, record: KeyRow | undefined) => void): void
  list(options: RecordScanOptions): RecordScan
  /** The same records without values. */
  listMetadata(options: RecordScanOptions): MetadataScan
  /** Their keys alone: enough to count them. */
  listKeys(options: RecordScanOptions): KeyScan
  /** All rows of the store, and its registers. */
  rows(): RowScan
  /**
   * Begins a watch on the current state. The sink is not called before this returns. It then receives all events from
   * the requested revision on, or from the next one on.
   */
  watch(request: PermittedWatch, sink: WatchSink): Result<WatchHandle>
  /**
   * Lower bound for times to live, which are raised to it: no lease expires because an election takes its usual time.
   */
  readonly leaseTtlMsMin: number
  /**
   * Keeps leases alive. Each lives for its time to live from some time between this call and its result. The result is
   * that time to live for each id, or undefined for a lease that does not exist.
   */
  keepAlive(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (result: Result<readonly (number | undefined)[]>) => void,
  ): void
  /** The current state of a lease. */
  lease(id: LeaseId): LeaseNow | undefined
  /**
   * The remaining times to live of leases, as the leader knows them. undefined: it has no such lease, or has not
   * answered.
   */
  remainingTtls(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (ttlsMs: readonly (number | undefined)[]) => void,
  ): void
  /** All leases after this one, in the order of their ids. */
  listLeases(after: LeaseId | undefined): SlicedScan<LeaseNow & { readonly id: LeaseId }>
  /** The current keys of a lease. */
  keysOfLease(id: LeaseId): SlicedScan<Uint8Array>
  change(change: ConfigurationChange, timeoutMs: number, done: (result: Result<Configuration>) => void): void
  setLeaderLeases(
    setting: LeaderLeaseSetting,
    timeoutMs: number,
    done: (result: Result<LeaderLeaseSetting>) => void,
  ): void
  transfer(
    to: ReplicaId | undefined,
    timeoutMs: number,
    done: (result: Result<{ readonly leader: string }>) => void,
  ): void
}

// ---------------------------------------------------------------------------------------------------------------------
// A node, for what runs it (`start-node.ts`)

export interface StartOptions extends NodeOptions {
  /**
   * Dials this host:port in place of the member's address. A local cluster connects its peers through relays with it.
   */
  readonly resolvePeer?: ((member: RaftMember) => string) | undefined
}

export interface ServingNode extends RunningNode {
  readonly api: NodeApi
  /**
   * The work in flight in driver, core, links and HTTP, by name. All numbers are 0 at rest with no client connected.
   */
  inspect(): InFlightCounts
}

export type {
  Founding,
  ListenAddress,
  Logger,
  NodeEnd,
  NodeOptions,
  Optional,
} from '../options.ts'
