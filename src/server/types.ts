// The interfaces of one running node. The driver (`driver.ts`) joins core, state machine and storage. It uses the
// outside world only through Clock, Network and Storage, whose completions are callbacks, so that the simulator runs
// the same driver in virtual time. HTTP, embedding and supervisor use a node through `NodeApi`.

import type { Condition, Outcome, Request, Revision, Settings } from '../kv/types.ts'
import type {
  Configuration,
  ConfigurationChange,
  LeaseSetting,
  LogIndex,
  Member,
  Message,
  MonotonicMs,
  RaftStatus,
  RaftTiming,
  ReplicaId,
  Term,
  UnderWay,
} from '../raft/types.ts'
import type { AppliedRecord, Range, RowScan, SnapshotSink, SnapshotSource } from '../storage/types.ts'
import type { HttpLimits } from './http/limits.ts'

export interface Timer {
  cancel(): void
}

export interface Clock {
  /**
   * Monotonic: it is never set back, and goes on while the process is stopped (not while the whole machine is
   * suspended, see `clock.ts`).
   */
  now(): MonotonicMs
  after(delayMs: number, run: () => void): Timer
  /** Runs at the end of this turn of the event loop, so that events that arrived together are handled together. */
  soon(run: () => void): void
}

/** What a handshake says about the process at the other end. */
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
  /** Where the sender listens, so that a changed address corrects itself. */
  readonly peer: string
}

/** A hash of the applied rows at one index; compared between replicas (NODE-6). */
export interface StateHashAt {
  readonly index: LogIndex
  readonly hash: bigint
}

export interface NetworkEvents {
  /** This node's greeting for the next handshake. */
  greeting(): Greeting
  /**
   * Whether this process may connect. It belongs to this cluster and is the newest of its replica. Undefined: it may;
   * otherwise `refuse` is the reason, and `stop` tells it to stop.
   */
  admit(greeting: Greeting): { readonly refuse: string; readonly stop: boolean } | undefined
  message(message: Message): void
  stateHash(from: ReplicaId, at: StateHashAt): void
  connected(greeting: Greeting): void
  disconnected(peer: ReplicaId): void
  /** Reconnects to `peer` have been refused or have failed for the grace time. */
  refused(peer: ReplicaId): void
  /**
   * A peer told this process to stop: a newer process has replaced it, it was removed, or it has lost durable state.
   */
  stop(reason: string): void
  /** A peer offers a snapshot. `done` gets a place for it, or a sentence that refuses it. */
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
  setPeers(peers: readonly Member[]): void
  /** Never blocks. Drops the message when the bounded queue of a peer is full or there is no connection. */
  send(message: Message): void
  sendStateHash(at: StateHashAt): void
  /**
   * Streams the snapshot on a separate connection and closes the source. Ends with `snapshotSent`, never within this
   * call.
   */
  sendSnapshot(to: ReplicaId, term: Term, source: SnapshotSource): void
  /** What is under way; all 0 at rest, for peers (`… of <id>`) that can be reached. */
  inspect(): UnderWay
  /** No event follows. */
  close(): void
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
    | 'internal'
  readonly detail: string
  /** Whether a change may have been made. */
  readonly written: 'no' | 'unknown'
}

export type Result<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: Problem }

export type ReadConsistency = 'linearizable' | 'lease' | 'stale'

export interface ReadOptions {
  readonly consistency: ReadConsistency
  readonly maxStalenessMs: number | undefined
  readonly minRevision: Revision | undefined
  readonly timeoutMs: number
}

/** Permission to read now, synchronously or with scans opened in the callback. */
export interface ReadGrant {
  readonly served: ReadConsistency
  /** Proven upper bound; for stale reads, when it is known. */
  readonly stalenessMs: number | undefined
  readonly revision: Revision
}

export interface NodeStatus {
  readonly name: string
  readonly clusterId: string
  readonly replicaId: ReplicaId
  readonly raft: RaftStatus
  /** Free bytes of the file system with the data directory, at the last check. */
  readonly diskFreeBytes: number
  readonly revision: Revision
  readonly settings: Settings
  readonly stateHash: bigint
  /** Problems for an operator; empty when all is well. */
  readonly errors: readonly string[]
  /**
   * Reasons why the node is not ready; empty when it has applied everything that was committed at its start, knows a
   * leader and is a voter.
   */
  readonly notReady: readonly string[]
}

/** One node, as HTTP and embedding use it. Callbacks are called exactly once, never before the call returns. */
export interface NodeApi {
  readonly name: string
  readonly clusterId: string
  status(): NodeStatus
  /** Parts of the status that are cheap, for the headers of every answer. */
  readonly term: Term
  readonly revision: Revision
  readonly leaderName: string | undefined
  propose(
    request: Request,
    timeoutMs: number,
    done: (result: Result<{ readonly outcome: Outcome; readonly replayed: boolean }>) => void,
  ): void
  /** Grants a read. `done` runs synchronously with a state that satisfies it: read in it, or open scans. */
  read(options: ReadOptions, done: (result: Result<ReadGrant>) => void): void
  get(rowKey: Uint8Array): Uint8Array | undefined
  scan(range: Range): RowScan
  change(change: ConfigurationChange, timeoutMs: number, done: (result: Result<Configuration>) => void): void
  setLeases(setting: LeaseSetting, timeoutMs: number, done: (result: Result<LeaseSetting>) => void): void
  transfer(
    to: ReplicaId | undefined,
    timeoutMs: number,
    done: (result: Result<{ readonly leader: string }>) => void,
  ): void
}

// ---------------------------------------------------------------------------------------------------------------------
// Starting a node (`start-node.ts`)

/** The methods of a pino logger that a node calls. */
export interface Logger {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface ListenAddress {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
}

/** How an empty data directory may become a node. `existing`: only a directory with a node is accepted. */
export type Founding =
  /** `clusterId`: 64 bits in decimal digits; random if it is missing. */
  | { readonly kind: 'bootstrap'; readonly clusterId?: string | undefined }
  /**
   * `clusterId`: only nodes of that cluster are asked, and only at `urls`. Without it, the first cluster that answers
   * is joined, and its members are asked too.
   */
  | {
      readonly kind: 'join'
      readonly urls: readonly string[]
      readonly replace: boolean
      readonly clusterId?: string | undefined
    }
  | { readonly kind: 'existing' }

/** Each option may be missing or undefined. */
export type Optional<Options> = { readonly [Name in keyof Options]?: Options[Name] | undefined }

export interface NodeOptions {
  readonly name: string
  /** Resolved when the node is started: a relative path and links on it keep the meaning that they have then. */
  readonly dataDir: string
  readonly listen: ListenAddress
  readonly peerListen: ListenAddress
  readonly founding: Founding
  /** host:port that peers are told; by default the host of `peerListen` as given, and the bound port. */
  readonly advertisePeer?: string | undefined
  readonly advertiseUrl?: string | undefined
  readonly timing?: Optional<RaftTiming> | undefined
  /** Free space below which changes other than deletes are refused; by default `driverLimits.diskReserveBytes`. */
  readonly diskReserveBytes?: number | undefined
  /** Overrides of `httpLimits`: whole numbers from 1, those in milliseconds below 2³¹. */
  readonly httpLimits?: Optional<HttpLimits> | undefined
  /** Allows listening beyond loopback although nothing is encrypted or authenticated. */
  readonly insecure?: boolean | undefined
  readonly allowedHosts?: readonly string[] | undefined
  readonly corsOrigins?: readonly string[] | undefined
  /**
   * Treats a complete last WAL frame with a bad checksum as torn (STORE-6). Safe for a minority of the cluster only.
   */
  readonly discardSuspectTail?: boolean | undefined
  /** Dials this host:port in place of the member's address. A local cluster leads its peers through relays with it. */
  readonly resolvePeer?: ((member: Member) => string) | undefined
  readonly logger?: Logger | undefined
}

/** Why a node ended. */
export interface NodeEnd {
  /** `failed`: it stopped itself for safety. The reason says what is wrong and what to do. */
  readonly kind: 'stopped' | 'crashed' | 'failed'
  readonly reason: string
}

export interface RunningNode {
  readonly api: NodeApi
  /** Base URL of its HTTP API, without a trailing slash. */
  readonly url: string
  /** host:port of its peer listener, as told to peers. */
  readonly peer: string
  /** What is under way in driver, core, links and HTTP, by name. All numbers are 0 at rest with no client connected. */
  inspect(): UnderWay
  /** Hands over leadership, answers requests under way, flushes, closes. Never rejects: `ended` has the result. */
  stop(): Promise<void>
  /** Ends as if killed: nothing is flushed, sockets are cut. The directory can be opened again afterwards. */
  crash(): Promise<void>
  /** Resolves when the node has ended for any reason. */
  readonly ended: Promise<NodeEnd>
}

export type { AppliedRecord, Condition, Outcome, Request, Revision }
