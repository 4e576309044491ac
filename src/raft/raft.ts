// The state machine of one replica. `step` takes one input, changes the state, and returns what the driver must do
// (README.md explains it).
//
// This file has what is read together: elections, the roles, and replication from both sides. Order: the public
// interface; the frame of a step; time; messages; elections; roles; replication; the log; connections. Parts with a
// state of their own see this replica through `replica-view.ts`: `proposals.ts`, `read-index.ts`, `transfer.ts`,
// `membership.ts`. State that only a leader has is in `leader-state.ts`.

import { compareIds, decodeChange, decodeLeases, encodeChange, isMember, isVoter } from './configuration.ts'
import {
  BODY_AT,
  ENTRY_CONFIGURATION,
  ENTRY_KINDS_OF_CORE,
  ENTRY_LEASES,
  ENTRY_NOOP,
  frameBody,
  frameClusterTimeMs,
  frameKind,
  newFrame,
  sealFrame,
  stampFrame,
} from './entry.ts'
import { Freshness } from './freshness.ts'
import { assertNever, InvariantError, invariant } from './invariant.ts'
import { Leases } from './leader-lease.ts'
import { LeaderState } from './leader-state.ts'
import { RaftLog } from './log.ts'
import { Membership, nameOf } from './membership.ts'
import { Peers } from './peers.ts'
import { Progress, SNAPSHOT_REPORT_MS_MAX } from './progress.ts'
import { Proposals } from './proposals.ts'
import { committedIndex, quorumValue, voteResult } from './quorum.ts'
import type { Reader } from './quorum-rounds.ts'
import { ReadIndex } from './read-index.ts'
import type { ReplicaView } from './replica-view.ts'
import { diskStalls, SLOW_DISK_MAX, timeForDisk } from './slow-disk.ts'
import { LeadershipTransfer } from './transfer.ts'
import type {
  AppendAcceptedMessage,
  AppendMessage,
  AppendRejectedMessage,
  AppliedRaftState,
  Configuration,
  ConfigurationChange,
  Entry,
  HardState,
  HeartbeatAnswerMessage,
  HeartbeatMessage,
  Input,
  LeaseSetting,
  LogIndex,
  Message,
  MessageContent,
  MonotonicMs,
  Outgoing,
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
  UnderWay,
  VoteAnswerMessage,
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

  #now: MonotonicMs
  #term: Term
  #vote: ReplicaId | undefined
  readonly #log: RaftLog
  readonly #membership: Membership
  readonly #leases: Leases
  /** Latest cluster time known from other sources than the log. */
  #clusterTimeMs: number
  /** When the newest entry got into the log, or the newest snapshot. */
  #appendedAt: MonotonicMs

  #role: Role = 'follower'
  #leader: ReplicaId | undefined
  #lead: LeaderState | undefined
  #votes = new Map<ReplicaId, boolean>()
  /** Last contact with a leader, or the start of a process that may have promised to respect a leader. */
  #contactAt: MonotonicMs
  #electionAt: MonotonicMs
  #candidateSince: MonotonicMs = 0
  /** When it first voted since it last heard a leader or led. */
  #electionsSince: MonotonicMs | undefined
  /** Until then elections follow each other quickly, because the leader's process is known to be gone. */
  #failoverUntil: MonotonicMs = Number.NEGATIVE_INFINITY
  /**
   * Until then this replica campaigns as soon as it has applied what is committed: the leader of this term asked it to
   * take over.
   */
  #takeOverUntil: MonotonicMs = Number.NEGATIVE_INFINITY

  readonly #replica: ReplicaView
  readonly #proposals: Proposals
  readonly #reads: ReadIndex
  readonly #transfer: LeadershipTransfer
  readonly #freshness: Freshness
  readonly #peers = new Peers()

  /** The write that makes term and vote durable. */
  #termWrite: WriteNumber = 0
  #broken = false

  // The output of the current step.
  #hardStateChanged = false
  #messages: Message[] = []
  #snapshots: { readonly to: ReplicaId; readonly atLeast: LogIndex }[] = []
  #why = ''
  #fatal: string | undefined

  constructor(options: RaftOptions) {
    const { id, boot, hardState, applied, appliedIndex, log, now } = options
    this.id = id
    this.#boot = boot
    this.#limits = options.limits
    this.#timing = options.timing
    this.#random = options.random
    this.#crc32 = options.crc32
    this.#now = now
    this.#term = hardState.term
    this.#vote = hardState.vote
    this.#log = new RaftLog(log, hardState.commit, appliedIndex)
    this.#leases = new Leases(applied.leases, appliedIndex)
    this.#clusterTimeMs = options.clusterTimeMs
    this.#appendedAt = now
    this.#freshness = new Freshness(now, boot)
    const replica = this.#asReplica()
    this.#replica = replica
    this.#membership = new Membership(replica, applied.configuration, appliedIndex)
    const appliedTerm = this.#log.termAt(appliedIndex) ?? (0 as Term)
    this.#proposals = new Proposals(replica, this.#membership, options.admission, appliedTerm, {
      append: (frame, clusterTimeMs) => this.#stampAndAppend(frame, clusterTimeMs),
      replicate: (lead) => this.#replicateToAll(lead),
    })
    this.#reads = new ReadIndex(replica, {
      beginRound: (lead, readers) => this.#beginRound(lead, readers, 'voters'),
      commitFor: (follower) => this.#commitFor(follower),
      learnCommit: (commit) => this.#learnCommit(commit),
    })
    this.#transfer = new LeadershipTransfer(replica, {
      replicate: (follower) => this.#replicate(follower, true),
      stepDown: (why) => this.#becomeFollower(this.#term, undefined, why),
    })
    const { heartbeatMs, electionMinMs, electionMaxMs } = options.timing
    invariant(
      electionMinMs > 2 * heartbeatMs && electionMaxMs > electionMinMs,
      () =>
        `election time-outs of ${electionMinMs} to ${electionMaxMs} ms do not go with heartbeats of ${heartbeatMs} ms`,
    )
    invariant(
      this.#log.lastTerm <= this.#term,
      () => `the log ends with term ${this.#log.lastTerm}, but the stored term is ${this.#term}`,
    )
    this.#findUnappliedCoreEntries()
    // Before the restart this replica may have promised to respect a leader (RAFT-25).
    this.#contactAt = this.#leases.promiseMs > 0 ? now : Number.NEGATIVE_INFINITY
    this.#electionAt = now
    this.#armElection()
    this.#campaignAtOnceIfAlone()
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
   * Whether the last change has ended: a majority of the voters has applied it, so they no longer need the removed
   * ones. The leader finds this out and tells the others.
   */
  get settled(): boolean {
    return this.#membership.settled
  }
  get leases(): LeaseSetting {
    return this.#leases.applied
  }
  /** Bytes of the frames that were proposed here and whose outcome is open. */
  get proposedBytes(): number {
    return this.#proposals.bytes
  }

  hardState(): HardState {
    return { term: this.#term, vote: this.#vote, commit: this.#log.commit }
  }

  appliedState(): AppliedRaftState {
    return { configuration: this.configuration, leases: this.#leases.applied }
  }

  /** The earliest time at which a tick can change something. The driver ticks then, or a little later. */
  deadline(): MonotonicMs {
    if (this.#lead !== undefined) return Math.min(this.#lead.heartbeatAt, this.#lead.shareCommitAt)
    return Math.min(this.#electionAt, this.#transfer.deadline, this.#reads.deadline)
  }

  /** On a leader: what the next entry would be stamped with. */
  clusterTimeMs(now: MonotonicMs): number | undefined {
    return this.#lead?.clusterTimeMs(now)
  }

  /** The time by the newest entry that got here. On a leader it is what the next entry would be stamped with. */
  clusterTimeSeenMs(now: MonotonicMs): number {
    return this.#lead?.clusterTimeMs(now) ?? this.#timeSinceStampMs(now)
  }

  /** Nothing that was stamped when it got here was stamped later, so this is not ahead of the last leader's time. */
  #timeSinceStampMs(now: MonotonicMs): number {
    const stamped = Math.max(this.#clusterTimeMs, this.#log.lastClusterTimeMs() ?? 0)
    return stamped + Math.floor(now - this.#appendedAt)
  }

  /** Proven upper bound on how stale the applied state is at `now`; undefined when unknown. */
  stalenessMs(now: MonotonicMs): number | undefined {
    const { freshAt } = this.#freshness
    return freshAt === undefined ? undefined : Math.max(0, now - freshAt)
  }

  /**
   * On a leader: the index up to which all followers that answer hold the log, where a snapshot under way counts as
   * arrived. They still need the entries after it. The end of the log if no follower answers, and on other replicas.
   */
  get neededAfter(): LogIndex {
    const activeSince = this.#now - this.#timing.electionMaxMs
    let index = this.#log.last
    for (const follower of this.#lead?.followers ?? []) {
      if (follower.heardAt > activeSince && follower.holds < index) index = follower.holds
    }
    return index
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
      leases: this.#leases.applied,
      leaseValid: this.#lead !== undefined && this.#reads.leaseHolds(this.#lead),
      transferTarget: this.#lead?.transfer?.target,
      progress: this.#lead?.followers.map((follower) => follower.status(activeSince)) ?? [],
      stalenessMs: this.stalenessMs(this.#now),
    }
  }

  /** Whether a snapshot is being written to the disk. Until it is durable, readers see the older state. */
  get installing(): boolean {
    return this.#log.installing
  }

  /**
   * Why a snapshot ending at `index`, offered by the leader of `term`, is refused now; undefined when it is accepted.
   */
  whyNotSnapshot(term: Term, index: LogIndex): string | undefined {
    if (term < this.#term) return `term ${term} is over, this is term ${this.#term}`
    if (index <= this.#log.commit) return `index ${index} is already committed here`
    // Storage stages one snapshot at a time. The complete one there is not durable yet.
    if (this.#log.installing) return 'another snapshot is being installed here'
    return undefined
  }

  /** What is under way here. All numbers are 0 at rest, for followers (`… of <id>`) only if they answer. */
  inspect(): UnderWay {
    const lead = this.#lead
    // The leader's numbers are listed in other roles too, so that it shows when a former leader did not end its work.
    const underWay: Record<string, number> = {
      votes: this.#votes.size,
      proposals: this.#proposals.size,
      proposedBytes: this.#proposals.bytes,
      forwardedBytes: this.#proposals.forwardedBytes,
      askedReads: this.#reads.asked,
      askedTransfer: Number(this.#transfer.isAsked),
      unappliedChanges: this.#membership.unapplied.size,
      unappliedLeases: this.#leases.unapplied,
      readers: lead?.rounds.open.reduce((sum, { readers }) => sum + readers.length, 0) ?? 0,
      earlyReads: lead?.earlyReads.length ?? 0,
      leaseRounds: lead?.lease.openRounds ?? 0,
      transfer: Number(lead?.transfer !== undefined),
      retiring: Number(lead?.retiring !== undefined),
      ...this.#log.inspect(),
    }
    if (lead === undefined) return underWay
    const activeSince = this.#now - this.#timing.electionMaxMs
    for (const { id, heardAt, inflight, state, probing } of lead.followers) {
      if (heardAt <= activeSince) continue
      underWay[`inflightMessages of ${id}`] = inflight.messages
      underWay[`inflightBytes of ${id}`] = inflight.bytes
      underWay[`notReplicating of ${id}`] = Number(state !== 'replicate' || probing)
    }
    return underWay
  }

  /** This replica as its parts see it. */
  #asReplica(): ReplicaView {
    const raft = this
    return {
      id: raft.id,
      boot: raft.#boot,
      limits: raft.#limits,
      timing: raft.#timing,
      log: raft.#log,
      leases: raft.#leases,
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
        return raft.#termWrite > raft.#log.storedWrite && diskStalls(this) ? undefined : leader
      },
      get lead() {
        return raft.#lead
      },
      send: (to, content) => raft.#send(to, content),
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The frame of a step

  step(input: Input): Output {
    invariant(!this.#broken, () => 'this core has stopped and takes no further step')
    invariant(input.now >= this.#now, () => `monotonic time went back from ${this.#now} to ${input.now}`)
    // An exception leaves the step half done. No further step is possible then.
    this.#broken = true
    this.#now = input.now
    const before = { role: this.#role, term: this.#term, leader: this.#leader, commit: this.#announcedCommit }
    this.#dispatch(input)
    if (this.#lead !== undefined) this.#afterLeaderStep(this.#lead, before.commit)
    const committed = this.#handOut()
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
        this.#proposals.propose(input.proposals)
        return
      case 'read':
        this.#reads.read(input.reads)
        return
      case 'transfer':
        this.#transfer.ask(input.to)
        return
      case 'stored':
        this.#stored(input.write)
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
      case 'refused':
        this.#refused(input.peer)
        return
      case 'snapshot-sent':
        this.#snapshotSent(input.peer, input.index, input.ok)
        return
      default:
        assertNever(input)
        return
    }
  }

  #handOut(): readonly Entry[] {
    const committed = this.#log.takeCommitted(this.#limits.applyBytesMax, this.#announcedCommit)
    const last = committed.at(-1)
    if (last !== undefined) {
      this.#proposals.handedOut(committed)
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
      messages: this.#messages.map((message) => this.#outgoing(message)),
      committed,
      outcomes: this.#proposals.takeOutcomes(),
      reads: this.#reads.takeOutcomes(),
      snapshots: this.#snapshots,
      transfer: this.#transfer.takeOutcome(),
      roleChange: changed
        ? { role: this.#role, term: this.#term, leader: this.#leader, why: this.#why }
        : undefined,
      fatal: this.#fatal,
    }
    this.#hardStateChanged = false
    this.#messages = []
    this.#snapshots = []
    this.#why = ''
    return output
  }

  /** Whether the entry that leaves a joint configuration is committed, and no write contains that commit index yet. */
  #mustStoreCommit(): boolean {
    const leave = this.#membership.unapplied.leavesJointAfter(this.#log.writtenCommit)
    return leave !== undefined && leave <= this.#log.commit
  }

  /**
   * The commit index that others are told and that is applied. Once a replica knows that the joint configuration is
   * left, the voters that the change removes may end. If that knowledge were lost in a crash, the replica might wait
   * for their votes without end. So the commit index of that entry must be durable first.
   */
  get #announcedCommit(): LogIndex {
    const { commit, storedCommit } = this.#log
    const leave = this.#membership.unapplied.leavesJointAfter(storedCommit)
    return leave !== undefined && leave <= commit ? ((leave - 1) as LogIndex) : commit
  }

  /** What must be durable before a message may leave (RAFT-2, RAFT-3): its term, and the log that it acknowledges. */
  #outgoing(message: Message): Outgoing {
    return { message, after: this.#writeBefore(message) }
  }

  #writeBefore(message: Message): WriteNumber {
    switch (message.type) {
      case 'pre-vote-request':
      case 'pre-vote-answer':
        return 0
      case 'append-accepted':
        return Math.max(this.#termWrite, this.#log.writeCovering(message.index))
      default:
        return this.#termWrite
    }
  }

  #send(to: ReplicaId, content: MessageContent, term = this.#term): void {
    // A commit index or a probe is valid only for a replica that kept its state. A process that has lost state gets a
    // message that says so instead.
    const lost = this.#peers.lostState(to)
    if (lost !== undefined) this.#tellLostState(to, lost)
    else this.#messages.push({ ...content, from: this.id, to, term })
  }

  #tellLostState(to: ReplicaId, detail: string): void {
    this.#messages.push({ type: 'lost-state', from: this.id, to, term: this.#term, detail })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Time

  #tick(): void {
    this.#reads.expire()
    this.#transfer.expire()
    if (this.#lead !== undefined) this.#tickLeader(this.#lead)
    else if (this.#now >= this.#electionAt) this.#campaign()
  }

  #tickLeader(lead: LeaderState): void {
    if (this.#now >= lead.shareCommitAt) {
      lead.shareCommitAt = Number.POSITIVE_INFINITY
      for (const follower of lead.followers) this.#tellCommit(follower)
    }
    if (this.#now < lead.heartbeatAt) return
    // Check-quorum (thesis §6.2): a leader that does not hear a majority steps down.
    const { electionMaxMs, heartbeatMs } = this.#timing
    const heard = quorumValue(this.configuration, (id) =>
      id === this.id ? this.#now : Math.max(lead.progress.get(id)?.heardAt ?? 0, lead.electedAt),
    )
    if (this.#now - heard >= electionMaxMs) {
      this.#becomeFollower(this.#term, undefined, `no quorum for ${Math.round(this.#now - heard)} ms`)
      return
    }
    for (const follower of lead.followers) {
      if (follower.state === 'snapshot' && this.#now - follower.snapshotSince >= SNAPSHOT_REPORT_MS_MAX) {
        follower.abandonSnapshot()
      }
    }
    lead.heartbeatAt = this.#now + heartbeatMs
    this.#settle(lead)
    this.#beginRound(lead, [], 'all')
    this.#transfer.tick(lead)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Messages

  #receive(message: Message): void {
    // Ignore a message for another replica at this address, and a message that came back to its sender.
    if (message.to !== this.id || message.from === this.id) return
    if (message.type === 'lost-state') {
      this.#fatal = message.detail
      return
    }
    const lost = this.#peers.lostState(message.from)
    if (lost !== undefined) {
      this.#tellLostState(message.from, lost)
      return
    }
    if (message.type !== 'pre-vote-request' && message.type !== 'pre-vote-answer') {
      this.#peers.heard(message.from, message.term)
    }
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
        this.#onAccepted(message)
        return
      case 'append-rejected':
        this.#onRejected(message)
        return
      case 'heartbeat':
        this.#onHeartbeat(message)
        return
      case 'heartbeat-answer':
        this.#onHeartbeatAnswer(message)
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
        this.#proposals.onForward(message)
        return
      case 'forward-refused':
        this.#proposals.onForwardRefused(message)
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
   * A higher term turns every replica into a follower (paper §5.1). Exceptions: pre-votes, and vote requests while it
   * hears a leader.
   */
  #acceptsTerm(message: Message): boolean {
    switch (message.type) {
      case 'pre-vote-request':
        return true
      case 'pre-vote-answer':
        if (message.granted) return true
        break
      case 'vote-request':
        // Stickiness (thesis §4.2.3): a removed or cut-off replica must not depose a leader that others hear.
        if (!message.transfer && this.#hearsLeader()) return false
        break
      case 'append':
      case 'heartbeat':
        this.#becomeFollower(message.term, message.from, `heard the leader of term ${message.term}`)
        return true
    }
    this.#becomeFollower(message.term, undefined, `heard term ${message.term}`)
    return true
  }

  /**
   * The sender is behind. It is told the term, so that a candidate that is stuck in a higher term can rejoin (etcd,
   * check-quorum with pre-vote).
   */
  #onOldTerm(message: Message): void {
    switch (message.type) {
      case 'append':
      case 'heartbeat': {
        // The answer carries only the term. The sender may lead a newer term by now. So it must not take this for an
        // answer to a round of that term, or for a refusal of an append of that term.
        const { last, visible: applied } = this.#log
        const nothing = {
          round: 0,
          sentAt: this.#freshness.stamp(this.#now),
          applied,
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
        this.#proposals.onForward(message)
        return
      case 'read-index':
        this.#reads.onRequest(message)
        return
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Elections (paper §5.2, §5.4.1; pre-vote: thesis §9.6)

  /** Whether a leader was heard so recently that no other replica should be elected. */
  #hearsLeader(): boolean {
    if (this.#role === 'leader') return true
    const sticky = this.#leader !== undefined && this.#now - this.#contactAt < this.#timing.electionMinMs
    return sticky || this.#isBound()
  }

  /**
   * Whether a lease promise is in force, even if no leader is heard now. Then this replica neither votes nor campaigns.
   */
  #isBound(): boolean {
    return this.#now - this.#contactAt < this.#leases.promiseMs
  }

  #campaign(): void {
    const obstacle =
      this.#whyNoCampaign() ?? (this.#isBound() ? 'bound to a leader by the lease setting' : undefined)
    if (obstacle === undefined) {
      // Its term or vote is still being written. The vote of another term would only wait behind that write.
      if (this.#termWrite > this.#log.storedWrite) this.#armElection(this.#timing.failoverDelayMaxMs)
      else this.#preVote()
      return
    }
    this.#becomeFollower(this.#term, undefined, `election timeout, but no candidate: ${obstacle}`)
    this.#armElection()
  }

  #whyNoCampaign(): string | undefined {
    if (!isVoter(this.configuration, this.id)) return 'not a voter'
    // A configuration counts when it is applied. Until then this replica could count votes by an old configuration
    // (RAFT-18).
    if ((this.#membership.unapplied.oldest ?? Number.POSITIVE_INFINITY) <= this.#log.commit) {
      return 'a committed change of the configuration is not applied'
    }
    if (diskStalls(this.#replica)) return 'own disk stalls'
    return undefined
  }

  #preVote(): void {
    this.#role = 'pre-candidate'
    this.#setLeader(undefined)
    this.#why = 'election timeout'
    this.#askForVotes('pre-vote-request', (this.#term + 1) as Term, false)
    this.#votes.set(this.id, true)
    this.#countVotes()
  }

  #elect(transfer: boolean): void {
    this.#setTerm((this.#term + 1) as Term)
    this.#vote = this.id
    this.#role = 'candidate'
    this.#candidateSince = this.#now
    this.#electionsSince ??= this.#now
    this.#setLeader(undefined)
    this.#why = transfer ? 'asked by the leader to take over' : 'won the pre-vote'
    this.#askForVotes('vote-request', this.#term, transfer)
    // Its own vote counts once it is durable (`#stored`), like any other vote.
  }

  #askForVotes(type: 'vote-request' | 'pre-vote-request', term: Term, transfer: boolean): void {
    this.#votes = new Map()
    // A vote waits for disks, a pre-vote only for messages.
    const { failoverDelayMaxMs } = this.#timing
    if (type === 'vote-request') this.#armElection(2 * failoverDelayMaxMs, this.#electionsApartMs())
    else this.#armElection(failoverDelayMaxMs)
    const { voters, votersOutgoing } = this.configuration
    const { last: lastIndex, lastTerm } = this.#log
    for (const to of [...new Set([...voters, ...votersOutgoing])].sort(compareIds)) {
      if (to !== this.id) this.#send(to, { type, lastIndex, lastTerm, transfer }, term)
    }
  }

  /**
   * Does not look at this replica's own configuration: the candidate that counts the vote knows whether it counts
   * (raft-rs 57).
   */
  #onVoteRequest(message: VoteRequestMessage): void {
    const { from, term, lastIndex, lastTerm, transfer } = message
    const pre = message.type === 'pre-vote-request'
    const sticky = !transfer && this.#hearsLeader()
    if (sticky && term > this.#term) return
    const free = this.#vote === from || (this.#vote === undefined && this.#leader === undefined)
    const upToDate =
      lastTerm > this.#log.lastTerm || (lastTerm === this.#log.lastTerm && lastIndex >= this.#log.last)
    const granted = !sticky && upToDate && (free || (pre && term > this.#term))
    if (pre) {
      const answer = { type: 'pre-vote-answer', granted, ...this.#commitPoint() } as const
      this.#send(from, answer, granted ? term : this.#term)
      // Of two replicas that lost their leader together, only one should become a candidate. The other waits even if
      // that one does not win.
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
      this.#armElection(0, this.#electionsApartMs())
    }
    this.#send(from, { type: 'vote-answer', granted, ...this.#commitPoint() })
  }

  #commitPoint(): { readonly commit: LogIndex; readonly commitTerm: Term } {
    const commit = this.#announcedCommit
    return { commit, commitTerm: this.#log.termAt(commit) ?? (0 as Term) }
  }

  #onVoteAnswer({ type, from, term, granted, commit, commitTerm }: VoteAnswerMessage): void {
    // A demoted voter with a longer log refuses its vote, and may be the only one that knows of its demotion. A voter
    // with a shorter log grants its vote, and may be the only one that knows that removed voters, which have ended, are
    // no longer needed.
    const isNews = commit > this.#log.commit && this.#log.matches(commit, commitTerm)
    if (isNews && this.#lead === undefined) {
      this.#log.commitTo(commit)
      this.#giveUpCampaign()
    }
    const wanted = type === 'pre-vote-answer' ? 'pre-candidate' : 'candidate'
    // A granted pre-vote carries the term of the election that would follow.
    const expected = type === 'pre-vote-answer' && granted ? this.#term + 1 : this.#term
    if (this.#role !== wanted || term !== expected) return
    if (!this.#votes.has(from)) this.#votes.set(from, granted)
    this.#countVotes()
  }

  /** The commit index that it just learned may cover a change that it must apply before it counts votes again. */
  #giveUpCampaign(): void {
    const obstacle = this.#whyNoCampaign()
    if (this.#role === 'follower' || obstacle === undefined) return
    this.#becomeFollower(this.#term, undefined, `no candidate any more: ${obstacle}`)
    this.#armElection(this.#timing.failoverDelayMaxMs)
  }

  #countVotes(): void {
    const result = voteResult(this.configuration, this.#votes)
    if (result === 'won') {
      if (this.#role === 'candidate') this.#becomeLeader()
      else this.#elect(false)
    } else if (result === 'lost') {
      const what = this.#role === 'candidate' ? 'election' : 'pre-vote'
      this.#becomeFollower(this.#term, undefined, `lost the ${what}`)
      this.#armElection(this.#timing.failoverDelayMaxMs)
    }
  }

  #onTimeoutNow(): void {
    if (this.#role === 'leader') return
    this.#takeOverUntil = this.#now + this.#timing.electionMinMs
    this.#takeOver()
  }

  /** Campaigns because the leader hands over. There is no pre-vote, since no other replica campaigns (thesis §3.10). */
  #takeOver(): void {
    if (this.#now >= this.#takeOverUntil || this.#whyNoCampaign() !== undefined) return
    this.#elect(true)
  }

  /** The only voter need not wait for others, but keeps its lease promise. */
  #campaignAtOnceIfAlone(): void {
    const { voters, votersOutgoing } = this.configuration
    if (voters.length !== 1 || voters[0] !== this.id || votersOutgoing.length > 0) return
    this.#electionAt = Math.max(this.#now, this.#contactAt + this.#leases.promiseMs)
  }

  /**
   * Draws the next election time-out. `patienceMs`: the shortest duration of a campaign. A replica that fails over from
   * a leader whose process is gone waits no longer than that (and a random part), so that a tie does not cost a whole
   * election time-out. `apartMs`: about how far away the next election is otherwise. The random part grows with it, so
   * that two candidates of the same moment do not campaign together again.
   */
  #armElection(patienceMs = 0, apartMs = this.#timing.electionMinMs): void {
    const { electionMinMs, electionMaxMs, failoverDelayMaxMs } = this.#timing
    const random = this.#random()
    const delay =
      patienceMs > 0 && this.#now < this.#failoverUntil
        ? patienceMs * (1 + random)
        : Math.max(patienceMs, electionMinMs, apartMs / 2) +
          random * Math.max(electionMaxMs - electionMinMs, apartMs)
    // All replicas are bound to a leader until the same moment. The random part keeps them from campaigning together.
    const boundUntil = this.#contactAt + this.#leases.promiseMs + random * failoverDelayMaxMs
    this.#electionAt = Math.max(this.#now + delay, boundUntil)
  }

  /**
   * About as long as elections have gone without a winner: some disks may be slower than elections, and each election
   * makes them write once more. The number of elections is no measure: during a fail-over with slow messages there are
   * many.
   */
  #electionsApartMs(): number {
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
    this.#hardStateChanged = true
    this.#takeOverUntil = Number.NEGATIVE_INFINITY
  }

  #setLeader(leader: ReplicaId | undefined): void {
    if (leader === this.#leader) return
    this.#leader = leader
    this.#reads.endAsked(leader === undefined ? 'no-leader' : 'leadership-lost')
    if (leader !== undefined) this.#transfer.leaderIs(leader)
  }

  #becomeFollower(term: Term, leader: ReplicaId | undefined, why: string): void {
    if (term !== this.#term) this.#setTerm(term)
    const was = this.#role
    const lost = this.#lead
    this.#lead = undefined
    if (lost !== undefined) this.#reads.leadershipLost(lost)
    this.#role = 'follower'
    this.#votes = new Map()
    this.#setLeader(leader)
    this.#why = why
    // A follower keeps its time-out: a refused vote or a higher term is not contact with a leader (paper §5.2).
    if (was !== 'follower') this.#armElection()
  }

  #becomeLeader(): void {
    this.#role = 'leader'
    this.#votes = new Map()
    this.#failoverUntil = Number.NEGATIVE_INFINITY
    this.#electionsSince = undefined
    this.#setLeader(this.id)
    this.#why = 'won the election'
    this.#clusterTimeMs = this.#timeSinceStampMs(this.#now)
    const firstIndex = (this.#log.last + 1) as LogIndex
    const lead = new LeaderState(this.#now, firstIndex, this.#clusterTimeMs, this.#timing.heartbeatMs)
    this.#lead = lead
    this.#proposals.elected()
    this.#followMembers(lead)
    // This entry commits everything before it (paper §5.4.2, §8).
    this.#appendOwn(lead, ENTRY_NOOP, new Uint8Array(0))
    for (const follower of lead.followers) this.#replicate(follower, true)
  }

  /**
   * Makes the followers match the members of the applied configuration. Removed ones stay until a majority of the
   * voters has applied their removal.
   */
  #followMembers(lead: LeaderState): void {
    for (const [id, follower] of lead.progress) {
      if (isMember(this.configuration, id) || !this.settled) continue
      // A last heartbeat, so that it learns of its removal.
      this.#sendHeartbeat(follower, 0)
      lead.progress.delete(id)
    }
    for (const { id } of this.configuration.members) {
      if (id === this.id || lead.progress.has(id)) continue
      lead.progress.set(id, new Progress(id, this.#log.last, this.#now, this.#limits))
    }
    lead.followers = [...lead.progress.values()].sort((a, b) => compareIds(a.id, b.id))
  }

  #settle(lead: LeaderState): void {
    const reached = quorumValue(this.configuration, (id) =>
      id === this.id ? this.#log.visible : (lead.progress.get(id)?.applied ?? 0),
    )
    this.#membership.majorityApplied(reached)
    if (this.settled) this.#followMembers(lead)
  }

  /** Actions that any step of a leader may have made possible. */
  #afterLeaderStep(lead: LeaderState, commitBefore: LogIndex): void {
    if (!this.settled) this.#settle(lead)
    if (this.#announcedCommit > commitBefore) {
      for (const follower of lead.followers) this.#shareCommit(lead, follower)
      this.#reads.serveEarly(lead)
    }
    if (lead.retiring !== undefined) {
      this.#transfer.retire(lead, lead.retiring, this.settled)
      return
    }
    const change = this.#membership.ownChange(lead)
    if (change !== undefined) this.#appendChange(lead, change)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Replication, the leader's side (paper §5.3)

  #replicateToAll(lead: LeaderState): void {
    for (const follower of lead.followers) this.#replicate(follower, false)
  }

  /**
   * Sends a follower what it may receive now. With `force` it sends at least an empty append, to learn its position.
   */
  #replicate(follower: Progress, force: boolean): void {
    if (follower.state === 'snapshot' || follower.probing) return
    if (this.#peers.lostState(follower.id) !== undefined) return
    const { last } = this.#log
    let forced = force
    while (forced || (follower.next <= last && !follower.paused)) {
      const prevIndex = (follower.next - 1) as LogIndex
      const prevTerm = this.#log.termAt(prevIndex)
      if (prevTerm === undefined) {
        this.#needSnapshot(follower)
        return
      }
      const { next, paused } = follower
      const entries =
        next <= last && !paused
          ? this.#log.entries(next, (last + 1) as LogIndex, this.#limits.appendBytesMax)
          : []
      if (entries.length === 0 && !forced) return
      const commit = this.#commitFor(follower)
      follower.sent(entries)
      follower.commitSent = Math.min(commit, prevIndex + entries.length) as LogIndex
      follower.check()
      this.#send(follower.id, {
        type: 'append',
        prevIndex,
        prevTerm,
        entries,
        commit,
        round: this.#lead?.rounds.newest ?? 0,
      })
      forced = false
    }
  }

  /**
   * While entries are under way, the next append carries the commit index. An idle follower is told at once if one of
   * its clients waits for it, otherwise a little later: under load the next entries come first, and a message is saved.
   */
  #shareCommit(lead: LeaderState, follower: Progress): void {
    const { commitDelayMs } = this.#timing
    if (commitDelayMs === 0 || follower.awaits > follower.commitSent) this.#tellCommit(follower)
    else lead.shareCommitAt = Math.min(lead.shareCommitAt, this.#now + commitDelayMs)
  }

  #tellCommit(follower: Progress): void {
    if (follower.state !== 'replicate' || follower.inflight.messages > 0) return
    const commit = Math.min(this.#commitFor(follower), follower.match) as LogIndex
    if (follower.commitSent >= commit) return
    follower.commitSent = commit
    this.#sendHeartbeat(follower, 0)
  }

  /**
   * A removed replica is told of its removal when the others no longer need it, because it ends then, and the operator
   * who asked for the removal may delete it.
   */
  #commitFor({ id }: Progress): LogIndex {
    const commit = this.#announcedCommit
    const lead = this.#lead
    if (lead === undefined) return commit
    // An entry that is not applied yet may remove a replica that is still a member now.
    const leave = this.#membership.unapplied.leavesJointAfter(this.#log.applied)
    if (leave !== undefined && leave <= commit && !this.configuration.voters.includes(id))
      return (leave - 1) as LogIndex
    if (this.settled || isMember(this.configuration, id)) return commit
    return Math.min(commit, this.#membership.leftJointAt - 1) as LogIndex
  }

  /** The commit index is at most what the follower is known to hold, because its log may differ after that. */
  #sendHeartbeat(follower: Progress, round: number): void {
    this.#send(follower.id, {
      type: 'heartbeat',
      commit: Math.min(this.#commitFor(follower), follower.match) as LogIndex,
      round,
      confirmed: follower.confirmedContact,
      appliedByMajority: this.#membership.appliedByMajority,
    })
  }

  #needSnapshot(follower: Progress): void {
    if (follower.heardAt <= this.#now - this.#timing.electionMaxMs) return
    const atLeast = (this.#log.first - 1) as LogIndex
    follower.becomeSnapshot(atLeast, this.#now)
    this.#snapshots.push({ to: follower.id, atLeast })
  }

  /** Records what every answer of this term says; undefined when the sender is not a follower. */
  #answered(
    lead: LeaderState,
    { from, round, sentAt }: AppendAcceptedMessage | AppendRejectedMessage | HeartbeatAnswerMessage,
    applied: LogIndex | undefined,
  ): Progress | undefined {
    const follower = lead.progress.get(from)
    if (follower === undefined) return undefined
    invariant(round <= lead.rounds.newest, () => `replica ${from} answers round ${round}, which never began`)
    follower.heardAt = this.#now
    if (applied !== undefined) {
      if (applied > follower.applied) follower.applied = applied
      // A follower keeps the lease promise only after it has applied the lease setting (RAFT-25), and it keeps it
      // through a restart only if the entry is on its disk. A follower may apply an entry that is durable only on other
      // disks.
      const { since } = this.#leases
      const keepsPromise = applied >= since && follower.match >= since
      if (keepsPromise && round > follower.leaseRound) follower.leaseRound = round
    }
    if (follower.openContact === undefined && lead.knowsCommit(this.#log.commit)) {
      const next = lead.rounds.newest + 1
      follower.openContact = { at: sentAt, readIndex: this.#log.commit, round: next }
    }
    if (round > follower.round) {
      follower.round = round
      this.#confirmRounds(lead)
    }
    return follower
  }

  #onAccepted(message: AppendAcceptedMessage): void {
    const lead = this.#lead
    if (lead === undefined) return
    const follower = this.#answered(lead, message, message.applied)
    if (follower === undefined) return
    invariant(
      message.index <= this.#log.last,
      () =>
        `replica ${message.from} acknowledges entry ${message.index}, but the log ends at ${this.#log.last}`,
    )
    const news = follower.accepted(message.index)
    if (follower.state === 'probe' && (news || message.index === follower.match)) follower.becomeReplicate()
    else if (follower.state === 'snapshot' && follower.match + 1 >= this.#log.first)
      follower.becomeReplicate()
    follower.catchUp(this.#log.last, this.#now)
    if (news) this.#commitByCounting()
    this.#replicate(follower, false)
    this.#shareCommit(lead, follower)
    if (news) this.#transfer.acknowledged(lead, follower)
  }

  #onRejected(message: AppendRejectedMessage): void {
    const lead = this.#lead
    if (lead === undefined) return
    const follower = this.#answered(lead, message, undefined)
    if (follower === undefined) return
    const { index, hintIndex, hintTerm } = message
    const hint = hintTerm > 0 ? this.#log.lastWithTermUpTo(hintIndex, hintTerm).index : hintIndex
    if (follower.rejected(index, hint)) this.#replicate(follower, true)
  }

  #onHeartbeatAnswer(message: HeartbeatAnswerMessage): void {
    const lead = this.#lead
    if (lead === undefined) return
    const follower = this.#answered(lead, message, message.applied)
    if (follower === undefined) return
    follower.probing = false
    follower.catchUp(this.#log.last, this.#now)
    // Appends may be lost without notice. An empty append finds out (etcd).
    if (follower.match < this.#log.last || follower.state === 'probe') this.#replicate(follower, true)
  }

  /** Counting commits only an entry of the leader's own term. That commits the entries before it (paper §5.4.2). */
  #commitByCounting(): void {
    const lead = this.#lead
    if (lead === undefined) return
    const index = committedIndex(this.configuration, (id) =>
      id === this.id ? this.#log.stable : (lead.progress.get(id)?.match ?? (0 as LogIndex)),
    )
    if (index <= this.#log.commit || this.#log.termAt(index as LogIndex) !== this.#term) return
    this.#log.commitTo(index as LogIndex)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Rounds: confirming that this replica still leads (thesis §6.4), and leases (thesis §6.4.1; RAFT-25)

  #beginRound(lead: LeaderState, readers: readonly Reader[], to: 'voters' | 'all'): void {
    const readIndex = lead.knowsCommit(this.#log.commit) ? this.#log.commit : undefined
    const { number, startedAt } = lead.rounds.begin(this.#now, readIndex, readers)
    if (this.#leases.trustMs > 0) lead.lease.began(number, startedAt)
    for (const follower of lead.followers) {
      if (to === 'all' || isVoter(this.configuration, follower.id)) this.#sendHeartbeat(follower, number)
    }
    this.#confirmRounds(lead)
  }

  #confirmRounds(lead: LeaderState): void {
    const { newest } = lead.rounds
    const confirmed = quorumValue(this.configuration, (id) =>
      id === this.id ? newest : (lead.progress.get(id)?.round ?? 0),
    )
    for (const { readIndex, startedAt, readers } of lead.rounds.confirm(confirmed)) {
      if (readIndex === undefined) continue
      this.#reads.confirmed(readers, readIndex)
      this.#freshness.offer({ at: startedAt, readIndex }, this.#log.visible)
    }
    for (const follower of lead.followers) {
      const contact = follower.openContact
      if (contact === undefined || contact.round > confirmed) continue
      follower.confirmedContact = { at: contact.at, readIndex: contact.readIndex }
      follower.openContact = undefined
    }
    this.#extendLease(lead)
  }

  #restartLease(): void {
    const lead = this.#lead
    if (lead === undefined) return
    lead.lease.restart()
    for (const follower of lead.followers) follower.leaseRound = 0
  }

  #extendLease(lead: LeaderState): void {
    const { newest } = lead.rounds
    const counted = quorumValue(this.configuration, (id) =>
      id === this.id ? newest : (lead.progress.get(id)?.leaseRound ?? 0),
    )
    lead.lease.confirmed(counted, this.#now, this.#leases.applied.durationMs)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Replication, the follower's side (paper §5.3)

  #leaderContact(from: ReplicaId): void {
    invariant(
      this.#leader === undefined || this.#leader === from,
      () => `two leaders in term ${this.#term}: ${this.#leader} and ${from}`,
    )
    if (this.#leader === undefined) {
      this.#becomeFollower(this.#term, from, `heard the leader of term ${this.#term}`)
      this.#proposals.forwardAgain(from)
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
      // Only a conflict deletes entries: a late append must not delete entries that came after it (paper §5.3).
      if (entry.index <= this.#log.last) {
        if (this.#log.matches(entry.index, entry.term)) continue
        this.#truncate(entry.index)
      }
      this.#append(entry)
    }
    const verified = (prevIndex + entries.length) as LogIndex
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
    const hint = this.#log.lastWithTermUpTo(prevIndex, prevTerm)
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
    this.#learnCommit(commit)
    if (confirmed !== undefined) this.#freshness.echoed(confirmed, this.#now, this.#log.visible)
    if (round === 0) return
    this.#send(from, {
      type: 'heartbeat-answer',
      round,
      sentAt: this.#freshness.stamp(this.#now),
      applied: this.#log.visible,
      lastIndex: this.#log.last,
    })
  }

  /** The leader has limited this commit index to what this replica acknowledged. */
  #learnCommit(commit: LogIndex): void {
    if (commit <= this.#log.commit) return
    const { last } = this.#log
    if (commit <= last) this.#log.commitTo(commit)
    else
      this.#fatal = `the leader knows entry ${commit} to be durable here, but the log ends at ${last}: this replica has lost durable state`
  }

  /**
   * Comes from this node's driver, complete and staged. The entries in it are committed, whichever replica leads now.
   */
  #onSnapshot({ from, term, meta, snapshotId, clusterTimeMs }: SnapshotMessage): void {
    if (term > this.#term) this.#becomeFollower(term, from, `heard the leader of term ${term}`)
    if (term === this.#term) this.#leaderContact(from)
    // A leader holds everything that is committed.
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
    if (!logKept) this.#forgetCoreEntries(0 as LogIndex)
    this.#membership.restored(state.configuration, index)
    this.#leases.restored(state.leases, index)
    this.#proposals.hidden(term)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The end of the log, on leaders and followers

  #append(entry: Entry): void {
    this.#log.append(entry)
    this.#appendedAt = this.#now
    this.#noteCoreEntry(entry)
  }

  #stampAndAppend(frame: Uint8Array, clusterTimeMs: number): void {
    const index = (this.#log.last + 1) as LogIndex
    stampFrame(frame, this.#term, index, clusterTimeMs)
    this.#append({ index, term: this.#term, frame })
  }

  /** An entry that the leader itself makes; seq 0 means that no client waits for it. */
  #appendOwn(lead: LeaderState, kind: number, body: Uint8Array): void {
    const frame = newFrame({ kind, version: 1, proposer: this.id, boot: this.#boot, seq: 0 }, body.length)
    frame.set(body, BODY_AT)
    this.#stampAndAppend(sealFrame(frame, this.#crc32), lead.clusterTimeMs(this.#now))
  }

  #truncate(from: LogIndex): void {
    this.#log.truncate(from)
    this.#forgetCoreEntries(from)
  }

  #forgetCoreEntries(from: LogIndex): void {
    this.#membership.unapplied.truncatedFrom(from)
    this.#leases.truncatedFrom(from)
  }

  #noteCoreEntry({ index, frame }: Entry): void {
    const kind = frameKind(frame)
    if (kind >= ENTRY_KINDS_OF_CORE || kind === ENTRY_NOOP) return
    if (kind === ENTRY_CONFIGURATION)
      this.#membership.unapplied.appended(index, decodeChange(frameBody(frame)))
    else if (kind === ENTRY_LEASES) this.#leases.appended(index, decodeLeases(frameBody(frame)))
    else throw new InvariantError(`entry ${index} is of kind ${kind}, which this program does not know`)
  }

  #findUnappliedCoreEntries(): void {
    const { applied, last } = this.#log
    for (let next = (applied + 1) as LogIndex; next <= last; ) {
      const page = this.#log.entries(next, (last + 1) as LogIndex, this.#limits.applyBytesMax)
      for (const entry of page) this.#noteCoreEntry(entry)
      next = (next + page.length) as LogIndex
    }
  }

  #stored(write: WriteNumber): void {
    this.#log.stored(write, this.#limits, this.#now)
    this.#freshness.applied(this.#log.visible)
    if (this.#role === 'candidate' && write >= this.#termWrite && !this.#votes.has(this.id)) {
      this.#votes.set(this.id, true)
      // The vote requests leave only now, and the other disks may take as long.
      const tookMs = this.#now - this.#candidateSince
      this.#armElection(
        timeForDisk(Math.max(this.#timing.failoverDelayMaxMs, tookMs), this.#timing),
        this.#electionsApartMs(),
      )
      this.#countVotes()
    }
    // The leader counts its own entries only when they are durable, as for any follower (thesis §10.2.1).
    this.#commitByCounting()
  }

  #appliedTo(index: LogIndex): void {
    // A snapshot may have replaced the state to which the driver was applying.
    if (index <= this.#log.applied) return
    this.#log.appliedTo(index)
    if (this.#leases.appliedTo(index)) this.#restartLease()
    for (;;) {
      const next = this.#membership.unapplied.takeApplied(index)
      if (next === undefined) break
      this.#changeConfiguration(next.index, next.change)
    }
    this.#freshness.applied(this.#log.visible)
    this.#takeOver()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Membership (paper §6, thesis §4)

  #appendChange(lead: LeaderState, change: ConfigurationChange): void {
    this.#appendOwn(lead, ENTRY_CONFIGURATION, encodeChange(change))
    this.#replicateToAll(lead)
  }

  #changeConfiguration(index: LogIndex, change: ConfigurationChange): void {
    this.#membership.applied(index, change)
    const lead = this.#lead
    // A candidate applies no change: a replica does not campaign while a committed change is not applied.
    if (lead === undefined) return
    this.#followMembers(lead)
    // The new configuration may need fewer replicas than before.
    this.#commitByCounting()
    this.#confirmRounds(lead)
    this.#transfer.membersChanged(lead)
    if (isVoter(this.configuration, this.id)) return
    lead.retiring = { deadline: this.#now + this.#timing.electionMaxMs }
    this.#beginRound(lead, [], 'all')
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Connections and snapshots under way

  #connected(peer: ReplicaId, boot: number, term: Term, lastIndex: LogIndex): void {
    const follower = this.#lead?.progress.get(peer)
    const name = nameOf(this.configuration, peer)
    const expected = { name, term: this.#term, match: follower?.match ?? (0 as LogIndex) }
    const isOther = this.#peers.connected(peer, { boot, term, lastIndex }, expected)
    const lost = this.#peers.lostState(peer)
    if (lost !== undefined) {
      this.#tellLostState(peer, lost)
      return
    }
    if (follower !== undefined) {
      // An echo meant for its previous process is useless for this one.
      if (isOther) follower.forgetContact()
      follower.probing = false
      this.#replicate(follower, follower.state === 'probe')
    }
    if (peer === this.#leader) this.#proposals.forwardAgain(peer)
  }

  #disconnected(peer: ReplicaId): void {
    this.#peers.disconnected(peer)
    const follower = this.#lead?.progress.get(peer)
    // Messages under way may be lost. Probe where the logs meet.
    if (follower?.state === 'replicate') follower.becomeProbe()
    if (peer === this.#leader) this.#reads.endAsked('leadership-lost')
  }

  #refused(peer: ReplicaId): void {
    this.#disconnected(peer)
    if (peer !== this.#leader) return
    // With leases on, a leader that is alive but cut off may serve reads because of our promise.
    if (this.#leases.promiseMs > 0) return
    const { electionMinMs, failoverDelayMaxMs } = this.#timing
    this.#setLeader(undefined)
    this.#why = 'the connection to the leader broke and cannot be made again'
    this.#failoverUntil = this.#now + electionMinMs
    this.#electionAt = this.#now + this.#random() * failoverDelayMaxMs
  }

  #snapshotSent(peer: ReplicaId, index: LogIndex, ok: boolean): void {
    const follower = this.#lead?.progress.get(peer)
    if (follower?.state !== 'snapshot') return
    if (ok) {
      follower.pendingSnapshot = Math.max(follower.pendingSnapshot, index) as LogIndex
      follower.becomeProbe()
    } else follower.abandonSnapshot()
    // The next answer shows whether the snapshot arrived; until then nothing is sent.
    follower.probing = true
  }
}
