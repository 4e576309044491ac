// The types of the core: the inputs of `Raft.step`, its outputs, and the plain data in between.
//
// The core does no I/O, reads no clock, uses no randomness except the function given to it, and knows no promises. Each
// event arrives as an `Input`, and the `Output` lists the work for the driver. The terms are those of the Raft paper
// and of Ongaro's thesis.

import type { RaftTiming } from './timing.ts'

export type { RaftTiming }

declare const brand: unique symbol

/** An election term: a non-negative safe integer, 0 before the first election (paper §5.1). */
export type Term = number & { readonly [brand]: 'Term' }
/**
 * A position in the log: a non-negative safe integer; the first entry has index 1, 0 means "before the log" (paper
 * §5.3).
 */
export type LogIndex = number & { readonly [brand]: 'LogIndex' }
/**
 * A replica's random 64-bit id in decimal digits. It is generated when the data directory is formatted, and never
 * reused (RAFT-19).
 */
export type ReplicaId = string & { readonly [brand]: 'ReplicaId' }
/** Monotonic time of one process in milliseconds, fractions allowed. Comparable only within that process. */
export type MonotonicMs = number
/** The number of one `Write` of one process, in order from 1. 0 means "nothing needs to be durable". */
export type WriteNumber = number

export const asTerm = (value: number): Term => nonNegative(value, 'term') as Term
export const asIndex = (value: number): LogIndex => nonNegative(value, 'log index') as LogIndex
export const asReplicaId = (value: string): ReplicaId => {
  if (!/^(0|[1-9][0-9]{0,19})$/.test(value))
    throw new RangeError(`not a replica id: ${JSON.stringify(value)}`)
  return value as ReplicaId
}

function nonNegative(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a ${what}: ${value}`)
  return value
}

/**
 * One entry of the log. `frame` is the whole entry as it is stored and sent: the header that the leader stamps, and the
 * payload that the proposer sealed (layout in `entry.ts`). A frame never changes after the leader has stamped it.
 */
export interface Entry {
  readonly index: LogIndex
  readonly term: Term
  readonly frame: Uint8Array
}

/**
 * The id, name and addresses of a replica. The core uses the name only in messages, and keeps names unique. It stores
 * the addresses for others.
 */
export interface RaftMember {
  readonly id: ReplicaId
  /** `[a-z0-9-]{1,63}`, unique within a configuration; a label, not an identity. */
  readonly name: string
  /** host:port of its peer listener. */
  readonly peer: string
  /** Base URL of its HTTP API, without a trailing slash. */
  readonly url: string
}

/**
 * The cluster configuration. While `votersOutgoing` is not empty it is joint (paper §6): elections and commitment need
 * a majority of `voters` (the incoming half) and one of `votersOutgoing`. All id lists are sorted and without
 * duplicates.
 */
export interface Configuration {
  readonly voters: readonly ReplicaId[]
  readonly votersOutgoing: readonly ReplicaId[]
  readonly learners: readonly ReplicaId[]
  /** Voters of the outgoing half that become learners when the joint configuration is left (etcd's learners_next). */
  readonly learnersNext: readonly ReplicaId[]
  /** Learners (or learnersNext) that an operator demoted. The leader does not promote them by itself. */
  readonly demoted: readonly ReplicaId[]
  /** One for each id in the lists above, sorted by id. */
  readonly members: readonly RaftMember[]
  /** Ids of removed replicas, newest last, at most 128. Such a replica is informed when it connects. */
  readonly removed: readonly ReplicaId[]
}

/** One step of a change. The steps of a change take effect together. */
export type ChangeStep =
  | { readonly kind: 'add-learner'; readonly member: RaftMember }
  | { readonly kind: 'promote'; readonly id: ReplicaId }
  | { readonly kind: 'demote'; readonly id: ReplicaId }
  | { readonly kind: 'remove'; readonly id: ReplicaId }
  /** New name or addresses for a member; does not affect the quorum. */
  | { readonly kind: 'update'; readonly member: RaftMember }

/**
 * The content of a configuration entry. `change`: a list of steps. If it changes the set of voters, it enters a joint
 * configuration, which the leader leaves by itself with `leave-joint` once the change is applied. Any other change
 * takes effect at once.
 */
export type ConfigurationChange =
  | { readonly kind: 'change'; readonly steps: readonly ChangeStep[] }
  | { readonly kind: 'leave-joint' }

/**
 * Leader leases as a replicated setting (RAFT-25). `durationMs` is the promise of every node while the setting is on:
 * no vote and no campaign within that time after contact with a leader. The leader trusts its lease for `durationMs /
 * (1 + driftMax)` after a round began.
 */
export interface LeaderLeaseSetting {
  readonly on: boolean
  readonly durationMs: number
}

/**
 * The replicated state that results from the core's own entries. The driver stores it in the applied record, and
 * snapshots contain it.
 */
export interface AppliedRaftState {
  readonly configuration: Configuration
  readonly leaderLeases: LeaderLeaseSetting
}

/** The durable state of paper figure 2 and the commit index, in one record (RAFT-5). */
export interface HardState {
  readonly term: Term
  readonly vote: ReplicaId | undefined
  readonly commit: LogIndex
}

/**
 * The durable part of the log, read synchronously. Entries of a `Write` may be missing until that write is reported
 * stored; the core keeps them itself. After compaction `firstIndex - 1` is the last compacted index, and `termAt` still
 * knows its term.
 */
export interface LogReader {
  /** Index of the first entry that can be read; lastIndex + 1 when the log is empty. */
  firstIndex(): LogIndex
  /** Index of the last durable entry, or of the snapshot when the log is empty. */
  lastIndex(): LogIndex
  /** Term of the entry at `index`; undefined outside [firstIndex - 1, lastIndex]. */
  termAt(index: LogIndex): Term | undefined
  /** Entries from `from` on, below `to`: at least one, and as many as fit into `bytesMax` of frames. */
  entries(from: LogIndex, to: LogIndex, bytesMax: number): Entry[]
}

/** The last entry that a snapshot covers, and the replicated state of the core in it. */
export interface SnapshotMeta {
  readonly index: LogIndex
  readonly term: Term
  readonly state: AppliedRaftState
}

// ---------------------------------------------------------------------------------------------------------------------
// Messages between replicas

interface MessageBase {
  readonly from: ReplicaId
  readonly to: ReplicaId
  /** The sender's term. For a pre-vote and its grant: the term of the election that would follow. */
  readonly term: Term
}

/**
 * Proof of freshness (RAFT-22). A follower adds its own monotonic time, as a stamp unique to its process, to its
 * responses as `sentAt`. The leader echoes the stamp as `at` with a read index, after a quorum round that *started*
 * after the response arrived. Once the follower has applied `readIndex`, its state is at most `now - at` old.
 */
export interface ConfirmedContact {
  readonly at: MonotonicMs
  readonly readIndex: LogIndex
}

/** AppendEntries (paper figure 2). Without `entries` it is a probe, or carries a commit index, or both. */
export interface AppendMessage extends MessageBase {
  readonly type: 'append'
  readonly prevIndex: LogIndex
  readonly prevTerm: Term
  readonly entries: readonly Entry[]
  readonly commit: LogIndex
  /** Newest round of leadership confirmation at the time of sending (ReadIndex, check-quorum, leader leases). */
  readonly round: number
}
/** Success: everything up to `index` is durable on the sender and equal to the leader's log. */
export interface AppendAcceptedMessage extends MessageBase {
  readonly type: 'append-accepted'
  readonly index: LogIndex
  readonly round: number
  readonly sentAt: MonotonicMs
  /**
   * Applied index of the state that reads on the sender use. A snapshot counts once it is durable. The leader uses it
   * for the leader lease setting and for the last change of members.
   */
  readonly applied: LogIndex
}
/** The previous entry did not match. The hint skips whole terms (etcd's fast back-off). */
export interface AppendRejectedMessage extends MessageBase {
  readonly type: 'append-rejected'
  /** `prevIndex` of the refused append. */
  readonly index: LogIndex
  readonly hintIndex: LogIndex
  readonly hintTerm: Term
  /** The sender's last log index, for observers. Lost state is detected when a process connects. */
  readonly lastIndex: LogIndex
  readonly round: number
  readonly sentAt: MonotonicMs
}
export interface HeartbeatMessage extends MessageBase {
  readonly type: 'heartbeat'
  /** min(match, commit) for the receiver: never beyond the log that it is known to hold. */
  readonly commit: LogIndex
  /** 0: no response is needed; the heartbeat only carries a commit index. */
  readonly round: number
  readonly confirmed: ConfirmedContact | undefined
  /** Index that a majority of the voters has applied. Replicas removed by a change up to it are no longer needed. */
  readonly appliedByMajority: LogIndex
}
export interface HeartbeatAnswerMessage extends MessageBase {
  readonly type: 'heartbeat-answer'
  readonly round: number
  readonly sentAt: MonotonicMs
  readonly applied: LogIndex
  /**
   * Index up to which the sender's log is equal to the log of this term's leader, durable or not. A leader continues
   * after it, and does not wait for the disk of the sender.
   */
  readonly matched: LogIndex
  /** Bytes of entries that the sender takes after `matched`. A slow disk takes few, or none for now. */
  readonly room: number
  readonly lastIndex: LogIndex
}
export interface VoteRequestMessage extends MessageBase {
  readonly type: 'vote-request' | 'pre-vote-request'
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
  /** Set by a leadership transfer: the receiver considers the request even while a leader is live (thesis §4.2.3). */
  readonly transfer: boolean
}
export interface VoteAnswerMessage extends MessageBase {
  readonly type: 'vote-answer' | 'pre-vote-answer'
  readonly granted: boolean
  /**
   * Commit index of the sender and the term of that entry. A candidate that holds the same entry commits it. The entry
   * may leave a joint configuration. Perhaps only this sender knows that, and the candidate cannot win without it
   * (raft-rs does the same).
   */
  readonly commit: LogIndex
  readonly commitTerm: Term
}
/**
 * Announces a whole snapshot, verified and staged in the receiver's storage. The receiver's own driver makes this
 * message.
 */
export interface SnapshotMessage extends MessageBase {
  readonly type: 'snapshot'
  readonly meta: SnapshotMeta
  /** The name of the staged snapshot in the receiver's storage. */
  readonly snapshotId: string
  /** Latest cluster time applied in it. A leader elected right after it continues from there. */
  readonly clusterTimeMs: number
}
/** Leadership transfer: the receiver campaigns at once (thesis §3.10). */
export interface TimeoutNowMessage extends MessageBase {
  readonly type: 'timeout-now'
}
/** A follower forwards a request for a leadership transfer to its leader. */
export interface TransferRequestMessage extends MessageBase {
  readonly type: 'transfer-request'
  readonly target: ReplicaId | undefined
}
/** Proposals that a follower forwards. Only the leader of `term` may append them. In rising order of `seq`. */
export interface ForwardMessage extends MessageBase {
  readonly type: 'forward'
  readonly boot: number
  readonly proposals: readonly Proposal[]
}
/** Refusals of forwarded proposals, which are certainly not appended. Accepted ones appear in the log. */
export interface ForwardRefusedMessage extends MessageBase {
  readonly type: 'forward-refused'
  /** The term of the forward that is refused. */
  readonly meantFor: Term
  readonly refused: readonly { readonly seq: number; readonly refusal: Refusal }[]
}
/** A follower requests a read index (thesis §6.4). Its request ids are unique. */
export interface ReadIndexMessage extends MessageBase {
  readonly type: 'read-index'
  readonly request: number
  readonly leaderLease: boolean
}
export interface ReadIndexAnswerMessage extends MessageBase {
  readonly type: 'read-index-answer'
  readonly request: number
  /** undefined: refused. */
  readonly index: LogIndex | undefined
  readonly refusal: ReadRefusal | undefined
  /** Whether the read was confirmed by the leader's lease, without a round. */
  readonly leaderLease: boolean
  /** min(match, commit) for the receiver, so that it can apply without waiting for the next heartbeat. */
  readonly commit: LogIndex
}
/** The receiver's durable state is behind a state that `from` has seen. The receiver must stop (RAFT-19). */
export interface LostStateMessage extends MessageBase {
  readonly type: 'lost-state'
  readonly detail: string
}

export type Message =
  | AppendMessage
  | AppendAcceptedMessage
  | AppendRejectedMessage
  | HeartbeatMessage
  | HeartbeatAnswerMessage
  | VoteRequestMessage
  | VoteAnswerMessage
  | SnapshotMessage
  | TimeoutNowMessage
  | TransferRequestMessage
  | ForwardMessage
  | ForwardRefusedMessage
  | ReadIndexMessage
  | ReadIndexAnswerMessage
  | LostStateMessage

/** The content of a message without sender, receiver and term. */
export type MessageContent = ContentOf<Message>
type ContentOf<M> = M extends Message ? Omit<M, 'from' | 'to' | 'term'> : never

// ---------------------------------------------------------------------------------------------------------------------
// Inputs

/**
 * A proposal: a sealed frame (payload and its CRC in place, header still blank) that carries this process's (replica
 * id, boot, seq). `seq` is at least 1 and rises with each proposal of a process. Neither a seq nor a frame is reused.
 * `step` takes ownership of the frame, here and in a `forward` message: a leader stamps these bytes and keeps them in
 * its log. The caller must not change them, and may read the payload only. To propose a request again, the caller seals
 * it under a new seq, because a leader accepts no seq twice.
 */
export interface Proposal {
  readonly seq: number
  readonly frame: Uint8Array
}

export interface ReadRequest {
  /** Unique within the process. */
  readonly id: number
  /** Serve under the leader's lease if those are on; otherwise linearizable by a quorum round. */
  readonly leaderLease: boolean
}

/**
 * Every input carries `now`: the monotonic time, read *after* the process last waited for anything. It never decreases.
 */
export type Input = { readonly now: MonotonicMs } & (
  | { readonly kind: 'tick' }
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'propose'; readonly proposals: readonly Proposal[] }
  | { readonly kind: 'read'; readonly reads: readonly ReadRequest[] }
  /** Hand leadership to `to`, or to the most up-to-date voter. */
  | { readonly kind: 'transfer'; readonly to: ReplicaId | undefined }
  /**
   * All writes up to and including `write` are durable, and the terms and votes of all up to `termWrite`. Repeated to
   * report other progress of the disk.
   */
  | { readonly kind: 'stored'; readonly write: WriteNumber; readonly termWrite: WriteNumber }
  /** All committed entries up to and including `index` are applied. Sent right after each entry of a core kind. */
  | { readonly kind: 'applied'; readonly index: LogIndex }
  /**
   * A connection to `peer` is established; its handshake reported this durable state. The first one of a process (its
   * boot counter) precedes any message of that process, so that lost state is distinguishable from old messages.
   */
  | {
      readonly kind: 'connected'
      readonly peer: ReplicaId
      readonly boot: number
      readonly term: Term
      readonly lastIndex: LogIndex
    }
  /** The connection broke, and messages in flight may be lost. The driver tries to reconnect. */
  | { readonly kind: 'disconnected'; readonly peer: ReplicaId }
  /**
   * The connection broke, and reconnects were refused or failed for the grace time (20 ms). The peer's process is gone
   * or partitioned.
   */
  | { readonly kind: 'unreachable'; readonly peer: ReplicaId }
  /** The snapshot stream to `peer` ended. */
  | {
      readonly kind: 'snapshot-sent'
      readonly peer: ReplicaId
      readonly index: LogIndex
      readonly ok: boolean
    }
)

// ---------------------------------------------------------------------------------------------------------------------
// Outputs

/**
 * One atomic write to make durable, in the order of `number`. Order of effects: snapshot, truncation, entries, with the
 * hard state. A write carries a term, a vote, entries, a snapshot, or the commit index of an entry that leaves a joint
 * configuration. Any other commit index makes no write: it becomes durable with the next one (`Raft.hardState()` has
 * the newest for the driver's own batches).
 *
 * The newest term and vote may be stored ahead of the entries of waiting writes, the commit index may not.
 */
export interface Write {
  readonly number: WriteNumber
  readonly hardState: HardState
  /** First delete every entry with an index ≥ this one. */
  readonly truncateFrom: LogIndex | undefined
  readonly entries: readonly Entry[]
  /**
   * Switch to the applied state of this staged snapshot. With `keepLog` the log keeps the entries after it, otherwise
   * the log is dropped.
   */
  readonly snapshot:
    | { readonly meta: SnapshotMeta; readonly snapshotId: string; readonly keepLog: boolean }
    | undefined
}

/** A message, and what must be durable before it may leave. */
export interface OutboundMessage {
  readonly message: Message
  /** This write, and all before it; 0: none. */
  readonly after: WriteNumber
  /** Term and vote of this write; 0: none. */
  readonly afterTerm: WriteNumber
}

/** Reason for refusing a proposal before it was appended. It is certainly not written. */
export type Refusal =
  | { readonly reason: 'no-leader' }
  /** The receiver does not lead in the term of the proposal. */
  | { readonly reason: 'not-leader' }
  | { readonly reason: 'overloaded'; readonly detail: string }
  | { readonly reason: 'transferring' }
  | { readonly reason: 'too-large'; readonly detail: string }
  /** The disk of the leader is nearly full. */
  | { readonly reason: 'disk-full'; readonly detail: string }
  /** A membership change must wait, for example for another change to end. The caller may retry. */
  | { readonly reason: 'membership-pending'; readonly detail: string }
  /** A membership change that the rules do not allow; `detail` is a sentence for the operator. */
  | { readonly reason: 'membership'; readonly detail: string }

export type ReadRefusal = 'no-leader' | 'not-leader' | 'leadership-lost' | 'not-ready'

/**
 * The outcome of a proposal of this process. `committed` comes with the entry in `Output.committed`. `refused` and
 * `superseded` mean: certainly not applied, now or later; its request may be proposed again (under a new seq).
 * `unknown`: a snapshot replaced the entries that would show the outcome.
 */
export type ProposalOutcome =
  | { readonly seq: number; readonly outcome: 'committed'; readonly index: LogIndex }
  | { readonly seq: number; readonly outcome: 'refused'; readonly refusal: Refusal }
  | { readonly seq: number; readonly outcome: 'superseded' }
  | { readonly seq: number; readonly outcome: 'unknown' }

export type ReadOutcome =
  /** The read may be served once `index` is applied. */
  | {
      readonly id: number
      readonly outcome: 'confirmed'
      readonly index: LogIndex
      readonly leaderLease: boolean
    }
  /** The read was not confirmed; the caller may retry. */
  | { readonly id: number; readonly outcome: 'refused'; readonly refusal: ReadRefusal }

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader'

/** Reported when role, term or known leader changed in this step. */
export interface RoleChange {
  readonly role: Role
  readonly term: Term
  readonly leader: ReplicaId | undefined
  /** For the node's log: "election timeout", "message of term 7", "no quorum for 1000 ms", … */
  readonly why: string
}

/** A follower to which the driver sends a snapshot. */
export interface SnapshotRequest {
  readonly to: ReplicaId
  readonly atLeast: LogIndex
  readonly late: number
}

export interface Output {
  readonly write: Write | undefined
  readonly messages: readonly OutboundMessage[]
  /** The next entries to apply, in order, never twice in one process. */
  readonly committed: readonly Entry[]
  readonly outcomes: readonly ProposalOutcome[]
  readonly reads: readonly ReadOutcome[]
  /**
   * Followers whose next entry is compacted here. The driver streams each a snapshot of the applied state that ends at
   * `atLeast` or later. `late`: how many snapshots to it came too late for the log since it was last caught up.
   */
  readonly snapshots: readonly SnapshotRequest[]
  readonly transfer: { readonly outcome: 'done' | 'aborted' | 'refused'; readonly detail: string } | undefined
  readonly roleChange: RoleChange | undefined
  /** Message with which the node must stop, because it lost durable state that others have seen. */
  readonly fatal: string | undefined
}

/** Named limits; each is documented in docs/reference/limits.md. */
export interface RaftLimits {
  /** Bytes of frames in one append message. */
  readonly appendBytesMax: number
  /** Append messages in flight to one follower. */
  readonly inflightMessagesMax: number
  /** Bytes of frames in flight to one follower. */
  readonly inflightBytesMax: number
  /**
   * Bytes of frames in the log of this leader that are not committed, not on its own disk, or not applied yet. More are
   * refused as overloaded.
   */
  readonly uncommittedBytesMax: number
  /** The number of these entries. */
  readonly uncommittedEntriesMax: number
  /** Bytes of frames in `committed` that are not yet reported as applied. */
  readonly applyBytesMax: number
  /** Largest frame of one entry. */
  readonly entryBytesMax: number
  /** Bytes of frames that the core keeps in memory after they are durable, so that followers and apply need no read. */
  readonly tailBytesMax: number
}

/** How much of the log may wait for the disk of its replica. */
export interface DiskRoom {
  readonly bytes: number
  /** Number of entries. */
  readonly items: number
}

// ---------------------------------------------------------------------------------------------------------------------
// Decisions, for people who watch a core: the lab shows them as sentences. Nothing depends on them. A core without an
// observer makes none of these objects.

/** The end of a log: the newest entry. */
export interface LogEnd {
  readonly index: LogIndex
  readonly term: Term
}

/**
 * The reason why a replica refuses a vote.
 *
 * leader: it has heard a live leader lately, or leads (thesis §4.2.3); voted: it has given its vote of this term to
 * another replica, or knows the leader of this term (paper §5.2); log: its own log is newer (paper §5.4.1).
 */
export type VoteRefusal =
  | { readonly because: 'leader'; readonly leader: ReplicaId | undefined }
  | { readonly because: 'voted'; readonly for: ReplicaId | undefined }
  | { readonly because: 'log'; readonly own: LogEnd; readonly other: LogEnd }

export type Decision =
  /** Requests votes. `preVote`: it only asks whether it would get them (thesis §9.6). */
  | { readonly kind: 'campaign'; readonly term: Term; readonly preVote: boolean; readonly transfer: boolean }
  | {
      readonly kind: 'vote'
      readonly candidate: ReplicaId
      readonly term: Term
      readonly preVote: boolean
      /** undefined: granted. */
      readonly refusal: VoteRefusal | undefined
    }
  /** Has the votes of a majority (paper §5.2). */
  | { readonly kind: 'elected'; readonly term: Term; readonly votes: readonly ReplicaId[] }
  /** Ignores a message of an older term. A request is answered with its own term (paper §5.1). */
  | {
      readonly kind: 'old-term'
      readonly from: ReplicaId
      readonly type: Message['type']
      readonly term: Term
    }
  /** Takes over the newer term of a message (paper §5.1). */
  | {
      readonly kind: 'newer-term'
      readonly from: ReplicaId
      readonly type: Message['type']
      readonly term: Term
    }
  /** Ends a campaign: a majority has refused its votes, or its pre-votes (paper §5.2). */
  | { readonly kind: 'election-lost'; readonly term: Term; readonly preVote: boolean }
  /** As leader: has had no contact to a majority for this long, and leads no longer (thesis §6.2). */
  | { readonly kind: 'quorum-lost'; readonly term: Term; readonly silentMs: number }
  /**
   * Rejects an append, because its log has another entry, or none, before the new ones (paper §5.3). `own`: the term of
   * its entry there.
   */
  | {
      readonly kind: 'append-rejected'
      readonly leader: ReplicaId
      readonly previous: LogEnd
      readonly own: Term | undefined
    }
  /** Deletes the entries from `index` on: the leader of this term has others there (paper §5.3). */
  | {
      readonly kind: 'truncated'
      readonly leader: ReplicaId
      readonly index: LogIndex
      readonly last: LogIndex
    }
  /** As leader: the entries up to `index` are durable on a majority, and so committed (paper §5.3). */
  | { readonly kind: 'committed'; readonly index: LogIndex; readonly durableOn: readonly ReplicaId[] }
  /**
   * As leader: the entries up to `index` are durable on a majority, but no entry of its own term is among them. They
   * are committed together with the first of these (paper §5.4.2).
   */
  | { readonly kind: 'commit-waits'; readonly index: LogIndex; readonly term: Term }
  /** As leader: it has no longer the entries that a follower lacks, and sends a snapshot (paper §7). */
  | { readonly kind: 'snapshot'; readonly follower: ReplicaId; readonly atLeast: LogIndex }

// ---------------------------------------------------------------------------------------------------------------------
// A core and its state, for its node

export interface RaftOptions {
  readonly id: ReplicaId
  /** Raised, and made durable, at each start of the process. */
  readonly boot: number
  readonly hardState: HardState
  /** The recovered applied index, and the state at that index. */
  readonly appliedIndex: LogIndex
  readonly applied: AppliedRaftState
  /** The recovered latest cluster time; 0 for an empty store. */
  readonly clusterTimeMs: number
  readonly log: LogReader
  readonly limits: RaftLimits
  readonly timing: RaftTiming
  /**
   * The node's check of a command before this replica appends or forwards it, without side effects. Entries of the core
   * are not checked.
   */
  readonly commandRefusal: (frame: Uint8Array) => Refusal | undefined
  /**
   * Room for entries that wait for the disk: as many as it stores in `DISK_QUEUE_MAX` election timeouts, by the node's
   * measurement of its speed. Without side effects.
   */
  readonly diskRoom: (now: MonotonicMs) => DiskRoom
  /** A random number, uniform in [0, 1). */
  readonly random: () => number
  /** CRC-32 (IEEE) of `bytes`, for the few entries that the core makes itself. */
  readonly crc32: (bytes: Uint8Array) => number
  /** Called with each decision, in the step that makes it. It must not call the core. */
  readonly onDecision?: ((decision: Decision) => void) | undefined
  readonly now: MonotonicMs
}

/** Status of one follower for status pages and metrics; only on leaders. */
export interface ProgressStatus {
  readonly id: ReplicaId
  readonly state: 'probe' | 'replicate' | 'snapshot'
  readonly match: LogIndex
  readonly next: LogIndex
  readonly applied: LogIndex
  readonly inflightMessages: number
  readonly paused: boolean
  readonly recentlyActive: boolean
  /**
   * Snapshots that came too late since the follower was last caught up: when each was installed, the log after it was
   * compacted.
   */
  readonly lateSnapshots: number
}

/** The part of a leader's log that its followers still need. */
export interface NeededLog {
  /** Some follower needs the entries after this index. A snapshot in flight counts as received. */
  readonly after: LogIndex
  /** The most snapshots that came too late for one follower (`ProgressStatus`). */
  readonly lateSnapshots: number
}

/** Work in flight, by name: counts, bytes, and 1 for "yes". All are 0 at rest, which reveals leaks. */
export type InFlightCounts = Readonly<Record<string, number>>

export interface RaftStatus {
  readonly id: ReplicaId
  readonly role: Role
  readonly term: Term
  readonly vote: ReplicaId | undefined
  readonly leader: ReplicaId | undefined
  readonly commit: LogIndex
  readonly applied: LogIndex
  readonly firstIndex: LogIndex
  readonly lastIndex: LogIndex
  /** Last index of the own log that is durable. */
  readonly stableIndex: LogIndex
  readonly configuration: Configuration
  readonly leaderLeases: LeaderLeaseSetting
  readonly leaderLeaseValid: boolean
  readonly transferTarget: ReplicaId | undefined
  readonly progress: readonly ProgressStatus[]
  /** Whether this replica leads, or can forward proposals and reads to its leader. */
  readonly reachesLeader: boolean
  /** How long the oldest write has waited for the disk; 0 when none waits. */
  readonly oldestWriteMs: number
  /** Proven upper bound in ms on the staleness of the applied state; undefined when unknown. */
  readonly stalenessMs: number | undefined
}
