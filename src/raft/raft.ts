// The state machine of one replica: `step` takes one input, changes the state, and says what is to be done (README.md
// tells the story).
//
// Order of the file: the public face; the frame of a step; then by input: time, messages, proposals, reads, storage,
// connections; then the roles and what each does. State that only a leader has is in `leadership.ts`.

import { AskedReads } from './asked-reads.ts'
import { AskedTransfer } from './asked-transfer.ts'
import {
  applyChange,
  compareIds,
  decodeChange,
  decodeLeases,
  encodeChange,
  isJoint,
  isMember,
  isVoter,
} from './configuration.ts'
import { cannotCatchUp, couldOthersCommit, hasMoreRoom, type LeaderView, whyNoRoom } from './disk-room.ts'
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
import { type EarlyRead, Leadership, type Retirement, type Transfer } from './leadership.ts'
import { Leases } from './leases.ts'
import { RaftLog } from './log.ts'
import { type ChangeContext, nameOf, UnappliedChanges, whyNotChange } from './membership.ts'
import { ForwardedSeqs, Outcomes } from './outcomes.ts'
import { Peers } from './peers.ts'
import { Progress, SNAPSHOT_REPORT_MS_MAX } from './progress.ts'
import { committedIndex, quorumValue, voteResult } from './quorum.ts'
import type { Reader } from './rounds.ts'
import type {
  AppendAcceptedMessage,
  AppendMessage,
  AppendRejectedMessage,
  AppliedRaftState,
  Configuration,
  ConfigurationChange,
  DiskRoom,
  Entry,
  ForwardMessage,
  ForwardRefusedMessage,
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
  Proposal,
  ProposalOutcome,
  RaftLimits,
  RaftOptions,
  RaftStatus,
  RaftTiming,
  ReadIndexAnswerMessage,
  ReadIndexMessage,
  ReadOutcome,
  ReadRefusal,
  ReadRequest,
  Refusal,
  ReplicaId,
  Role,
  SnapshotMessage,
  SnapshotMeta,
  Term,
  TransferRequestMessage,
  UnderWay,
  VoteAnswerMessage,
  VoteRequestMessage,
  WriteNumber,
} from './types.ts'

/** Reads that wait for a new leader's first commit; beyond: refused as not ready. */
export const EARLY_READS_MAX = 10_000

/** Rising. */

/**
 * A disk that is slow for all that is written has at most so many election time-outs for a write; beyond, it stalls.
 */
const SLOW_DISK_MAX = 5

/** A leader that is short of room and has handed over in vain tries again after so many election time-outs. */
const HAND_OVER_AGAIN = 10

const isOfCore = ({ frame }: Entry): boolean => frameKind(frame) < ENTRY_KINDS_OF_CORE

export class Raft {
  readonly id: ReplicaId
  readonly #boot: number
  readonly #limits: RaftLimits
  readonly #timing: RaftTiming
  readonly #makesRoom: (kind: number) => boolean
  readonly #random: () => number
  readonly #crc32: (bytes: Uint8Array) => number

  #now: MonotonicMs
  #term: Term
  #vote: ReplicaId | undefined
  readonly #log: RaftLog
  #configuration: Configuration
  readonly #unappliedChanges = new UnappliedChanges()
  readonly #leases: Leases
  /** Latest cluster time known beside that in the log. */
  #clusterTimeMs: number

  #role: Role = 'follower'
  #leader: ReplicaId | undefined
  #lead: Leadership | undefined
  /**
   * The newest leave of a joint configuration that is applied here is no later; a majority of the voters has applied up
   * to the second.
   */
  #leftJointAt: LogIndex
  #appliedByMajority = 0 as LogIndex
  #votes = new Map<ReplicaId, boolean>()
  /** Last contact with a leader, or the start of a process that may have promised to respect one. */
  #contactAt: MonotonicMs
  #electionAt: MonotonicMs
  #candidateSince: MonotonicMs = 0
  /** It has voted first, since it heard a leader or led. */
  #electionsSince: MonotonicMs | undefined
  /** Until then elections are tried in quick succession: the leader's process is known to be gone. */
  #failoverUntil: MonotonicMs = Number.NEGATIVE_INFINITY
  /**
   * Until then the leader of this term wants this replica to take over, as soon as it has applied what is committed.
   */
  #takeOverUntil: MonotonicMs = Number.NEGATIVE_INFINITY

  readonly #outcomes: Outcomes
  /** Of the newest term that this process has led. */
  #forwardedSeqs = new ForwardedSeqs(0 as Term, 0)
  readonly #askedReads: AskedReads
  readonly #askedTransfer = new AskedTransfer()
  readonly #freshness: Freshness
  readonly #peers = new Peers()

  /** Of the own disk. */
  #room: DiskRoom = 'enough'
  /** The write that makes term and vote durable. */
  #termWrite: WriteNumber = 0
  #broken = false

  // The output of the step under way.
  #hardStateChanged = false
  #messages: Message[] = []
  #proposalOutcomes: ProposalOutcome[] = []
  #readOutcomes: ReadOutcome[] = []
  #snapshots: { readonly to: ReplicaId; readonly atLeast: LogIndex }[] = []
  #why = ''
  #fatal: string | undefined

  constructor(options: RaftOptions) {
    const { id, boot, hardState, applied, appliedIndex, log, now } = options
    this.id = id
    this.#boot = boot
    this.#limits = options.limits
    this.#timing = options.timing
    this.#makesRoom = options.makesRoom
    this.#random = options.random
    this.#crc32 = options.crc32
    this.#now = now
    this.#term = hardState.term
    this.#vote = hardState.vote
    this.#log = new RaftLog(log, hardState.commit, appliedIndex)
    this.#configuration = applied.configuration
    this.#leftJointAt = appliedIndex
    this.#leases = new Leases(applied.leases, appliedIndex)
    this.#clusterTimeMs = options.clusterTimeMs
    this.#freshness = new Freshness(now, boot)
    this.#outcomes = new Outcomes(id, boot, this.#log.termAt(appliedIndex) ?? (0 as Term))
    this.#askedReads = new AskedReads(boot)
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
    // Before it ended, this process may have promised to respect a leader (RAFT-25).
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
    return this.#configuration
  }
  /**
   * Whether the voters get on without those that the last change let go: a majority of them has applied it. Leaders
   * find it out, and tell it.
   */
  get settled(): boolean {
    return this.#appliedByMajority >= this.#leftJointAt
  }
  get leases(): LeaseSetting {
    return this.#leases.applied
  }
  get room(): DiskRoom {
    return this.#room
  }
  /**
   * Whether what it lacks may not come before there is more room on its disk: changes, or, where it lags, a snapshot.
   */
  get lacksRoom(): boolean {
    if (this.#room === 'enough') return false
    const stalenessMs = this.stalenessMs(this.#now) ?? Number.POSITIVE_INFINITY
    return this.#room === 'none' || stalenessMs > this.#timing.electionMaxMs
  }
  /** Bytes of the frames that were proposed here, and whose outcome is open. */
  get proposedBytes(): number {
    return this.#outcomes.bytes
  }

  hardState(): HardState {
    return { term: this.#term, vote: this.#vote, commit: this.#log.commit }
  }

  appliedState(): AppliedRaftState {
    return { configuration: this.#configuration, leases: this.#leases.applied }
  }

  /** When time alone can change something next: the driver ticks then, or a little later. */
  deadline(): MonotonicMs {
    if (this.#lead !== undefined) return Math.min(this.#lead.heartbeatAt, this.#lead.shareCommitAt)
    return Math.min(this.#electionAt, this.#askedTransfer.deadline, this.#askedReads.deadline)
  }

  /** Proven upper bound on how stale the applied state is at `now`; undefined when unknown. */
  stalenessMs(now: MonotonicMs): number | undefined {
    const { freshAt } = this.#freshness
    return freshAt === undefined ? undefined : Math.max(0, now - freshAt)
  }

  /**
   * The leader's followers that answer hold the log up to here, or will when the snapshot on its way has arrived: what
   * comes after, they are still to get. The end of the log where there is none, and on other replicas.
   */
  get neededAfter(): LogIndex {
    const activeSince = this.#now - this.#timing.electionMaxMs
    let index = this.#log.last
    for (const follower of this.#lead?.followers ?? []) {
      // Nothing is kept on a disk that is short for one who could not write it.
      if (this.#room !== 'enough' && follower.room === 'none') continue
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
      configuration: this.#configuration,
      leases: this.#leases.applied,
      leaseValid: this.#lead !== undefined && this.#leaseHolds(this.#lead),
      transferTarget: this.#lead?.transfer?.target,
      room: this.#room,
      progress: this.#lead?.followers.map((follower) => follower.status(activeSince)) ?? [],
      stalenessMs: this.stalenessMs(this.#now),
    }
  }

  /** A snapshot is on its way to the disk: until it is stored, what readers see is the state from before. */
  get installing(): boolean {
    return this.#log.installing
  }

  /** Why a snapshot that ends at `index`, offered by the leader of `term`, is of no use now; undefined when it is. */
  whyNotSnapshot(term: Term, index: LogIndex): string | undefined {
    if (term < this.#term) return `term ${term} is over, this is term ${this.#term}`
    if (index <= this.#log.commit) return `index ${index} is already committed here`
    if (this.#room !== 'enough') return 'the disk here is nearly full'
    // There is one place for a snapshot, and the complete one in it still waits for the disk.
    if (this.#log.installing) return 'another snapshot is being installed here'
    return undefined
  }

  /** What is under way here; all 0 at rest, for followers (`… of <id>`) that answer. */
  inspect(): UnderWay {
    const lead = this.#lead
    // Who leads no more has given back what it had as a leader: that is told as well.
    const underWay: Record<string, number> = {
      votes: this.#votes.size,
      proposals: this.#outcomes.size,
      proposedBytes: this.#outcomes.bytes,
      forwardedBytes: this.#outcomes.forwardedBytes,
      askedReads: this.#askedReads.size,
      askedTransfer: Number(this.#askedTransfer.isOpen),
      unappliedChanges: this.#unappliedChanges.size,
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

  // -------------------------------------------------------------------------------------------------------------------
  // The frame of a step

  step(input: Input): Output {
    invariant(!this.#broken, () => 'this core has stopped and takes no further step')
    invariant(input.now >= this.#now, () => `monotonic time went back from ${this.#now} to ${input.now}`)
    // Whatever throws leaves the step half done; nobody may go on from there.
    this.#broken = true
    this.#now = input.now
    const before = { role: this.#role, term: this.#term, leader: this.#leader, commit: this.#commitForGood }
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
        this.#propose(input.proposals)
        return
      case 'read':
        this.#read(input.reads)
        return
      case 'transfer':
        this.#askTransfer(input.to)
        return
      case 'disk-room':
        this.#room = input.room
        if (this.#lead !== undefined && this.#lead.transfer === undefined) this.#handOverForRoom(this.#lead)
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
    const committed = this.#log.takeCommitted(this.#limits.applyBytesMax, this.#commitForGood)
    const last = committed.at(-1)
    if (last !== undefined) {
      this.#outcomes.handedOut(committed, this.#proposalOutcomes)
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
      outcomes: this.#proposalOutcomes,
      reads: this.#readOutcomes,
      snapshots: this.#snapshots,
      transfer: this.#askedTransfer.takeOutcome(),
      roleChange: changed
        ? { role: this.#role, term: this.#term, leader: this.#leader, why: this.#why }
        : undefined,
      fatal: this.#fatal,
    }
    this.#hardStateChanged = false
    this.#messages = []
    this.#proposalOutcomes = []
    this.#readOutcomes = []
    this.#snapshots = []
    this.#why = ''
    return output
  }

  /** Whether the entry that leaves a joint configuration is committed, and that is in no write yet. */
  #mustStoreCommit(): boolean {
    const leave = this.#unappliedChanges.leavesJointAfter(this.#log.writtenCommit)
    return leave !== undefined && leave <= this.#log.commit
  }

  /**
   * What others are told to be committed, and what is applied. The voters that a change leaves out are let go once
   * somebody knows that the joint configuration is left; whoever forgot that with a crash might wait for their votes
   * for ever. So here it is durable first.
   */
  get #commitForGood(): LogIndex {
    const { commit, storedCommit } = this.#log
    const leave = this.#unappliedChanges.leavesJointAfter(storedCommit)
    return leave !== undefined && leave <= commit ? ((leave - 1) as LogIndex) : commit
  }

  /** What must be durable before a message may leave (RAFT-2, RAFT-3): its term, and the log that it vouches for. */
  #outgoing(message: Message): Outgoing {
    return { message, after: this.#neededBy(message) }
  }

  #neededBy(message: Message): WriteNumber {
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
    // A commit index or a probe is meant for what its replica once had; a process that has lost that is told so
    // instead.
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
    this.#refuseReads(this.#askedReads.expire(this.#now), 'leadership-lost')
    this.#askedTransfer.expire(this.#now)
    if (this.#lead !== undefined) this.#tickLeader(this.#lead)
    else if (this.#now >= this.#electionAt) this.#campaign()
  }

  #tickLeader(lead: Leadership): void {
    if (this.#now >= lead.shareCommitAt) {
      lead.shareCommitAt = Number.POSITIVE_INFINITY
      for (const follower of lead.followers) this.#tellCommit(follower)
    }
    if (this.#now < lead.heartbeatAt) return
    // Check-quorum (thesis §6.2): a leader that a majority does not hear must not go on being believed.
    const { electionMaxMs, heartbeatMs } = this.#timing
    const heard = quorumValue(this.#configuration, (id) =>
      id === this.id ? this.#now : Math.max(lead.progress.get(id)?.heardAt ?? 0, lead.electedAt),
    )
    if (this.#now - heard >= electionMaxMs) {
      this.#becomeFollower(this.#term, undefined, `no quorum for ${Math.round(this.#now - heard)} ms`)
      return
    }
    if (
      this.#now - lead.electedAt >= electionMaxMs &&
      !this.#knowsCommit(lead) &&
      couldOthersCommit(this.#view(lead))
    ) {
      this.#becomeFollower(this.#term, undefined, 'too few others have room for what its log holds')
      // Another one first: the others are bound to it as long as they promised.
      this.#armElection(electionMaxMs + this.#leases.promiseMs)
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
    if (lead.transfer === undefined) {
      if (!this.#handOverForRoom(lead)) this.#keepUpWithDisk(lead)
    } else if (this.#now < lead.transfer.deadline) this.#pushTransfer(lead, lead.transfer)
    else {
      const name = nameOf(this.#configuration, lead.transfer.target)
      this.#abortTransfer(lead, `${name} did not take over in time`)
    }
  }

  /**
   * A leader whose own disk stalls still commits by the others' disks, but holds up who waits here: somebody else
   * should lead.
   */
  #keepUpWithDisk(lead: Leadership): void {
    if (!this.#diskStalls() || lead.retiring !== undefined) return
    const { voters, votersOutgoing } = this.#configuration
    if ([...voters, ...votersOutgoing].every((id) => id === this.id)) return
    const target = this.#bestSuccessor(lead)
    if (target !== undefined) this.#beginTransfer(lead, target)
    else this.#becomeFollower(this.#term, undefined, 'own disk stalls and nobody can take over')
  }

  #view(lead: Leadership): LeaderView {
    return {
      id: this.id,
      room: this.#room,
      lead,
      configuration: this.#configuration,
      log: this.#log,
      now: this.#now,
      electionMaxMs: this.#timing.electionMaxMs,
    }
  }

  /** A leader whose disk is nearly full refuses what others could still take: one that has more room should lead. */
  #handOverForRoom(lead: Leadership): boolean {
    if (this.#room === 'enough' || lead.retiring !== undefined) return false
    if (this.#now < lead.noHandOverUntil) return false
    const view = this.#view(lead)
    const target = this.#bestSuccessor(lead, (follower) => hasMoreRoom(view, follower))
    if (target === undefined) return false
    this.#beginTransfer(lead, target)
    return true
  }

  #whyNoRoom(lead: Leadership, kind: number): Refusal | undefined {
    if (this.#room === 'enough' && lead.followers.every(({ room }) => room === 'enough')) return undefined
    return whyNoRoom(this.#view(lead), kind < ENTRY_KINDS_OF_CORE, this.#makesRoom(kind))
  }

  /**
   * A disk that takes long for all that is written does not stall: where all of them are slow nobody would do better,
   * and if whoever leads gave that up for each write, nothing would be committed.
   */
  #diskStalls(): boolean {
    const idleMs = this.#log.idleMs(this.#now)
    return idleMs >= Math.max(this.#timing.electionMinMs, this.#twice(this.#log.usualIdleMs))
  }

  /** What is granted to a disk, here or elsewhere, for which `ms` is usual. */
  #twice(ms: number): number {
    return Math.min(2 * ms, SLOW_DISK_MAX * this.#timing.electionMaxMs)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Messages

  #receive(message: Message): void {
    // A message for another replica at this address, or an echo, is none.
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
        this.#onTransferRequest(message)
        return
      case 'forward':
        this.#onForward(message)
        return
      case 'forward-refused':
        this.#onForwardRefused(message)
        return
      case 'read-index':
        this.#onReadIndex(message)
        return
      case 'read-index-answer':
        this.#onReadIndexAnswer(message)
        return
      default:
        assertNever(message)
        return
    }
  }

  /**
   * A higher term makes a follower of everyone (paper §5.1), but for pre-votes and for votes while a leader is heard.
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
   * The sender is behind: tell it so, lest a stuck candidate of a higher term is never freed (etcd, check-quorum with
   * pre-vote).
   */
  #onOldTerm(message: Message): void {
    switch (message.type) {
      case 'append':
      case 'heartbeat': {
        // It says nothing but the term. The sender may lead a newer term by now, so it must neither take this for an
        // answer to a round of that term nor for a refusal of what it has sent in it.
        const { last, visible: applied } = this.#log
        const nothing = {
          round: 0,
          sentAt: this.#freshness.stamp(this.#now),
          applied,
          lastIndex: last,
          room: this.#room,
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
        this.#onForward(message)
        return
      case 'read-index':
        this.#onReadIndex(message)
        return
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Elections (paper §5.2, §5.4.1; pre-vote: thesis §9.6)

  /** Whether a leader was heard so recently that nobody else should be elected. */
  #hearsLeader(): boolean {
    if (this.#role === 'leader') return true
    const sticky = this.#leader !== undefined && this.#now - this.#contactAt < this.#timing.electionMinMs
    return sticky || this.#isBound()
  }

  /** Whether leases bind this replica to a leader, heard or not: it must neither vote nor campaign. */
  #isBound(): boolean {
    return this.#now - this.#contactAt < this.#leases.promiseMs
  }

  #campaign(): void {
    const obstacle =
      this.#whyNoCampaign() ?? (this.#isBound() ? 'bound to a leader by the lease setting' : undefined)
    if (obstacle === undefined) {
      // Its term or vote is still on its way to the disk: that of another term would only wait behind it.
      if (this.#termWrite > this.#log.storedWrite) this.#armElection(this.#timing.failoverDelayMaxMs)
      else this.#preVote()
      return
    }
    this.#becomeFollower(this.#term, undefined, `election timeout, but no candidate: ${obstacle}`)
    this.#armElection()
  }

  #whyNoCampaign(): string | undefined {
    if (!isVoter(this.#configuration, this.id)) return 'not a voter'
    // The configuration counts from when it is applied; until then this replica may count by one that is over
    // (RAFT-18).
    if ((this.#unappliedChanges.oldest ?? Number.POSITIVE_INFINITY) <= this.#log.commit) {
      return 'a committed change of the configuration is not applied'
    }
    if (this.#diskStalls()) return 'own disk stalls'
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
    // Its own vote counts like any other: once it is durable (`#stored`).
  }

  #askForVotes(type: 'vote-request' | 'pre-vote-request', term: Term, transfer: boolean): void {
    this.#votes = new Map()
    // A vote waits for disks, a pre-vote for messages only.
    const { failoverDelayMaxMs } = this.#timing
    if (type === 'vote-request') this.#armElection(2 * failoverDelayMaxMs, this.#electionsApartMs())
    else this.#armElection(failoverDelayMaxMs)
    const { voters, votersOutgoing } = this.#configuration
    const { last: lastIndex, lastTerm } = this.#log
    for (const to of [...new Set([...voters, ...votersOutgoing])].sort(compareIds)) {
      if (to !== this.id) this.#send(to, { type, lastIndex, lastTerm, transfer }, term)
    }
  }

  /** Never looks at the own configuration: whoever counts the vote knows whether it counts (raft-rs 57). */
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
      // Two that lost their leader together should not both become candidates, nor should they if this one does not
      // win.
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
    const commit = this.#commitForGood
    return { commit, commitTerm: this.#log.termAt(commit) ?? (0 as Term) }
  }

  #onVoteAnswer({ type, from, term, granted, commit, commitTerm }: VoteAnswerMessage): void {
    // A demoted voter with a longer log refuses its vote, and may be the only one that knows of its demotion. One with
    // a shorter log grants it, and may be the only one that knows that others, who are gone, are needed no more.
    const isNews = commit > this.#log.commit && this.#log.matches(commit, commitTerm)
    if (isNews && this.#lead === undefined) {
      this.#log.commitTo(commit)
      this.#giveUpCampaign()
    }
    const wanted = type === 'pre-vote-answer' ? 'pre-candidate' : 'candidate'
    // A granted pre-vote names the term of the election that would follow.
    const expected = type === 'pre-vote-answer' && granted ? this.#term + 1 : this.#term
    if (this.#role !== wanted || term !== expected) return
    if (!this.#votes.has(from)) this.#votes.set(from, granted)
    this.#countVotes()
  }

  /** What it has just learned may be a change that it must apply before it counts votes again. */
  #giveUpCampaign(): void {
    const obstacle = this.#whyNoCampaign()
    if (this.#role === 'follower' || obstacle === undefined) return
    this.#becomeFollower(this.#term, undefined, `no candidate any more: ${obstacle}`)
    this.#armElection(this.#timing.failoverDelayMaxMs)
  }

  #countVotes(): void {
    const result = voteResult(this.#configuration, this.#votes)
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

  /** Campaigns for a leader that hands over: without pre-vote, for nobody else will (thesis §3.10). */
  #takeOver(): void {
    if (this.#now >= this.#takeOverUntil || this.#whyNoCampaign() !== undefined) return
    this.#elect(true)
  }

  /** The only voter waits for nobody, but keeps the promise that leases demand. */
  #campaignAtOnceIfAlone(): void {
    const { voters, votersOutgoing } = this.#configuration
    if (voters.length !== 1 || voters[0] !== this.id || votersOutgoing.length > 0) return
    this.#electionAt = Math.max(this.#now, this.#contactAt + this.#leases.promiseMs)
  }

  /**
   * Draws the next election time-out. `patienceMs`: how long a campaign takes at least. One that fails over from a
   * leader whose process is gone waits no longer than it must: it should not lose an election time-out to a tie.
   * `apartMs`: about how far away the next election is otherwise; the further, the more it varies, or those that have
   * stood together would do so again.
   */
  #armElection(patienceMs = 0, apartMs = this.#timing.electionMinMs): void {
    const { electionMinMs, electionMaxMs, failoverDelayMaxMs } = this.#timing
    const random = this.#random()
    const delay =
      patienceMs > 0 && this.#now < this.#failoverUntil
        ? patienceMs * (1 + random)
        : Math.max(patienceMs, electionMinMs, apartMs / 2) +
          random * Math.max(electionMaxMs - electionMinMs, apartMs)
    // All are bound to a leader until the same moment, and should not stand together either.
    const boundUntil = this.#contactAt + this.#leases.promiseMs + random * failoverDelayMaxMs
    this.#electionAt = Math.max(this.#now + delay, boundUntil)
  }

  /**
   * About as far as elections lie back that nobody has won: the disks of some may be slower than elections, and each
   * makes them write once more. Not by how many those were: while a fail-over is tried in quick succession, and
   * messages are slow, they are many.
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
    this.#refuseReads(this.#askedReads.endAll(), leader === undefined ? 'no-leader' : 'leadership-lost')
    if (leader !== undefined) this.#askedTransfer.leaderIs(leader, nameOf(this.#configuration, leader))
  }

  #becomeFollower(term: Term, leader: ReplicaId | undefined, why: string): void {
    if (term !== this.#term) this.#setTerm(term)
    const was = this.#role
    if (this.#lead !== undefined) this.#loseLeadership(this.#lead)
    this.#role = 'follower'
    this.#votes = new Map()
    this.#setLeader(leader)
    this.#why = why
    // A follower keeps its time-out: neither a refused vote nor a higher term is contact with a leader (paper §5.2).
    if (was !== 'follower') this.#armElection()
  }

  #loseLeadership(lead: Leadership): void {
    this.#lead = undefined
    for (const { readers } of lead.rounds.open) {
      for (const reader of readers) this.#refuseRead(reader, 'leadership-lost')
    }
    for (const { reader } of lead.earlyReads) this.#refuseRead(reader, 'leadership-lost')
  }

  #becomeLeader(): void {
    this.#role = 'leader'
    this.#votes = new Map()
    this.#failoverUntil = Number.NEGATIVE_INFINITY
    this.#electionsSince = undefined
    this.#setLeader(this.id)
    this.#why = 'won the election'
    this.#clusterTimeMs = Math.max(this.#clusterTimeMs, this.#log.lastClusterTimeMs() ?? 0)
    const firstIndex = (this.#log.last + 1) as LogIndex
    const lead = new Leadership(this.#now, firstIndex, this.#clusterTimeMs, this.#timing.heartbeatMs)
    this.#lead = lead
    this.#forwardedSeqs = new ForwardedSeqs(this.#term, this.#limits.uncommittedEntriesMax)
    this.#followMembers(lead)
    // Commits everything before it (paper §5.4.2, §8).
    this.#appendOwn(lead, ENTRY_NOOP, new Uint8Array(0))
    for (const follower of lead.followers) this.#replicate(follower, true)
  }

  /** Follows the members of the configuration applied; who is let go, until a majority of the voters knows it. */
  #followMembers(lead: Leadership): void {
    for (const [id, follower] of lead.progress) {
      if (isMember(this.#configuration, id) || !this.settled) continue
      // A last word, so that it learns of its removal.
      this.#sendHeartbeat(follower, 0)
      lead.progress.delete(id)
    }
    for (const { id } of this.#configuration.members) {
      if (id === this.id || lead.progress.has(id)) continue
      lead.progress.set(id, new Progress(id, this.#log.last, this.#now, this.#limits))
    }
    lead.followers = [...lead.progress.values()].sort((a, b) => compareIds(a.id, b.id))
  }

  #settle(lead: Leadership): void {
    const reached = quorumValue(this.#configuration, (id) =>
      id === this.id ? this.#log.visible : (lead.progress.get(id)?.applied ?? 0),
    )
    this.#appliedByMajority = Math.max(this.#appliedByMajority, reached) as LogIndex
    if (this.settled) this.#followMembers(lead)
  }

  /** What every step of a leader may have made possible. */
  #afterLeaderStep(lead: Leadership, commitBefore: LogIndex): void {
    if (!this.settled) this.#settle(lead)
    if (this.#commitForGood > commitBefore) {
      for (const follower of lead.followers) this.#shareCommit(lead, follower)
      this.#serveEarlyReads(lead)
    }
    if (lead.retiring !== undefined) this.#retire(lead, lead.retiring)
    else this.#advanceMembership(lead)
  }

  /**
   * Whether it knows of all that is committed. What was committed before its term is in its log before `firstIndex`
   * (paper §5.4.3), so it does as soon as it knows all of that to be committed: at the latest with the first entry of
   * its term (paper §8).
   */
  #knowsCommit(lead: Leadership): boolean {
    return this.#log.commit >= lead.firstIndex - 1
  }

  #committedInTerm(lead: Leadership): boolean {
    return this.#log.commit >= lead.firstIndex
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Replication, the leader's side (paper §5.3)

  #beginRound(lead: Leadership, readers: readonly Reader[], to: 'voters' | 'all'): void {
    const readIndex = this.#knowsCommit(lead) ? this.#log.commit : undefined
    const { number, startedAt } = lead.rounds.begin(this.#now, readIndex, readers)
    if (this.#leases.trustMs > 0) lead.lease.began(number, startedAt)
    for (const follower of lead.followers) {
      if (to === 'all' || isVoter(this.#configuration, follower.id)) this.#sendHeartbeat(follower, number)
    }
    this.#confirmRounds(lead)
  }

  /** Sends a follower what it may be sent; with `force` also an append without entries, to learn where it stands. */
  #replicate(follower: Progress, force: boolean): void {
    if (follower.state === 'snapshot' || follower.probing) return
    if (this.#peers.lostState(follower.id) !== undefined) return
    // Its answers say when there is more for it. What it lacks is on our disk, and would be read in vain for each
    // change.
    if (follower.room === 'none' && !force) return
    const { last } = this.#log
    let forced = force
    while (forced || (follower.next <= last && !follower.paused)) {
      const prevIndex = (follower.next - 1) as LogIndex
      const prevTerm = this.#log.termAt(prevIndex)
      if (prevTerm === undefined) {
        this.#needSnapshot(follower)
        return
      }
      const room = follower.next <= last && !follower.paused
      const entries = room ? this.#nextEntries(follower) : []
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
   * Without room on its disk a follower takes those of the core only: one after the other, since what comes behind is
   * of no use to it.
   */
  #nextEntries({ next, room }: Progress): readonly Entry[] {
    const { last } = this.#log
    const to = (room === 'none' ? next + 1 : last + 1) as LogIndex
    const entries = this.#log.entries(next, to, this.#limits.appendBytesMax)
    return room === 'none' ? entries.filter(isOfCore) : entries
  }

  /**
   * With entries under way the next append tells a follower of the commit. An idle one is told at once if somebody
   * there waits for it, otherwise a little later: under load the next entries come first, and the message is saved.
   */
  #shareCommit(lead: Leadership, follower: Progress): void {
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
   * Who is let go hears of it when the others need it no more: it ends then, and whoever has asked it for its removal
   * takes it away.
   */
  #commitFor({ id }: Progress): LogIndex {
    const commit = this.#commitForGood
    const lead = this.#lead
    if (lead === undefined) return commit
    // Who is a member until that is applied may be let go by it.
    const leave = this.#unappliedChanges.leavesJointAfter(this.#log.applied)
    if (leave !== undefined && leave <= commit && !this.#configuration.voters.includes(id))
      return (leave - 1) as LogIndex
    if (this.settled || isMember(this.#configuration, id)) return commit
    return Math.min(commit, this.#leftJointAt - 1) as LogIndex
  }

  /** Never tells of a commit beyond what the follower is known to hold: its log may differ there. */
  #sendHeartbeat(follower: Progress, round: number): void {
    this.#send(follower.id, {
      type: 'heartbeat',
      commit: Math.min(this.#commitFor(follower), follower.match) as LogIndex,
      round,
      confirmed: follower.confirmedContact,
      appliedByMajority: this.#appliedByMajority,
    })
  }

  #needSnapshot(follower: Progress): void {
    if (follower.heardAt <= this.#now - this.#timing.electionMaxMs) return
    // It would refuse the snapshot (`whyNotSnapshot`), and be offered it anew with every heartbeat.
    if (follower.room !== 'enough') return
    const atLeast = (this.#log.first - 1) as LogIndex
    follower.becomeSnapshot(atLeast, this.#now)
    this.#snapshots.push({ to: follower.id, atLeast })
  }

  /** Books what every answer in this term says; undefined when the sender is not followed. */
  #answered(
    lead: Leadership,
    { from, round, sentAt }: AppendAcceptedMessage | AppendRejectedMessage | HeartbeatAnswerMessage,
    applied: LogIndex | undefined,
  ): Progress | undefined {
    const follower = lead.progress.get(from)
    if (follower === undefined) return undefined
    invariant(round <= lead.rounds.newest, () => `replica ${from} answers round ${round}, which never began`)
    follower.heardAt = this.#now
    if (applied !== undefined) {
      if (applied > follower.applied) follower.applied = applied
      // Only who has applied the lease setting keeps the promise that the lease rests on (RAFT-25), and only who has
      // its entry on disk keeps it through a restart: a follower may apply what is committed by the disks of others.
      const { since } = this.#leases
      const keepsPromise = applied >= since && follower.match >= since
      if (keepsPromise && round > follower.leaseRound) follower.leaseRound = round
    }
    if (follower.openContact === undefined && this.#knowsCommit(lead)) {
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
    if (lead.transfer?.target === follower.id && news) this.#pushTransfer(lead, lead.transfer)
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
    follower.room = message.room
    follower.hasToldRoom = true
    follower.catchUp(this.#log.last, this.#now)
    // Appends may be lost without a word; an empty one finds out (etcd).
    if (follower.match < this.#log.last || follower.state === 'probe') this.#replicate(follower, true)
  }

  /** Only an entry of the own term is committed by counting; those before it come along (paper §5.4.2). */
  #commitByCounting(): void {
    const lead = this.#lead
    if (lead === undefined) return
    const index = committedIndex(this.#configuration, (id) =>
      id === this.id ? this.#log.stable : (lead.progress.get(id)?.match ?? (0 as LogIndex)),
    )
    if (index <= this.#log.commit || this.#log.termAt(index as LogIndex) !== this.#term) return
    this.#log.commitTo(index as LogIndex)
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
      // What it was forwarded in this term, before it was lost sight of, may have been lost with the connection; it
      // hears of nothing twice.
      this.#sendForward(this.#outcomes.toForwardAgain(this.#term), from)
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
    // As if it was lost: it comes again, and the next heartbeat's answer says that it cannot be written now. What a
    // leader begins its term with is as small as a vote, and without it nothing is read.
    if (this.#room === 'none' && !entries.every(isOfCore)) return
    for (let at = 0; at < entries.length; at++) {
      const entry = entries[at]
      if (entry === undefined || entry.index !== prevIndex + 1 + at || entry.term > this.#term) {
        throw new InvariantError(
          `an append of term ${this.#term} after ${prevIndex} holds a wrong entry at ${at}`,
        )
      }
      // Only a conflict deletes: an append that arrives late must not cut off what came after it (paper §5.3).
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
    this.#appliedByMajority = Math.max(this.#appliedByMajority, appliedByMajority) as LogIndex
    this.#learnCommit(commit)
    if (confirmed !== undefined) this.#freshness.echoed(confirmed, this.#now, this.#log.visible)
    if (round === 0) return
    this.#send(from, {
      type: 'heartbeat-answer',
      round,
      sentAt: this.#freshness.stamp(this.#now),
      applied: this.#log.visible,
      lastIndex: this.#log.last,
      room: this.#room,
    })
  }

  /** A commit index that the leader has cut to what this replica acknowledged. */
  #learnCommit(commit: LogIndex): void {
    if (commit <= this.#log.commit) return
    const { last } = this.#log
    if (commit <= last) this.#log.commitTo(commit)
    else
      this.#fatal = `the leader knows entry ${commit} to be durable here, but the log ends at ${last}: this replica has lost durable state`
  }

  /** Comes from the own driver, complete and staged; what it holds is committed, whoever leads by now. */
  #onSnapshot({ from, term, meta, snapshotId, clusterTimeMs }: SnapshotMessage): void {
    if (term > this.#term) this.#becomeFollower(term, from, `heard the leader of term ${term}`)
    if (term === this.#term) this.#leaderContact(from)
    // A leader holds everything that is committed.
    if (meta.index > this.#log.commit && this.#role !== 'leader') {
      if (this.#role !== 'follower') this.#becomeFollower(this.#term, undefined, 'a snapshot arrived')
      this.#restore(meta, snapshotId)
      this.#clusterTimeMs = Math.max(this.#clusterTimeMs, clusterTimeMs)
    }
    if (term === this.#term) this.#accept(from, this.#log.commit, 0)
  }

  #restore(meta: SnapshotMeta, snapshotId: string): void {
    const { index, term, state } = meta
    invariant(term <= this.#term, () => `a snapshot of term ${term} in term ${this.#term}`)
    const logKept = this.#log.restore(meta, snapshotId)
    if (!logKept) this.#forgetCoreEntries(0 as LogIndex)
    this.#unappliedChanges.restored(index)
    this.#leases.restored(state.leases, index)
    this.#configuration = state.configuration
    this.#leftJointAt = index
    this.#outcomes.hidden(term, this.#proposalOutcomes)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The log's edge, for both

  #append(entry: Entry): void {
    this.#log.append(entry)
    this.#noteCoreEntry(entry)
  }

  #truncate(from: LogIndex): void {
    this.#log.truncate(from)
    this.#forgetCoreEntries(from)
  }

  #forgetCoreEntries(from: LogIndex): void {
    this.#unappliedChanges.truncatedFrom(from)
    this.#leases.truncatedFrom(from)
  }

  #noteCoreEntry({ index, frame }: Entry): void {
    const kind = frameKind(frame)
    if (kind >= ENTRY_KINDS_OF_CORE || kind === ENTRY_NOOP) return
    if (kind === ENTRY_CONFIGURATION) this.#unappliedChanges.appended(index, decodeChange(frameBody(frame)))
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
      // The others are asked only now, and their disks may take as long.
      const tookMs = this.#now - this.#candidateSince
      this.#armElection(
        this.#twice(Math.max(this.#timing.failoverDelayMaxMs, tookMs)),
        this.#electionsApartMs(),
      )
      this.#countVotes()
    }
    // The leader counts itself like any follower: by what is durable (thesis §10.2.1).
    this.#commitByCounting()
  }

  #appliedTo(index: LogIndex): void {
    // A snapshot may have overtaken what the driver was applying.
    if (index <= this.#log.applied) return
    this.#log.appliedTo(index)
    if (this.#leases.appliedTo(index)) this.#restartLease()
    for (;;) {
      const next = this.#unappliedChanges.takeApplied(index)
      if (next === undefined) break
      this.#changeConfiguration(next.index, next.change)
    }
    this.#freshness.applied(this.#log.visible)
    this.#takeOver()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Proposals

  #propose(proposals: readonly Proposal[]): void {
    const lead = this.#lead
    if (lead !== undefined) {
      const clusterTimeMs = lead.clusterTimeMs(this.#now)
      for (const proposal of proposals) {
        const refusal = this.#whyNotAppend(lead, proposal.frame)
        if (refusal !== undefined) {
          this.#proposalOutcomes.push({ seq: proposal.seq, outcome: 'refused', refusal })
          continue
        }
        invariant(!this.#outcomes.has(proposal.seq), () => `proposal ${proposal.seq} is made twice`)
        this.#outcomes.appended(proposal, this.#term)
        this.#stampAndAppend(proposal.frame, clusterTimeMs)
      }
      for (const follower of lead.followers) this.#replicate(follower, false)
      return
    }
    const leader = this.#reachableLeader()
    if (leader !== undefined) this.#forward(proposals, leader)
    // What is forwarded while the connection is broken may be lost, or arrive before what was lost with it, and the
    // leader hears of no earlier proposal after a later one.
    else for (const { seq } of proposals) this.#refuseProposal(seq, { reason: 'no-leader' })
  }

  /**
   * Another replica that leads, and hears in this moment what this one asks: not while its own term waits for a disk
   * that stalls.
   */
  #reachableLeader(): ReplicaId | undefined {
    const leader = this.#leader
    if (leader === undefined || this.#peers.isDisconnected(leader)) return undefined
    return this.#termWrite > this.#log.storedWrite && this.#diskStalls() ? undefined : leader
  }

  #refuseProposal(seq: number, refusal: Refusal): void {
    this.#proposalOutcomes.push({ seq, outcome: 'refused', refusal })
  }

  #whyNotAppend(lead: Leadership, frame: Uint8Array): Refusal | undefined {
    const { entryBytesMax, uncommittedBytesMax, uncommittedEntriesMax } = this.#limits
    invariant(frame.length >= BODY_AT, () => `a frame of ${frame.length} bytes has no header`)
    if (frame.length > entryBytesMax) {
      return {
        reason: 'too-large',
        detail: `an entry may have ${entryBytesMax} bytes, this one has ${frame.length}`,
      }
    }
    const kind = frameKind(frame)
    if (lead.transfer !== undefined) return { reason: 'transferring' }
    if (lead.retiring !== undefined && kind === ENTRY_CONFIGURATION) return { reason: 'transferring' }
    const noRoom = this.#whyNoRoom(lead, kind)
    if (noRoom !== undefined) return noRoom
    if (kind < ENTRY_KINDS_OF_CORE) return this.#whyNotCoreEntry(lead, kind, frame)
    const entries = this.#log.last - this.#log.commit
    if (entries === 0) return undefined
    const bytes = this.#log.uncommittedBytes
    if (entries < uncommittedEntriesMax && bytes + frame.length <= uncommittedBytesMax) return undefined
    return {
      reason: 'overloaded',
      detail: `${entries} entries (${bytes} bytes) are not committed yet; limits: ${uncommittedEntriesMax} and ${uncommittedBytesMax} bytes`,
    }
  }

  #whyNotCoreEntry(lead: Leadership, kind: number, frame: Uint8Array): Refusal | undefined {
    try {
      if (kind === ENTRY_CONFIGURATION) {
        return whyNotChange(decodeChange(frameBody(frame)), this.#changeContext(lead))
      }
      if (kind === ENTRY_LEASES) {
        const { on, durationMs } = decodeLeases(frameBody(frame))
        if (!on || durationMs > 0) return undefined
        return { reason: 'membership', detail: 'a lease must have a duration' }
      }
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return { reason: 'membership', detail: error.message }
    }
    return { reason: 'membership', detail: `the leader does not take entries of kind ${kind}` }
  }

  #stampAndAppend(frame: Uint8Array, clusterTimeMs: number): void {
    const index = (this.#log.last + 1) as LogIndex
    stampFrame(frame, this.#term, index, clusterTimeMs)
    this.#append({ index, term: this.#term, frame })
  }

  /** An entry of the leader's own making; seq 0 says that nobody waits for it. */
  #appendOwn(lead: Leadership, kind: number, body: Uint8Array): void {
    const frame = newFrame({ kind, version: 1, proposer: this.id, boot: this.#boot, seq: 0 }, body.length)
    frame.set(body, BODY_AT)
    this.#stampAndAppend(sealFrame(frame, this.#crc32), lead.clusterTimeMs(this.#now))
  }

  #forward(proposals: readonly Proposal[], leader: ReplicaId): void {
    const { entryBytesMax, uncommittedBytesMax, uncommittedEntriesMax } = this.#limits
    const accepted: Proposal[] = []
    for (const proposal of proposals) {
      const { seq, frame } = proposal
      const bytes = this.#outcomes.forwardedBytes
      if (frame.length > entryBytesMax) {
        const detail = `an entry may have ${entryBytesMax} bytes, this one has ${frame.length}`
        this.#refuseProposal(seq, { reason: 'too-large', detail })
      } else if (
        this.#outcomes.size >= uncommittedEntriesMax ||
        (bytes > 0 && bytes + frame.length > uncommittedBytesMax)
      ) {
        const detail = `${this.#outcomes.size} proposals (${bytes} bytes) wait for the leader`
        this.#refuseProposal(seq, { reason: 'overloaded', detail })
      } else if (this.lacksRoom) {
        // It could not write the entry, so it would never learn what became of the proposal. Another node may take it,
        // so this is not `storage-full`.
        this.#refuseProposal(seq, { reason: 'overloaded', detail: 'the disk of this node is nearly full' })
      } else if (!this.#outcomes.mayForward(seq, this.#term)) {
        // The leader of this term has heard of this seq, and hears of none twice.
        this.#refuseProposal(seq, { reason: 'not-leader' })
      } else {
        this.#outcomes.forwarded(proposal, this.#term)
        accepted.push(proposal)
      }
    }
    this.#sendForward(accepted, leader)
  }

  /** In messages no larger than an append may be. */
  #sendForward(proposals: readonly Proposal[], to: ReplicaId): void {
    let bytes = 0
    let begin = 0
    for (let end = 1; end <= proposals.length; end++) {
      bytes += proposals[end - 1]?.frame.length ?? 0
      const next = proposals[end]?.frame.length
      if (next !== undefined && bytes + next <= this.#limits.appendBytesMax) continue
      const part = proposals.slice(begin, end)
      this.#send(to, { type: 'forward', boot: this.#boot, proposals: part })
      begin = end
      bytes = 0
    }
  }

  #onForward({ from, term, boot, proposals }: ForwardMessage): void {
    const seqs = this.#forwardedSeqs
    // Whether an earlier process of this replica led that term is not known here: the log will tell the origin.
    if (term !== seqs.term) return
    const lead = this.#lead
    const clusterTimeMs = lead === undefined ? 0 : lead.clusterTimeMs(this.#now)
    const refused: { readonly seq: number; readonly refusal: Refusal }[] = []
    for (const { seq, frame } of proposals) {
      if (!seqs.isNew(from, boot, seq)) {
        // Its answer may have been lost.
        const before = seqs.refusal(from, boot, seq)
        if (before !== undefined) refused.push({ seq, refusal: before })
        continue
      }
      const refusal: Refusal | undefined =
        lead === undefined ? { reason: 'not-leader' } : this.#whyNotAppend(lead, frame)
      seqs.heard(from, boot, seq, refusal)
      if (refusal === undefined) this.#stampAndAppend(frame, clusterTimeMs)
      else refused.push({ seq, refusal })
    }
    if (refused.length > 0) {
      this.#send(from, { type: 'forward-refused', meantFor: term, refused })
    }
    if (lead === undefined) return
    const origin = lead.progress.get(from)
    if (origin !== undefined) origin.awaits = this.#log.last
    for (const follower of lead.followers) this.#replicate(follower, false)
  }

  #onForwardRefused({ meantFor, refused }: ForwardRefusedMessage): void {
    for (const { seq, refusal } of refused) {
      if (this.#outcomes.refused(seq, meantFor)) this.#refuseProposal(seq, refusal)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Reads (thesis §6.4)

  #read(reads: readonly ReadRequest[]): void {
    if (this.#lead !== undefined) {
      const asked = reads.map(({ id, lease }): EarlyRead => ({ reader: { kind: 'local', id }, lease }))
      this.#serveReads(this.#lead, asked)
      return
    }
    const to = this.#reachableLeader()
    if (to === undefined) {
      this.#refuseReads(
        reads.map(({ id }) => id),
        'no-leader',
      )
      return
    }
    for (const lease of [false, true]) {
      const ids = reads.filter((read) => read.lease === lease).map(({ id }) => id)
      if (ids.length === 0) continue
      const request = this.#askedReads.ask(ids, this.#now + this.#timing.electionMaxMs)
      this.#send(to, { type: 'read-index', request, lease })
    }
  }

  #onReadIndex({ from, request, lease }: ReadIndexMessage): void {
    const reader: Reader = { kind: 'remote', from, request }
    if (this.#lead === undefined) this.#refuseRead(reader, 'not-leader')
    else this.#serveReads(this.#lead, [{ reader, lease }])
  }

  #serveReads(lead: Leadership, asked: readonly EarlyRead[]): void {
    if (!this.#knowsCommit(lead)) {
      for (const read of asked) {
        if (lead.earlyReads.length < EARLY_READS_MAX) lead.earlyReads.push(read)
        else this.#refuseRead(read.reader, 'not-ready')
      }
      return
    }
    const index = this.#log.commit
    const leaseHolds = this.#leaseHolds(lead)
    const inRound: Reader[] = []
    for (const { reader, lease } of asked) {
      if (lease && leaseHolds) this.#confirmRead(reader, index, true)
      else inRound.push(reader)
    }
    if (inRound.length > 0) this.#beginRound(lead, inRound, 'voters')
  }

  #serveEarlyReads(lead: Leadership): void {
    const early = lead.earlyReads
    lead.earlyReads = []
    this.#serveReads(lead, early)
  }

  #confirmRounds(lead: Leadership): void {
    const { newest } = lead.rounds
    const confirmed = quorumValue(this.#configuration, (id) =>
      id === this.id ? newest : (lead.progress.get(id)?.round ?? 0),
    )
    for (const { readIndex, startedAt, readers } of lead.rounds.confirm(confirmed)) {
      if (readIndex === undefined) continue
      for (const reader of readers) this.#confirmRead(reader, readIndex, false)
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

  #confirmRead(reader: Reader, index: LogIndex, lease: boolean): void {
    if (reader.kind === 'local') {
      this.#readOutcomes.push({ id: reader.id, outcome: 'confirmed', index, lease })
      return
    }
    const { from: to, request } = reader
    const follower = this.#lead?.progress.get(to)
    const commit = follower === undefined ? 0 : Math.min(follower.match, this.#commitFor(follower))
    this.#send(to, {
      type: 'read-index-answer',
      request,
      index,
      refusal: undefined,
      lease,
      commit: commit as LogIndex,
    })
  }

  #refuseRead(reader: Reader, refusal: ReadRefusal): void {
    if (reader.kind === 'local') {
      this.#readOutcomes.push({ id: reader.id, outcome: 'refused', refusal })
      return
    }
    const { from: to, request } = reader
    this.#send(to, {
      type: 'read-index-answer',
      request,
      index: undefined,
      refusal,
      lease: false,
      commit: 0 as LogIndex,
    })
  }

  #onReadIndexAnswer({ from, request, index, refusal, lease, commit }: ReadIndexAnswerMessage): void {
    const ids = from === this.#leader ? this.#askedReads.answered(request) : undefined
    if (ids === undefined) return
    if (index === undefined) {
      this.#refuseReads(ids, refusal ?? 'not-leader')
      return
    }
    this.#learnCommit(commit)
    for (const id of ids) this.#readOutcomes.push({ id, outcome: 'confirmed', index, lease })
  }

  #refuseReads(ids: readonly number[], refusal: ReadRefusal): void {
    for (const id of ids) this.#readOutcomes.push({ id, outcome: 'refused', refusal })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Leases (thesis §6.4.1; RAFT-25)

  #leaseHolds(lead: Leadership): boolean {
    if (lead.retiring !== undefined || !this.#committedInTerm(lead)) return false
    return lead.lease.holds(this.#now, this.#leases.trustMs, this.#timing.driftMax)
  }

  #restartLease(): void {
    const lead = this.#lead
    if (lead === undefined) return
    lead.lease.restart()
    for (const follower of lead.followers) follower.leaseRound = 0
  }

  #extendLease(lead: Leadership): void {
    const { newest } = lead.rounds
    const counted = quorumValue(this.#configuration, (id) =>
      id === this.id ? newest : (lead.progress.get(id)?.leaseRound ?? 0),
    )
    lead.lease.confirmed(counted, this.#now, this.#leases.applied.durationMs)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Membership (paper §6, thesis §4)

  #changeContext(lead: Leadership): ChangeContext {
    const activeSince = this.#now - this.#timing.electionMaxMs
    const isActive = (id: ReplicaId): boolean => {
      const follower = lead.progress.get(id)
      if (follower === undefined) return id === this.id
      return follower.heardAt > activeSince && !cannotCatchUp(follower, this.#log)
    }
    return {
      configuration: this.#configuration,
      unapplied: this.#unappliedChanges.oldest,
      committedInTerm: this.#committedInTerm(lead),
      isActive,
      isUnheard: () => lead.electedAt > activeSince,
      isCaughtUp: (id) => this.#isCaughtUp(lead, id),
    }
  }

  #isCaughtUp(lead: Leadership, id: ReplicaId): boolean {
    return lead.progress.get(id)?.isCaughtUp(this.#now, this.#timing.electionMinMs) === true
  }

  /**
   * The changes that a leader makes by itself: it leaves a joint configuration, and promotes learners one at a time.
   */
  #advanceMembership(lead: Leadership): void {
    const { configuration } = this
    const joint = isJoint(configuration)
    if (lead.transfer !== undefined || this.#unappliedChanges.oldest !== undefined) return
    if (!this.#committedInTerm(lead)) return
    if (joint) {
      this.#appendChange(lead, { kind: 'leave-joint' })
      return
    }
    for (const id of configuration.learners) {
      if (configuration.demoted.includes(id) || !this.#isCaughtUp(lead, id)) continue
      // As a voter, one that is short of room could keep the others from making changes.
      const { hasToldRoom, room } = lead.progress.get(id) ?? {}
      if (!hasToldRoom || room !== 'enough') continue
      const promote: ConfigurationChange = { kind: 'change', steps: [{ kind: 'promote', id }] }
      if (whyNotChange(promote, this.#changeContext(lead)) === undefined) this.#appendChange(lead, promote)
      return
    }
  }

  #appendChange(lead: Leadership, change: ConfigurationChange): void {
    this.#appendOwn(lead, ENTRY_CONFIGURATION, encodeChange(change))
    for (const follower of lead.followers) this.#replicate(follower, false)
  }

  /** A change is applied: from now on it counts (RAFT-15). */
  #changeConfiguration(index: LogIndex, change: ConfigurationChange): void {
    const result = applyChange(this.#configuration, change)
    invariant(
      result.ok,
      () => `entry ${index} cannot change the configuration: ${result.ok ? '' : result.detail}`,
    )
    this.#configuration = result.configuration
    if (change.kind === 'leave-joint') this.#leftJointAt = index
    const lead = this.#lead
    // A candidate applies none: it does not stand while a committed change is not applied.
    if (lead === undefined) return
    this.#followMembers(lead)
    // Fewer may be needed now than before.
    this.#commitByCounting()
    this.#confirmRounds(lead)
    const target = lead.transfer?.target
    if (target !== undefined && !this.#configuration.voters.includes(target)) {
      this.#abortTransfer(lead, `${nameOf(this.#configuration, target)} is no longer a voter`)
    }
    if (isVoter(this.#configuration, this.id)) return
    lead.retiring = { deadline: this.#now + this.#timing.electionMaxMs }
    this.#beginRound(lead, [], 'all')
  }

  /**
   * A leader that is no voter any more goes on until a majority of the new voters has applied that, so that none of
   * them is left with the old configuration; then it hands over (thesis §4.2.2).
   */
  #retire(lead: Leadership, { deadline }: Retirement): void {
    if (lead.transfer !== undefined || (!this.settled && this.#now < deadline)) return
    const target = this.#bestSuccessor(lead)
    if (target !== undefined) this.#beginTransfer(lead, target)
    else this.#becomeFollower(this.#term, undefined, 'no longer a voter, and nobody can take over')
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Leadership transfer (thesis §3.10)

  #askTransfer(to: ReplicaId | undefined): void {
    const from = this.#leader
    if (from === undefined) {
      this.#askedTransfer.answer('refused', 'there is no leader')
      return
    }
    if (to === from) {
      this.#askedTransfer.answer('done', `${nameOf(this.#configuration, to)} leads already`)
      return
    }
    const lead = this.#lead
    if (lead === undefined) {
      this.#rememberAsked(to, from)
      this.#send(from, { type: 'transfer-request', target: to })
      return
    }
    const target = to ?? lead.transfer?.target ?? this.#bestSuccessor(lead)
    if (target === undefined) {
      this.#askedTransfer.answer('refused', 'no other voter can be reached')
      return
    }
    const why = this.#whyNoSuccessor(lead, target)
    if (why !== undefined) {
      this.#askedTransfer.answer('refused', why)
      return
    }
    this.#rememberAsked(to, from)
    if (lead.transfer?.target !== target) this.#beginTransfer(lead, target)
  }

  #rememberAsked(to: ReplicaId | undefined, from: ReplicaId): void {
    const deadline = this.#now + 2 * this.#timing.electionMaxMs
    this.#askedTransfer.ask(to, from, deadline, (id) => nameOf(this.#configuration, id))
  }

  #onTransferRequest({ target: to }: TransferRequestMessage): void {
    const lead = this.#lead
    if (lead === undefined) return
    const target = to ?? lead.transfer?.target ?? this.#bestSuccessor(lead)
    if (target === undefined || target === lead.transfer?.target) return
    if (this.#whyNoSuccessor(lead, target) === undefined) this.#beginTransfer(lead, target)
  }

  #whyNoSuccessor(lead: Leadership, id: ReplicaId): string | undefined {
    const name = nameOf(this.#configuration, id)
    const follower = lead.progress.get(id)
    if (follower === undefined) return `${name} is no member of the cluster`
    if (!this.#configuration.voters.includes(id)) return `${name} is not a voter`
    // Who has just been elected has heard nobody in its term yet: that is no silence.
    const heardAt = Math.max(follower.heardAt, lead.electedAt)
    if (heardAt <= this.#now - this.#timing.electionMaxMs) return `${name} cannot be reached`
    return undefined
  }

  /** The reachable voter with the longest log, of those that are wanted. */
  #bestSuccessor(
    lead: Leadership,
    wanted: (follower: Progress) => boolean = () => true,
  ): ReplicaId | undefined {
    let best: Progress | undefined
    for (const follower of lead.followers) {
      if (!wanted(follower) || this.#whyNoSuccessor(lead, follower.id) !== undefined) continue
      if (best === undefined || follower.match > best.match) best = follower
    }
    return best?.id
  }

  #beginTransfer(lead: Leadership, target: ReplicaId): void {
    lead.transfer = { target, deadline: this.#now + this.#timing.electionMaxMs }
    lead.lease.end()
    this.#pushTransfer(lead, lead.transfer)
  }

  /** First the target must have the whole log, or it cannot win; no new entries are let in meanwhile. */
  #pushTransfer(lead: Leadership, { target }: Transfer): void {
    const follower = lead.progress.get(target)
    if (follower === undefined) return
    if (follower.match < this.#log.last) {
      this.#replicate(follower, true)
      return
    }
    this.#send(target, { type: 'timeout-now' })
    if (lead.retiring !== undefined) {
      this.#becomeFollower(this.#term, undefined, 'no longer a voter: handed over')
    }
  }

  #abortTransfer(lead: Leadership, detail: string): void {
    lead.transfer = undefined
    lead.noHandOverUntil = this.#now + HAND_OVER_AGAIN * this.#timing.electionMaxMs
    if (this.#askedTransfer.isOpen) this.#askedTransfer.end('aborted', detail)
    if (lead.retiring !== undefined || this.#diskStalls()) {
      this.#becomeFollower(this.#term, undefined, `handing over failed: ${detail}`)
    }
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Connections and snapshots under way

  #connected(peer: ReplicaId, boot: number, term: Term, lastIndex: LogIndex): void {
    const follower = this.#lead?.progress.get(peer)
    const name = nameOf(this.#configuration, peer)
    const expected = { name, term: this.#term, match: follower?.match ?? (0 as LogIndex) }
    const isOther = this.#peers.connected(peer, { boot, term, lastIndex }, expected)
    const lost = this.#peers.lostState(peer)
    if (lost !== undefined) {
      this.#tellLostState(peer, lost)
      return
    }
    if (follower !== undefined) {
      // An echo for the process before would mean nothing to this one.
      if (isOther) follower.forgetContact()
      follower.probing = false
      this.#replicate(follower, follower.state === 'probe')
    }
    if (peer === this.#leader) {
      this.#sendForward(this.#outcomes.toForwardAgain(this.#term), peer)
    }
  }

  #disconnected(peer: ReplicaId): void {
    this.#peers.disconnected(peer)
    const follower = this.#lead?.progress.get(peer)
    // What was under way may be lost: find out where the logs meet.
    if (follower?.state === 'replicate') follower.becomeProbe()
    if (peer === this.#leader) this.#refuseReads(this.#askedReads.endAll(), 'leadership-lost')
  }

  #refused(peer: ReplicaId): void {
    this.#disconnected(peer)
    if (peer !== this.#leader) return
    // With leases on, a leader that is alive but cut off may be serving reads on our promise.
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
    // The next answer shows whether it arrived; until then nothing is sent.
    follower.probing = true
  }
}
