// The state machine of one replica. `step` takes one input, changes the state, and returns the work for the driver
// (README.md).
//
// This file has elections, the roles, and the follower's side of replication. `replication.ts` has the leader's side.
// Parts with a state of their own see this replica through `replica-view.ts`: `replication.ts`, `admission.ts`,
// `read-index.ts`, `transfer.ts` and `membership.ts`. State that only a leader has is in `leader-state.ts`.

import { assertNever, UnknownKindError } from '../bytes/index.ts'
import { Admission } from './admission.ts'
import {
  compareIds,
  decodeChange,
  decodeLeaderLeases,
  encodeChange,
  isMember,
  isVoter,
} from './configuration.ts'
import {
  BODY_AT,
  ENTRY_CONFIGURATION,
  ENTRY_KINDS_OF_CORE,
  ENTRY_LEADER_LEASES,
  ENTRY_NOOP,
  frameBody,
  frameClusterTimeMs,
  frameFlags,
  frameKind,
  newFrame,
  sealFrame,
  stampFrame,
} from './entry.ts'
import { Freshness } from './freshness.ts'
import { InvariantError, invariant } from './invariant.ts'
import { LeaderLeaseSettings } from './leader-lease.ts'
import { LeaderState } from './leader-state.ts'
import { RaftLog } from './log.ts'
import { Membership, memberName } from './membership.ts'
import { Peers } from './peers.ts'
import { Progress } from './progress.ts'
import { isPromise } from './promises.ts'
import { quorumValue, voteResult } from './quorum.ts'
import { ReadIndex } from './read-index.ts'
import type { ReplicaView } from './replica-view.ts'
import { Replication } from './replication.ts'
import { diskStalls, SLOW_DISK_MAX, timeForDisk } from './slow-disk.ts'
import { timingFault } from './timing.ts'
import { LeadershipTransfer } from './transfer.ts'
import type {
  AppendMessage,
  AppliedRaftState,
  Configuration,
  ConfigurationChange,
  Entry,
  HardState,
  HeartbeatMessage,
  InFlightCounts,
  Input,
  LeaderLeaseSetting,
  LogIndex,
  Message,
  MessageContent,
  MonotonicMs,
  NeededLog,
  OutboundMessage,
  Output,
  RaftLimits,
  RaftOptions,
  RaftStatus,
  RaftTiming,
  ReplicaId,
  Role,
  SnapshotMessage,
  SnapshotMeta,
  Term,
  VoteAnswerMessage,
  VoteRefusal,
  VoteRequestMessage,
  WriteNumber,
} from './types.ts'

export class Raft {
  readonly id: ReplicaId
  readonly #boot: number
  readonly #limits: RaftLimits
  readonly #timing: RaftTiming
  readonly #random: () => number
  readonly #crc32: (bytes: Uint8Array) => number
  readonly #diskRoom: RaftOptions['diskRoom']
  readonly #onDecision: RaftOptions['onDecision']

  #now: MonotonicMs
  #term: Term
  #vote: ReplicaId | undefined
  readonly #log: RaftLog
  readonly #membership: Membership
  readonly #leaderLeases: LeaderLeaseSettings
  /** Latest cluster time that this replica knows from sources other than its log. */
  #clusterTimeMs: number
  /** Time when the newest entry was appended or the newest snapshot installed. */
  #appendedAt: MonotonicMs

  #role: Role = 'follower'
  #leader: ReplicaId | undefined
  #lead: LeaderState | undefined
  #votes = new Map<ReplicaId, boolean>()
  /** Time of the last contact with a leader. At first the start of the process, which may have promised a lease. */
  #contactAt: MonotonicMs
  #electionAt: MonotonicMs
  #candidateSince: MonotonicMs = 0
  /** Time of the first vote since the last contact with a leader or the last leadership. */
  #electionsSince: MonotonicMs | undefined
  /**
   * End of the fail-over period. Until then elections are frequent, because the leader's process is known to be gone.
   */
  #failoverUntil: MonotonicMs = Number.NEGATIVE_INFINITY
  /**
   * End of the period after a TimeoutNow message of this term's leader (thesis §3.10). Until then this replica
   * campaigns as soon as it has applied all committed changes.
   */
  #timeoutNowUntil: MonotonicMs = Number.NEGATIVE_INFINITY

  readonly #replica: ReplicaView
  readonly #replication: Replication
  readonly #admission: Admission
  readonly #reads: ReadIndex
  readonly #transfer: LeadershipTransfer
  readonly #freshness: Freshness
  readonly #peers = new Peers()

  /** Number of the write with the newest term and vote, and of the newest write whose term and vote are durable. */
  #termWrite: WriteNumber = 0
  #storedTermWrite: WriteNumber = 0
  /** Index up to which the log is known to be equal to the log of this term's leader; 0 when nothing is known. */
  #matched = 0 as LogIndex
  #broken = false

  // The output of the current step.
  #hardStateChanged = false
  #messages: Message[] = []
  #why = ''
  #fatal: string | undefined

  constructor(options: RaftOptions) {
    const { id, boot, hardState, applied, appliedIndex, log, now } = options
    this.id = id
    this.#boot = boot
    this.#limits = options.limits
    this.#timing = options.timing
    this.#random = options.random
    this.#diskRoom = options.diskRoom
    this.#onDecision = options.onDecision
    this.#crc32 = options.crc32
    this.#now = now
    this.#term = hardState.term
    this.#vote = hardState.vote
    this.#log = new RaftLog(log, hardState.commit, appliedIndex)
    this.#leaderLeases = new LeaderLeaseSettings(applied.leaderLeases, appliedIndex)
    this.#clusterTimeMs = options.clusterTimeMs
    this.#appendedAt = now
    this.#freshness = new Freshness(now, boot)
    const replica = this.#createView()
    this.#replica = replica
    this.#membership = new Membership(replica, applied.configuration, appliedIndex)
    this.#replication = new Replication(replica, this.#membership, this.#peers, {
      confirmed: (origins, contact) => {
        this.#reads.confirmed(origins, contact.readIndex)
        this.#freshness.offer(contact, this.#log.visible)
      },
      acknowledged: (lead, follower) => this.#transfer.acknowledged(lead, follower),
    })
    const appliedTerm = this.#log.termAt(appliedIndex) ?? (0 as Term)
    this.#admission = new Admission(replica, this.#membership, options.commandRefusal, appliedTerm, {
      append: (frame, clusterTimeMs) => this.#stampAndAppend(frame, clusterTimeMs),
      replicate: (lead) => this.#replication.replicateToAll(lead),
    })
    this.#reads = new ReadIndex(replica, {
      beginRound: (lead, origins) => this.#replication.beginRound(lead, origins, 'voters'),
      commitFor: (follower) => this.#replication.commitFor(follower),
      learnCommit: (commit) => this.#advanceCommit(commit),
    })
    this.#transfer = new LeadershipTransfer(replica, {
      replicate: (follower) => this.#replication.replicate(follower, true),
      stepDown: (why) => this.#becomeFollower(this.#term, undefined, why),
    })
    const fault = timingFault(options.timing)
    invariant(fault === undefined, () => fault ?? '')
    invariant(
      this.#log.lastTerm <= this.#term,
      () => `the log ends with term ${this.#log.lastTerm}, but the stored term is ${this.#term}`,
    )
    this.#loadUnappliedCoreEntries()
    // A lease promise from before the restart may still be in force (RAFT-25).
    this.#contactAt = this.#leaderLeases.promiseMs > 0 ? now : Number.NEGATIVE_INFINITY
    this.#electionAt = now
    this.#armElection()
    this.#campaignIfSoleVoter()
  }

  get term(): Term {
    return this.#term
  }
  get role(): Role {
    return this.#role
  }
  get leader(): ReplicaId | undefined {
    return this.#leader
  }
  get commit(): LogIndex {
    return this.#log.commit
  }
  get applied(): LogIndex {
    return this.#log.applied
  }
  get lastIndex(): LogIndex {
    return this.#log.last
  }
  get configuration(): Configuration {
    return this.#membership.configuration
  }
  /**
   * Whether the last change is complete: a majority of the voters has applied it, so no election needs the removed
   * voters. The leader computes this and sends it with its heartbeats.
   */
  get settled(): boolean {
    return this.#membership.settled
  }
  get leaderLeases(): LeaderLeaseSetting {
    return this.#leaderLeases.applied
  }
  /** Bytes of frames that this process proposed and that have no outcome yet. */
  get proposedBytes(): number {
    return this.#admission.bytes
  }

  hardState(): HardState {
    return { term: this.#term, vote: this.#vote, commit: this.#log.commit }
  }

  appliedState(): AppliedRaftState {
    return { configuration: this.configuration, leaderLeases: this.#leaderLeases.applied }
  }

  /** Earliest time at which a tick can have an effect. The driver ticks then or later. */
  deadline(): MonotonicMs {
    if (this.#lead !== undefined) return Math.min(this.#lead.heartbeatAt, this.#lead.commitSendAt)
    return Math.min(this.#electionAt, this.#transfer.deadline, this.#reads.deadline)
  }

  /** Cluster time for the next entry; undefined unless this replica leads. */
  clusterTimeMs(now: MonotonicMs): number | undefined {
    return this.#lead?.clusterTimeMs(now)
  }

  /** Cluster time for the next entry on a leader, and a lower bound on the current cluster time elsewhere. */
  clusterTimeSeenMs(now: MonotonicMs): number {
    return this.#lead?.clusterTimeMs(now) ?? this.#timeSinceStampMs(now)
  }

  /** A lower bound on the current cluster time: the newest stamp seen plus the time since it arrived. */
  #timeSinceStampMs(now: MonotonicMs): number {
    const stamped = Math.max(this.#clusterTimeMs, this.#log.lastClusterTimeMs() ?? 0)
    return stamped + Math.floor(now - this.#appendedAt)
  }

  /** Proven upper bound on the staleness of the applied state at `now`; undefined when unknown. */
  stalenessMs(now: MonotonicMs): number | undefined {
    const { freshAt } = this.#freshness
    return freshAt === undefined ? undefined : Math.max(0, now - freshAt)
  }

  /**
   * The part of the leader's log that reachable followers still need. On other replicas, and if no follower needs
   * anything, the index is the end of the log.
   */
  get needed(): NeededLog {
    const activeSince = this.#now - this.#timing.electionMaxMs
    let after = this.#log.last
    let lateSnapshots = 0
    for (const { lastContactAt, holds, lateSnapshots: late } of this.#lead?.followers ?? []) {
      if (lastContactAt <= activeSince) continue
      lateSnapshots = Math.max(lateSnapshots, late)
      // Without the entry after that one, it needs a snapshot, and then no log before the end of the snapshot.
      if (holds >= this.#log.first - 1 && holds < after) after = holds
    }
    return { after, lateSnapshots }
  }

  status(): RaftStatus {
    const activeSince = this.#now - this.#timing.electionMaxMs
    return {
      id: this.id,
      role: this.#role,
      term: this.#term,
      vote: this.#vote,
      leader: this.#leader,
      commit: this.#log.commit,
      applied: this.#log.applied,
      firstIndex: this.#log.first,
      lastIndex: this.#log.last,
      stableIndex: this.#log.stable,
      configuration: this.configuration,
      leaderLeases: this.#leaderLeases.applied,
      leaderLeaseValid: this.#lead !== undefined && this.#reads.leaderLeaseHolds(this.#lead),
      transferTarget: this.#lead?.transfer?.target,
      progress: this.#lead?.followers.map((follower) => follower.status(activeSince)) ?? [],
      reachesLeader: this.#lead !== undefined || this.#replica.reachableLeader !== undefined,
      oldestWriteMs: this.#log.oldestWriteMs(this.#now),
      stalenessMs: this.stalenessMs(this.#now),
    }
  }

  /** Whether a snapshot is being written to the disk. Until it is durable, readers see the older state. */
  get installing(): boolean {
    return this.#log.installing
  }

  /** Reason to refuse a snapshot that ends at `index` and comes from the leader of `term`; undefined to accept it. */
  snapshotRefusal(term: Term, index: LogIndex): string | undefined {
    if (term < this.#term) return `term ${term} is over, this is term ${this.#term}`
    if (index <= this.#log.commit) return `index ${index} is already committed here`
    // Storage stages one snapshot at a time. The complete one there is not durable yet.
    if (this.#log.installing) return 'another snapshot is being installed here'
    return undefined
  }

  /** Counts of work in flight. All are 0 at rest; those of a follower (`… of <id>`) only if it responds. */
  inspect(): InFlightCounts {
    const lead = this.#lead
    // The leader's counts appear in every role, to reveal work that a former leader left behind.
    const inFlight: Record<string, number> = {
      votes: this.#votes.size,
      proposals: this.#admission.size,
      proposedBytes: this.#admission.bytes,
      forwardedBytes: this.#admission.forwardedBytes,
      pendingReads: this.#reads.pending,
      pendingTransfer: Number(this.#transfer.isPending),
      unappliedChanges: this.#membership.unapplied.size,
      unappliedLeaderLeases: this.#leaderLeases.unapplied,
      readers: lead?.rounds.readers ?? 0,
      earlyReads: lead?.earlyReads.length ?? 0,
      leaderLeaseRounds: lead?.leaderLease.openRounds ?? 0,
      transfer: Number(lead?.transfer !== undefined),
      retiring: Number(lead?.retirement !== undefined),
      ...this.#log.inspect(),
    }
    if (lead === undefined) return inFlight
    const activeSince = this.#now - this.#timing.electionMaxMs
    for (const { id, lastContactAt, inflight, state, probing } of lead.followers) {
      if (lastContactAt <= activeSince) continue
      inFlight[`inflightMessages of ${id}`] = inflight.messages
      inFlight[`inflightBytes of ${id}`] = inflight.bytes
      inFlight[`notReplicating of ${id}`] = Number(state !== 'replicate' || probing)
    }
    return inFlight
  }

  /** The view of this replica that its parts share. */
  #createView(): ReplicaView {
    const raft = this
    return {
      id: raft.id,
      boot: raft.#boot,
      limits: raft.#limits,
      timing: raft.#timing,
      log: raft.#log,
      leaderLeases: raft.#leaderLeases,
      diskRoom: raft.#diskRoom,
      onDecision: raft.#onDecision,
      get configuration() {
        return raft.configuration
      },
      get now() {
        return raft.#now
      },
      get term() {
        return raft.#term
      },
      get leader() {
        return raft.#leader
      },
      get reachableLeader() {
        const leader = raft.#leader
        if (leader === undefined || raft.#peers.isDisconnected(leader)) return undefined
        // Its disk takes nothing more, so it would not learn what becomes of a proposal.
        return diskStalls(this) && raft.#room === 0 ? undefined : leader
      },
      get visibleCommit() {
        return raft.#visibleCommit
      },
      get lead() {
        return raft.#lead
      },
      send: (to, content) => raft.#send(to, content),
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Steps

  step(input: Input): Output {
    invariant(!this.#broken, () => 'this core has stopped and takes no further step')
    invariant(input.now >= this.#now, () => `monotonic time went back from ${this.#now} to ${input.now}`)
    // An exception leaves the state inconsistent, so no further step is possible.
    this.#broken = true
    this.#now = input.now
    const before = { role: this.#role, term: this.#term, leader: this.#leader, commit: this.#visibleCommit }
    this.#dispatch(input)
    if (this.#lead !== undefined) this.#afterLeaderStep(this.#lead, before.commit)
    const committed = this.#takeCommitted()
    const output = this.#finish(before, committed)
    this.#broken = output.fatal !== undefined
    return output
  }

  #dispatch(input: Input): void {
    switch (input.kind) {
      case 'tick':
        this.#tick()
        return
      case 'message':
        this.#receive(input.message)
        return
      case 'propose':
        this.#admission.propose(input.proposals)
        return
      case 'read':
        this.#reads.read(input.reads)
        return
      case 'transfer':
        this.#transfer.request(input.to)
        return
      case 'stored':
        this.#stored(input.write, input.termWrite)
        return
      case 'applied':
        this.#appliedTo(input.index)
        return
      case 'connected':
        this.#connected(input.peer, input.boot, input.term, input.lastIndex)
        return
      case 'disconnected':
        this.#disconnected(input.peer)
        return
      case 'unreachable':
        this.#unreachable(input.peer)
        return
      case 'snapshot-sent':
        this.#snapshotSent(input.peer, input.index, input.ok)
        return
      default:
        assertNever(input)
        return
    }
  }

  #takeCommitted(): readonly Entry[] {
    const committed = this.#log.takeCommitted(this.#limits.applyBytesMax, this.#visibleCommit)
    const last = committed.at(-1)
    if (last !== undefined) {
      this.#admission.committed(committed)
      this.#clusterTimeMs = Math.max(this.#clusterTimeMs, frameClusterTimeMs(last.frame))
    }
    return committed
  }

  #finish(
    before: { role: Role; term: Term; leader: ReplicaId | undefined },
    committed: readonly Entry[],
  ): Output {
    const mustStore = this.#hardStateChanged || this.#mustStoreCommit()
    const write = this.#log.takeWrite(this.hardState(), mustStore, this.#now)
    if (write !== undefined && this.#hardStateChanged) this.#termWrite = write.number
    const changed = before.role !== this.#role || before.term !== this.#term || before.leader !== this.#leader
    const output: Output = {
      write,
      messages: this.#messages.map((message) => this.#outboundMessage(message)),
      committed,
      outcomes: this.#admission.takeOutcomes(),
      reads: this.#reads.takeOutcomes(),
      snapshots: this.#replication.takeSnapshots(),
      transfer: this.#transfer.takeOutcome(),
      roleChange: changed
        ? { role: this.#role, term: this.#term, leader: this.#leader, why: this.#why }
        : undefined,
      fatal: this.#fatal,
    }
    this.#hardStateChanged = false
    this.#messages = []
    this.#why = ''
    return output
  }

  /** Whether the entry that leaves a joint configuration is committed, but no write contains that commit index yet. */
  #mustStoreCommit(): boolean {
    const leave = this.#membership.unapplied.leavesJointAfter(this.#log.writtenCommit)
    return leave !== undefined && leave <= this.#log.commit
  }

  /**
   * The commit index for other replicas and for apply. Once this replica treats a joint configuration as left, the
   * removed voters may stop. If it forgot this in a crash, it could wait without end for their votes. So the commit
   * index of the entry that leaves the joint configuration must be durable first.
   */
  get #visibleCommit(): LogIndex {
    const { commit, storedCommit } = this.#log
    const leave = this.#membership.unapplied.leavesJointAfter(storedCommit)
    return leave !== undefined && leave <= commit ? ((leave - 1) as LogIndex) : commit
  }

  /** Names what must be durable before the message may leave (RAFT-2, RAFT-3). */
  #outboundMessage(message: Message): OutboundMessage {
    const after = message.type === 'append-accepted' ? this.#log.writeCovering(message.index) : 0
    return { message, after, afterTerm: isPromise(message) ? this.#termWrite : 0 }
  }

  #send(to: ReplicaId, content: MessageContent, term = this.#term): void {
    // Replication state is valid only for a replica that kept its durable state. A process that lost state receives
    // only a lost-state message.
    const lost = this.#peers.lostState(to)
    if (lost !== undefined) this.#reportLostState(to, lost)
    else this.#messages.push({ ...content, from: this.id, to, term })
  }

  #reportLostState(to: ReplicaId, detail: string): void {
    this.#messages.push({ type: 'lost-state', from: this.id, to, term: this.#term, detail })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Time

  #tick(): void {
    this.#reads.expire()
    this.#transfer.expire()
    if (this.#lead !== undefined) this.#tickLeader(this.#lead)
    else if (this.#now >= this.#electionAt) this.#startCampaign()
  }

  #tickLeader(lead: LeaderState): void {
    this.#replication.sendDueCommits(lead)
    if (this.#now < lead.heartbeatAt) return
    // Check-quorum (thesis §6.2): a leader without contact to a majority steps down.
    const { electionMaxMs, heartbeatMs } = this.#timing
    const quorumContactAt = quorumValue(this.configuration, (id) =>
      id === this.id ? this.#now : Math.max(lead.progress.get(id)?.lastContactAt ?? 0, lead.electedAt),
    )
    if (this.#now - quorumContactAt >= electionMaxMs) {
      const silentMs = Math.round(this.#now - quorumContactAt)
      this.#onDecision?.({ kind: 'quorum-lost', term: this.#term, silentMs })
      this.#becomeFollower(this.#term, undefined, `no quorum for ${silentMs} ms`)
      return
    }
    this.#replication.abandonLateSnapshots(lead)
    lead.heartbeatAt = this.#now + heartbeatMs
    this.#settle(lead)
    this.#replication.beginRound(lead, [], 'all')
    this.#transfer.tick(lead)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Messages

  #receive(message: Message): void {
    // Ignore messages for another replica at this address, and messages that returned to their sender.
    if (message.to !== this.id || message.from === this.id) return
    if (message.type === 'lost-state') {
      this.#fatal = message.detail
      return
    }
    const lost = this.#peers.lostState(message.from)
    if (lost !== undefined) {
      this.#reportLostState(message.from, lost)
      return
    }
    if (isPromise(message)) this.#peers.sawTerm(message.from, message.term)
    if (message.type === 'snapshot') {
      this.#onSnapshot(message)
      return
    }
    if (message.term > this.#term && !this.#acceptsTerm(message)) return
    if (message.term < this.#term) {
      this.#onOldTerm(message)
      return
    }
    switch (message.type) {
      case 'append':
        this.#onAppend(message)
        return
      case 'append-accepted':
        this.#replication.onAccepted(message)
        return
      case 'append-rejected':
        this.#replication.onRejected(message)
        return
      case 'heartbeat':
        this.#onHeartbeat(message)
        return
      case 'heartbeat-answer':
        this.#replication.onHeartbeatAnswer(message)
        return
      case 'vote-request':
      case 'pre-vote-request':
        this.#onVoteRequest(message)
        return
      case 'vote-answer':
      case 'pre-vote-answer':
        this.#onVoteAnswer(message)
        return
      case 'timeout-now':
        this.#onTimeoutNow()
        return
      case 'transfer-request':
        this.#transfer.onRequest(message)
        return
      case 'forward':
        this.#admission.onForward(message)
        return
      case 'forward-refused':
        this.#admission.onForwardRefused(message)
        return
      case 'read-index':
        this.#reads.onRequest(message)
        return
      case 'read-index-answer':
        this.#reads.onAnswer(message)
        return
      default:
        assertNever(message)
        return
    }
  }

  /**
   * A higher term turns every replica into a follower (paper §5.1). Exceptions: pre-votes, and vote requests while a
   * leader is live.
   */
  #acceptsTerm(message: Message): boolean {
    switch (message.type) {
      case 'pre-vote-request':
        return true
      case 'pre-vote-answer':
        if (message.granted) return true
        break
      case 'vote-request':
        // Stickiness (thesis §4.2.3): a removed or partitioned replica must not depose a live leader.
        if (!message.transfer && this.#hasLiveLeader()) {
          this.#decidedVote(message, { because: 'leader', leader: this.#leader })
          return false
        }
        break
      case 'append':
      case 'heartbeat':
        this.#becomeFollower(message.term, message.from, `message from the leader of term ${message.term}`)
        return true
    }
    const { from, type, term } = message
    this.#onDecision?.({ kind: 'newer-term', from, type, term })
    this.#becomeFollower(term, undefined, `message of term ${term}`)
    return true
  }

  /**
   * Responds with the current term, because the sender is behind. Otherwise a candidate in a higher term could not
   * rejoin (etcd, check-quorum with pre-vote).
   */
  #onOldTerm(message: Message): void {
    const { from, type, term } = message
    if (type !== 'forward' && type !== 'read-index')
      this.#onDecision?.({ kind: 'old-term', from, type, term })
    switch (message.type) {
      case 'append':
      case 'heartbeat': {
        // Round 0, so that a sender that leads a newer term by now does not count this response as one of that term.
        const { last, visible: applied } = this.#log
        const nothing = {
          round: 0,
          sentAt: this.#freshness.stamp(this.#now),
          applied,
          matched: 0 as LogIndex,
          room: 0,
          lastIndex: last,
        }
        this.#send(message.from, { type: 'heartbeat-answer', ...nothing })
        return
      }
      case 'vote-request':
        this.#send(message.from, { type: 'vote-answer', granted: false, ...this.#commitPoint() })
        return
      case 'pre-vote-request':
        this.#send(message.from, { type: 'pre-vote-answer', granted: false, ...this.#commitPoint() })
        return
      case 'forward':
        this.#admission.onForward(message)
        return
      case 'read-index':
        this.#reads.onRequest(message)
        return
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Elections (paper §5.2, §5.4.1; pre-vote: thesis §9.6)

  /** Whether the last contact with a leader is so recent that no other replica should be elected. */
  #hasLiveLeader(): boolean {
    if (this.#role === 'leader') return true
    const sticky = this.#leader !== undefined && this.#now - this.#contactAt < this.#timing.electionMinMs
    return sticky || this.#isBoundByLeaderLease()
  }

  /**
   * Whether a lease promise is in force, even without a known leader. Then this replica neither votes nor campaigns.
   */
  #isBoundByLeaderLease(): boolean {
    return this.#now - this.#contactAt < this.#leaderLeases.promiseMs
  }

  #startCampaign(): void {
    const blocker =
      this.#campaignBlocker() ??
      (this.#isBoundByLeaderLease() ? 'bound to a leader by the lease setting' : undefined)
    if (blocker === undefined) {
      // While term or vote is being written, the vote of another term would only wait behind that write.
      if (this.#termWrite > this.#storedTermWrite) this.#armElection(this.#timing.failoverDelayMaxMs)
      else this.#startPreVote()
      return
    }
    this.#becomeFollower(this.#term, undefined, `election timeout, but no candidate: ${blocker}`)
    this.#armElection()
  }

  #campaignBlocker(): string | undefined {
    if (!isVoter(this.configuration, this.id)) return 'not a voter'
    // A configuration takes effect when it is applied. Until then votes could be counted by an old configuration
    // (RAFT-18).
    if ((this.#membership.unapplied.oldest ?? Number.POSITIVE_INFINITY) <= this.#log.commit) {
      return 'a committed change of the configuration is not applied'
    }
    if (diskStalls(this.#replica)) return 'own disk stalls'
    return undefined
  }

  #startPreVote(): void {
    this.#role = 'pre-candidate'
    this.#setLeader(undefined)
    this.#why = 'election timeout'
    this.#requestVotes('pre-vote-request', (this.#term + 1) as Term, false)
    this.#votes.set(this.id, true)
    this.#countVotes()
  }

  #startElection(transfer: boolean): void {
    this.#setTerm((this.#term + 1) as Term)
    this.#vote = this.id
    this.#role = 'candidate'
    this.#candidateSince = this.#now
    this.#electionsSince ??= this.#now
    this.#setLeader(undefined)
    this.#why = transfer ? 'the leader requested a transfer' : 'won the pre-vote'
    this.#requestVotes('vote-request', this.#term, transfer)
    // The own vote counts once it is durable (`#stored`), like any other vote.
  }

  #requestVotes(type: 'vote-request' | 'pre-vote-request', term: Term, transfer: boolean): void {
    this.#onDecision?.({ kind: 'campaign', term, preVote: type === 'pre-vote-request', transfer })
    this.#votes = new Map()
    // A vote waits for disks, a pre-vote only for messages.
    const { failoverDelayMaxMs } = this.#timing
    if (type === 'vote-request') this.#armElection(2 * failoverDelayMaxMs, this.#electionSpacingMs())
    else this.#armElection(failoverDelayMaxMs)
    const { voters, votersOutgoing } = this.configuration
    const { last: lastIndex, lastTerm } = this.#log
    for (const to of [...new Set([...voters, ...votersOutgoing])].sort(compareIds)) {
      if (to !== this.id) this.#send(to, { type, lastIndex, lastTerm, transfer }, term)
    }
  }

  /**
   * Ignores this replica's own configuration, which may be old. The candidate decides whether the vote counts (raft-rs
   * 57).
   */
  #onVoteRequest(message: VoteRequestMessage): void {
    const { from, term, lastIndex, lastTerm, transfer } = message
    const pre = message.type === 'pre-vote-request'
    const sticky = !transfer && this.#hasLiveLeader()
    if (sticky && term > this.#term) {
      this.#decidedVote(message, { because: 'leader', leader: this.#leader })
      return
    }
    const free = this.#vote === from || (this.#vote === undefined && this.#leader === undefined)
    const upToDate =
      lastTerm > this.#log.lastTerm || (lastTerm === this.#log.lastTerm && lastIndex >= this.#log.last)
    const granted = !sticky && upToDate && (free || (pre && term > this.#term))
    if (this.#onDecision !== undefined) {
      const other = { index: lastIndex, term: lastTerm }
      const refusal: VoteRefusal = sticky
        ? { because: 'leader', leader: this.#leader }
        : upToDate
          ? { because: 'voted', for: this.#vote ?? this.#leader }
          : { because: 'log', own: { index: this.#log.last, term: this.#log.lastTerm }, other }
      this.#decidedVote(message, granted ? undefined : refusal)
    }
    if (pre) {
      const answer = { type: 'pre-vote-answer', granted, ...this.#commitPoint() } as const
      this.#send(from, answer, granted ? term : this.#term)
      // When two replicas lose their leader together, only one should become a candidate. The other waits, even if the
      // first does not win.
      if (granted && this.#now < this.#failoverUntil) {
        const pauseMs = this.#timing.failoverDelayMaxMs * (1 + this.#random())
        this.#electionAt = Math.max(this.#electionAt, this.#now + pauseMs)
      }
      return
    }
    if (granted) {
      if (this.#vote !== from) {
        invariant(this.#vote === undefined, () => `a second vote in term ${this.#term}, for ${from}`)
        this.#vote = from
        this.#hardStateChanged = true
        this.#electionsSince ??= this.#now
      }
      this.#armElection(0, this.#electionSpacingMs())
    }
    this.#send(from, { type: 'vote-answer', granted, ...this.#commitPoint() })
  }

  #decidedVote({ type, from, term }: VoteRequestMessage, refusal: VoteRefusal | undefined): void {
    const preVote = type === 'pre-vote-request'
    this.#onDecision?.({ kind: 'vote', candidate: from, term, preVote, refusal })
  }

  #commitPoint(): { readonly commit: LogIndex; readonly commitTerm: Term } {
    const commit = this.#visibleCommit
    return { commit, commitTerm: this.#log.termAt(commit) ?? (0 as Term) }
  }

  #onVoteAnswer({ type, from, term, granted, commit, commitTerm }: VoteAnswerMessage): void {
    // The responder may be the only reachable replica with this commit index. A demoted voter with a longer log refuses
    // its vote and knows of its demotion. A voter with a shorter log grants its vote and knows that the removed voters,
    // which have stopped, are no longer needed.
    const isNewer = commit > this.#log.commit && this.#log.matches(commit, commitTerm)
    if (isNewer && this.#lead === undefined) {
      this.#log.commitTo(commit)
      this.#abandonCampaign()
    }
    const expectedRole = type === 'pre-vote-answer' ? 'pre-candidate' : 'candidate'
    // A granted pre-vote carries the term of the election that would follow.
    const expected = type === 'pre-vote-answer' && granted ? this.#term + 1 : this.#term
    if (this.#role !== expectedRole || term !== expected) return
    if (!this.#votes.has(from)) this.#votes.set(from, granted)
    this.#countVotes()
  }

  /** Ends a campaign if the new commit index covers a change that must be applied before votes are counted. */
  #abandonCampaign(): void {
    const blocker = this.#campaignBlocker()
    if (this.#role === 'follower' || blocker === undefined) return
    this.#becomeFollower(this.#term, undefined, `no candidate any more: ${blocker}`)
    this.#armElection(this.#timing.failoverDelayMaxMs)
  }

  #countVotes(): void {
    const result = voteResult(this.configuration, this.#votes)
    if (result === 'won') {
      if (this.#role === 'candidate') this.#becomeLeader()
      else this.#startElection(false)
    } else if (result === 'lost') {
      const preVote = this.#role !== 'candidate'
      const what = preVote ? 'pre-vote' : 'election'
      this.#onDecision?.({ kind: 'election-lost', term: this.#term, preVote })
      this.#becomeFollower(this.#term, undefined, `lost the ${what}`)
      this.#armElection(this.#timing.failoverDelayMaxMs)
    }
  }

  #onTimeoutNow(): void {
    if (this.#role === 'leader') return
    this.#timeoutNowUntil = this.#now + this.#timing.electionMinMs
    this.#campaignForTransfer()
  }

  /** Campaigns for a leadership transfer, without a pre-vote: the leader itself requests it (thesis §3.10). */
  #campaignForTransfer(): void {
    if (this.#now >= this.#timeoutNowUntil || this.#campaignBlocker() !== undefined) return
    this.#startElection(true)
  }

  /** Lets a sole voter campaign at once, or as soon as its lease promise is over. */
  #campaignIfSoleVoter(): void {
    const { voters, votersOutgoing } = this.configuration
    if (voters.length !== 1 || voters[0] !== this.id || votersOutgoing.length > 0) return
    this.#electionAt = Math.max(this.#now, this.#contactAt + this.#leaderLeases.promiseMs)
  }

  /**
   * Draws the next election timeout.
   *
   * `campaignMsMin`: shortest duration of a campaign. During a fail-over the timeout is this duration and a random
   * part, so that a split vote does not cost a whole election timeout. `spacingMs`: approximate time until the next
   * election otherwise. The random part grows with it, so that two concurrent candidates do not collide again.
   */
  #armElection(campaignMsMin = 0, spacingMs = this.#timing.electionMinMs): void {
    const { electionMinMs, electionMaxMs, failoverDelayMaxMs } = this.#timing
    const random = this.#random()
    const delay =
      campaignMsMin > 0 && this.#now < this.#failoverUntil
        ? campaignMsMin * (1 + random)
        : Math.max(campaignMsMin, electionMinMs, spacingMs / 2) +
          random * Math.max(electionMaxMs - electionMinMs, spacingMs)
    // The lease promises of all replicas end at the same time. The random part keeps them from campaigning together.
    const boundUntil = this.#contactAt + this.#leaderLeases.promiseMs + random * failoverDelayMaxMs
    this.#electionAt = Math.max(this.#now + delay, boundUntil)
  }

  /**
   * Backoff between elections: the time since the first one without a winner, within limits. Some disks may be slower
   * than elections, and each election costs them another write. The number of elections is no measure, because slow
   * messages cause many elections in one fail-over.
   */
  #electionSpacingMs(): number {
    const { electionMinMs, electionMaxMs } = this.#timing
    const sinceMs = this.#now - (this.#electionsSince ?? this.#now)
    return Math.max(electionMinMs, Math.min(sinceMs, SLOW_DISK_MAX * electionMaxMs))
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Roles

  #setTerm(term: Term): void {
    invariant(term > this.#term, () => `the term is to go from ${this.#term} to ${term}`)
    this.#term = term
    this.#vote = undefined
    this.#matched = 0 as LogIndex
    this.#hardStateChanged = true
    this.#timeoutNowUntil = Number.NEGATIVE_INFINITY
  }

  #setLeader(leader: ReplicaId | undefined): void {
    if (leader === this.#leader) return
    this.#leader = leader
    this.#reads.refusePending(leader === undefined ? 'no-leader' : 'leadership-lost')
    if (leader !== undefined) this.#transfer.onLeader(leader)
  }

  #becomeFollower(term: Term, leader: ReplicaId | undefined, why: string): void {
    if (term !== this.#term) this.#setTerm(term)
    const oldRole = this.#role
    const lost = this.#lead
    this.#lead = undefined
    if (lost !== undefined) this.#reads.leadershipLost(lost)
    this.#role = 'follower'
    this.#votes = new Map()
    this.#setLeader(leader)
    this.#why = why
    // A follower keeps its timeout, because neither a refused vote nor a higher term is leader contact (paper §5.2).
    if (oldRole !== 'follower') this.#armElection()
  }

  #becomeLeader(): void {
    this.#role = 'leader'
    this.#onDecision?.({
      ...{ kind: 'elected', term: this.#term },
      votes: [...this.#votes].flatMap(([id, granted]) => (granted ? [id] : [])),
    })
    this.#votes = new Map()
    this.#failoverUntil = Number.NEGATIVE_INFINITY
    this.#electionsSince = undefined
    this.#setLeader(this.id)
    this.#why = 'won the election'
    this.#clusterTimeMs = this.#timeSinceStampMs(this.#now)
    const firstIndex = (this.#log.last + 1) as LogIndex
    const lead = new LeaderState(this.#now, firstIndex, this.#clusterTimeMs, this.#timing.heartbeatMs)
    this.#lead = lead
    this.#admission.elected()
    this.#trackMembers(lead)
    // This entry commits everything before it (paper §5.4.2, §8).
    this.#appendOwn(lead, ENTRY_NOOP, new Uint8Array(0))
    for (const follower of lead.followers) this.#replication.replicate(follower, true)
  }

  /**
   * Makes the tracked followers match the members of the applied configuration. Removed ones stay until a majority of
   * the voters has applied their removal.
   */
  #trackMembers(lead: LeaderState): void {
    let changed = false
    for (const [id, follower] of lead.progress) {
      if (isMember(this.configuration, id) || !this.settled) continue
      // The last heartbeat informs it of its removal.
      this.#replication.sendHeartbeat(follower, 0)
      lead.progress.delete(id)
      changed = true
    }
    for (const { id } of this.configuration.members) {
      if (id === this.id || lead.progress.has(id)) continue
      lead.progress.set(id, new Progress(id, this.#log.last, this.#now, this.#limits))
      changed = true
    }
    if (changed) lead.followers = [...lead.progress.values()].sort((a, b) => compareIds(a.id, b.id))
  }

  #settle(lead: LeaderState): void {
    const reached = quorumValue(this.configuration, (id) =>
      id === this.id ? this.#log.visible : (lead.progress.get(id)?.applied ?? 0),
    )
    this.#membership.majorityApplied(reached)
    if (this.settled) this.#trackMembers(lead)
  }

  /** Actions that any step of a leader may enable. */
  #afterLeaderStep(lead: LeaderState, commitBefore: LogIndex): void {
    if (!this.settled) this.#settle(lead)
    if (this.#visibleCommit > commitBefore) {
      for (const follower of lead.followers) this.#replication.propagateCommit(lead, follower)
      this.#reads.serveEarly(lead)
    }
    if (lead.retirement !== undefined) {
      this.#transfer.retire(lead, lead.retirement, this.settled)
      return
    }
    const change = this.#membership.ownChange(lead)
    if (change !== undefined) this.#appendChange(lead, change)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Replication, the follower's side (paper §5.3)

  #leaderContact(from: ReplicaId): void {
    invariant(
      this.#leader === undefined || this.#leader === from,
      () => `two leaders in term ${this.#term}: ${this.#leader} and ${from}`,
    )
    if (this.#leader === undefined) {
      this.#becomeFollower(this.#term, from, `message from the leader of term ${this.#term}`)
      this.#admission.resendForwarded(from)
    }
    this.#contactAt = this.#now
    this.#failoverUntil = Number.NEGATIVE_INFINITY
    this.#electionsSince = undefined
    this.#armElection()
  }

  #onAppend(message: AppendMessage): void {
    const { from, prevIndex, prevTerm, entries, round } = message
    this.#leaderContact(from)
    if (prevIndex < this.#log.commit) {
      this.#accept(from, this.#log.commit, round)
      return
    }
    if (!this.#log.matches(prevIndex, prevTerm)) {
      this.#reject(message)
      return
    }
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at]
      if (entry === undefined || entry.index !== prevIndex + 1 + at || entry.term > this.#term) {
        throw new InvariantError(
          `an append of term ${this.#term} after ${prevIndex} holds a wrong entry at ${at}`,
        )
      }
      // Only a conflict deletes entries, because an append may arrive after later ones (paper §5.3).
      if (entry.index <= this.#log.last) {
        if (this.#log.matches(entry.index, entry.term)) continue
        this.#onDecision?.({ kind: 'truncated', leader: from, index: entry.index, last: this.#log.last })
        this.#truncate(entry.index)
      }
      this.#append(entry)
    }
    const verified = (prevIndex + entries.length) as LogIndex
    if (verified > this.#matched) this.#matched = verified
    const commit = Math.min(message.commit, verified) as LogIndex
    if (commit > this.#log.commit) this.#log.commitTo(commit)
    this.#accept(from, verified, round)
  }

  #accept(to: ReplicaId, index: LogIndex, round: number): void {
    this.#send(to, {
      type: 'append-accepted',
      index,
      round,
      sentAt: this.#freshness.stamp(this.#now),
      applied: this.#log.visible,
    })
  }

  #reject({ from, prevIndex, prevTerm, round }: AppendMessage): void {
    const hint = this.#log.findConflictByTerm(prevIndex, prevTerm)
    this.#onDecision?.({
      ...{ kind: 'append-rejected', leader: from, previous: { index: prevIndex, term: prevTerm } },
      own: this.#log.termAt(prevIndex),
    })
    this.#send(from, {
      type: 'append-rejected',
      index: prevIndex,
      hintIndex: hint.index,
      hintTerm: hint.term,
      lastIndex: this.#log.last,
      round,
      sentAt: this.#freshness.stamp(this.#now),
    })
  }

  #onHeartbeat({ from, commit, round, confirmed, appliedByMajority }: HeartbeatMessage): void {
    this.#leaderContact(from)
    this.#membership.majorityApplied(appliedByMajority)
    this.#advanceCommit(commit)
    if (confirmed !== undefined) this.#freshness.echoed(confirmed, this.#now, this.#log.visible)
    if (round === 0) return
    this.#send(from, {
      type: 'heartbeat-answer',
      round,
      sentAt: this.#freshness.stamp(this.#now),
      applied: this.#log.visible,
      matched: this.#matched,
      room: this.#room,
      lastIndex: this.#log.last,
    })
  }

  /** Bytes that this replica takes from its leader beyond those that it has. An idle disk always takes an entry. */
  get #room(): number {
    const { bytes, items } = this.#diskRoom(this.#now)
    const { undurable } = this.#log
    const room =
      undurable.items < items ? Math.min(bytes, this.#limits.uncommittedBytesMax) - undurable.bytes : 0
    return Math.max(undurable.items === 0 ? 1 : 0, Math.floor(room))
  }

  /** Takes a commit index from the leader, which has limited it to acknowledged entries. */
  #advanceCommit(commit: LogIndex): void {
    if (commit <= this.#log.commit) return
    const { last } = this.#log
    if (commit <= last) this.#log.commitTo(commit)
    else
      this.#fatal = `the leader knows entry ${commit} to be durable here, but the log ends at ${last}: this replica has lost durable state`
  }

  /**
   * Installs a complete, staged snapshot from this node's driver. Its entries are committed, whichever replica leads.
   */
  #onSnapshot({ from, term, meta, snapshotId, clusterTimeMs }: SnapshotMessage): void {
    if (term > this.#term) this.#becomeFollower(term, from, `message from the leader of term ${term}`)
    if (term === this.#term) this.#leaderContact(from)
    // A leader already holds all committed entries.
    if (meta.index > this.#log.commit && this.#role !== 'leader') {
      if (this.#role !== 'follower') this.#becomeFollower(this.#term, undefined, 'a snapshot arrived')
      this.#restore(meta, snapshotId)
      this.#clusterTimeMs = Math.max(this.#clusterTimeMs, clusterTimeMs)
      this.#appendedAt = this.#now
    }
    if (term === this.#term) this.#accept(from, this.#log.commit, 0)
  }

  #restore(meta: SnapshotMeta, snapshotId: string): void {
    const { index, term, state } = meta
    invariant(term <= this.#term, () => `a snapshot of term ${term} in term ${this.#term}`)
    const logKept = this.#log.restore(meta, snapshotId)
    if (!logKept) this.#dropCoreEntries(0 as LogIndex)
    this.#membership.restored(state.configuration, index)
    this.#leaderLeases.restored(state.leaderLeases, index)
    this.#admission.hidden(term)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The end of the log, on leaders and followers

  #append(entry: Entry): void {
    this.#log.append(entry)
    this.#appendedAt = this.#now
    this.#recordEntry(entry)
  }

  #stampAndAppend(frame: Uint8Array, clusterTimeMs: number): void {
    const index = (this.#log.last + 1) as LogIndex
    stampFrame(frame, this.#term, index, clusterTimeMs)
    this.#append({ index, term: this.#term, frame })
  }

  /** Appends an entry that the leader itself makes. Seq 0: no client waits for it. */
  #appendOwn(lead: LeaderState, kind: number, body: Uint8Array): void {
    const frame = newFrame({ kind, version: 1, proposer: this.id, boot: this.#boot, seq: 0 }, body.length)
    frame.set(body, BODY_AT)
    this.#stampAndAppend(sealFrame(frame, this.#crc32), lead.clusterTimeMs(this.#now))
  }

  #truncate(from: LogIndex): void {
    this.#log.truncate(from)
    this.#dropCoreEntries(from)
  }

  #dropCoreEntries(from: LogIndex): void {
    this.#membership.unapplied.truncatedFrom(from)
    this.#leaderLeases.truncatedFrom(from)
  }

  #recordEntry({ index, frame }: Entry): void {
    const kind = frameKind(frame)
    const flags = frameFlags(frame)
    if (flags !== 0) throw new UnknownKindError(`entry ${index} with flags ${flags}`)
    if (kind >= ENTRY_KINDS_OF_CORE || kind === ENTRY_NOOP) return
    if (kind === ENTRY_CONFIGURATION)
      this.#membership.unapplied.appended(index, decodeChange(frameBody(frame)))
    else if (kind === ENTRY_LEADER_LEASES)
      this.#leaderLeases.appended(index, decodeLeaderLeases(frameBody(frame)))
    else throw new UnknownKindError(`entry ${index} with kind ${kind}`)
  }

  #loadUnappliedCoreEntries(): void {
    const { applied, last } = this.#log
    for (let next = (applied + 1) as LogIndex; next <= last; ) {
      const page = this.#log.entries(next, (last + 1) as LogIndex, this.#limits.applyBytesMax)
      for (const entry of page) this.#recordEntry(entry)
      next = (next + page.length) as LogIndex
    }
  }

  #stored(write: WriteNumber, termWrite: WriteNumber): void {
    this.#log.stored(write, this.#limits, this.#now)
    this.#storedTermWrite = Math.max(this.#storedTermWrite, write, termWrite)
    this.#freshness.applied(this.#log.visible)
    if (this.#role === 'candidate' && this.#storedTermWrite >= this.#termWrite && !this.#votes.has(this.id)) {
      this.#votes.set(this.id, true)
      // Vote requests leave only now, and the disks of the other voters may take as long.
      const tookMs = this.#now - this.#candidateSince
      this.#armElection(
        timeForDisk(Math.max(this.#timing.failoverDelayMaxMs, tookMs), this.#timing),
        this.#electionSpacingMs(),
      )
      this.#countVotes()
    }
    // The leader counts its own entries only once they are durable, as for any follower (thesis §10.2.1).
    this.#replication.commitByCounting()
  }

  #appliedTo(index: LogIndex): void {
    // A snapshot may have replaced the state that the driver was applying to.
    if (index <= this.#log.applied) return
    this.#log.appliedTo(index)
    if (this.#leaderLeases.appliedTo(index)) this.#replication.restartLeaderLease()
    for (;;) {
      const next = this.#membership.unapplied.takeApplied(index)
      if (next === undefined) break
      this.#changeConfiguration(next.index, next.change)
    }
    this.#freshness.applied(this.#log.visible)
    this.#campaignForTransfer()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Membership (paper §6, thesis §4)

  #appendChange(lead: LeaderState, change: ConfigurationChange): void {
    this.#appendOwn(lead, ENTRY_CONFIGURATION, encodeChange(change))
    this.#replication.replicateToAll(lead)
  }

  #changeConfiguration(index: LogIndex, change: ConfigurationChange): void {
    this.#membership.applied(index, change)
    const lead = this.#lead
    // Candidates apply no changes, because no replica campaigns while a committed change is not applied.
    if (lead === undefined) return
    this.#trackMembers(lead)
    // The new quorum may be smaller.
    this.#replication.commitByCounting()
    this.#replication.confirmRounds(lead)
    this.#transfer.membersChanged(lead)
    if (isVoter(this.configuration, this.id)) return
    lead.retirement = { deadline: this.#now + this.#timing.electionMaxMs }
    this.#replication.beginRound(lead, [], 'all')
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Connections and snapshot streams

  #connected(peer: ReplicaId, boot: number, term: Term, lastIndex: LogIndex): void {
    const follower = this.#lead?.progress.get(peer)
    const name = memberName(this.configuration, peer)
    const expected = { name, term: this.#term, match: follower?.match ?? (0 as LogIndex) }
    const isOther = this.#peers.connected(peer, { boot, term, lastIndex }, expected)
    const lost = this.#peers.lostState(peer)
    if (lost !== undefined) {
      this.#reportLostState(peer, lost)
      return
    }
    if (follower !== undefined) {
      // An echo for the previous process proves nothing to this one.
      if (isOther) follower.forgetContact()
      follower.probing = false
      this.#replication.replicate(follower, follower.state === 'probe')
    }
    if (peer === this.#leader) this.#admission.resendForwarded(peer)
  }

  #disconnected(peer: ReplicaId): void {
    this.#peers.disconnected(peer)
    const follower = this.#lead?.progress.get(peer)
    // Messages in flight may be lost, so a probe must find where the logs match.
    if (follower?.state === 'replicate') follower.becomeProbe()
    if (peer === this.#leader) this.#reads.refusePending('leadership-lost')
  }

  #unreachable(peer: ReplicaId): void {
    this.#disconnected(peer)
    if (peer !== this.#leader) return
    // With leader leases on, a partitioned leader may still serve reads under this replica's promise.
    if (this.#leaderLeases.promiseMs > 0) return
    const { electionMinMs, failoverDelayMaxMs } = this.#timing
    this.#setLeader(undefined)
    this.#why = 'the connection to the leader broke and cannot be made again'
    this.#failoverUntil = this.#now + electionMinMs
    this.#electionAt = this.#now + this.#random() * failoverDelayMaxMs
  }

  #snapshotSent(peer: ReplicaId, index: LogIndex, ok: boolean): void {
    const follower = this.#lead?.progress.get(peer)
    if (follower?.state !== 'snapshot') return
    if (ok) follower.snapshotTransmitted(index)
    else follower.abandonSnapshot()
    // The next response shows whether the snapshot was installed. Until then nothing is sent.
    follower.probing = true
  }
}
