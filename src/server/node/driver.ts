// The driver joins core, state machine and storage into one running node.
//
// In one turn of the event loop the clients' requests are collected, the core takes one step, and its output is carried
// out. Entries go to storage and to the peers at the same time. A message leaves once the write that it names is
// durable. Committed entries are applied, and waiting clients are answered. The driver needs no knowledge of Raft to be
// safe: the core's output spells out every duty.
//
// Nothing here blocks: storage, network and clock use callbacks. So the simulator runs this file in virtual time.

import { crc32 } from 'node:zlib'
import {
  type Applied,
  CLUSTER_VERSION,
  decodeState,
  type KeyRow,
  type LeaseId,
  type Outcome,
  type Request,
  type Revision,
} from '../../kv/index.ts'
import {
  type Configuration,
  type ConfigurationChange,
  decodeAppliedState,
  ENTRY_CONFIGURATION,
  ENTRY_LEASES,
  type Entry,
  encodeAppliedState,
  encodeChange,
  encodeLeases,
  finalConfiguration,
  type Input,
  isJoint,
  isMember,
  isVoter,
  type LeaseSetting,
  type LogIndex,
  type Message,
  type Output,
  Raft,
  type RaftLimits,
  type RaftTiming,
  type ReplicaId,
  type RoleChange,
  type Term,
  type UnderWay,
  type Write,
} from '../../raft/index.ts'
import { CorruptionError, ScanEndedError, UnfitReplicaError } from '../../storage/index.ts'
import type { Range, SnapshotSink, SnapshotSource, Storage } from '../../storage/types.ts'
import { Applier } from './applier.ts'
import { ClusterVersions } from './cluster-version.ts'
import { type Disk, DiskSpace } from './disk-space.ts'
import { DiskSpacePolicy } from './disk-space-policy.ts'
import { GroupCommit, type StoredBatch } from './group-commit.ts'
import { HistoryCompactor } from './history-compactor.ts'
import { ForwardedKeepAlives } from './leases/forwarded-keep-alives.ts'
import { LeaseKeeper } from './leases/lease-keeper.ts'
import { leaseNow, scanKeysOfLease, scanLeases } from './leases/lease-rows.ts'
import type { DriverLimits } from './limits.ts'
import { Members, removedText } from './members.ts'
import type { ProposalEnd } from './proposals.ts'
import { Proposer } from './proposer.ts'
import { Reads } from './reads.ts'
import { getRecord, type ListOptions, type RecordScan, scanRecords } from './record-scan.ts'
import { Scrubber } from './scrubber.ts'
import { StateHashMonitor } from './state-hash-monitor.ts'
import { StateWaiters } from './state-waiters.ts'
import { StepTimer } from './step-timer.ts'
import { type TransferRefusal, TransferRequests } from './transfer-requests.ts'
import type {
  Clock,
  DiskSpaceState,
  Greeting,
  KeepAliveAnswer,
  KeepAliveQuestion,
  LeaseNow,
  Logger,
  Network,
  NetworkEvents,
  NodeApi,
  NodeEnd,
  NodeStatus,
  Problem,
  ReadGrant,
  ReadOptions,
  Result,
  Scan,
  StateHashAt,
  Timer,
} from './types.ts'
import { type Watch, type WatchCounts, WatchHub, type WatchRequest, type WatchSink } from './watch/index.ts'
import { LeaderLoss } from './watch/leader-loss.ts'

/** Receives the events for metrics. Every method is called on a hot path and must be cheap. */
export interface DriverObserver {
  /** `count`: the callers that waited for it. */
  proposalEnded(outcome: 'committed' | 'refused' | 'unknown', count: number): void
  batchStored(ms: number, entries: number): void
  entriesApplied(count: number): void
  roleChanged(change: RoleChange): void
}

export interface DriverOptions {
  readonly clock: Clock
  /** The disk with the storage's files. */
  readonly disk: Disk
  readonly storage: Storage
  readonly timing: RaftTiming
  readonly raftLimits: RaftLimits
  readonly limits: DriverLimits
  /** A random number, uniform in [0, 1). */
  readonly random: () => number
  readonly logger: Logger
  readonly observer: DriverObserver
  /** host:port of the peer listener, for the greeting. */
  readonly peerAddress: () => string
  /** The node has ended for this reason. The caller closes HTTP and other servers. */
  readonly onEnd: (end: NodeEnd) => void
}

export class Driver implements NodeApi, NetworkEvents {
  readonly name: string
  readonly clusterId: string
  readonly #replicaId: ReplicaId
  readonly #options: DriverOptions
  readonly #clock: Clock
  readonly #storage: Storage
  readonly #raft: Raft
  readonly #applier: Applier
  readonly #commits: GroupCommit
  readonly #proposer: Proposer
  readonly #reads: Reads
  readonly #waits: StateWaiters
  readonly #hashes: StateHashMonitor
  readonly #scrubber: Scrubber
  readonly #space: DiskSpace
  readonly #spacePolicy: DiskSpacePolicy
  readonly #sendingSnapshot = new Set<ReplicaId>()
  readonly #versions: ClusterVersions
  readonly #compactor: HistoryCompactor
  readonly #watches: WatchHub
  readonly #forwarded: ForwardedKeepAlives
  readonly #leases: LeaseKeeper
  readonly #leaderLoss: LeaderLoss
  readonly #transfers: TransferRequests
  readonly #members: Members
  readonly #timer: StepTimer
  /** The commit index at the start. The node is not ready before it has applied everything up to there. */
  readonly #commitAtStart: LogIndex

  #network: Network | undefined
  #ended: NodeEnd | undefined
  #endsSoon = false
  #draining = false
  #applying = false
  #applySoon = false
  #wakeSoon = false
  #retry: Timer | undefined
  #hashTimer: Timer | undefined
  /** The core's encoded state after the last applied entry. */
  #raftState: Uint8Array

  constructor(options: DriverOptions) {
    const { storage, clock, limits } = options
    this.#options = options
    this.#clock = clock
    this.#storage = storage
    this.name = storage.identity.name
    this.clusterId = storage.identity.clusterId
    this.#replicaId = storage.identity.replicaId
    this.#versions = new ClusterVersions(this.#replicaId)
    this.#raftState = storage.applied.raft
    this.#commitAtStart = storage.hardState.commit
    this.#raft = new Raft({
      id: this.#replicaId,
      boot: storage.boot,
      hardState: storage.hardState,
      appliedIndex: storage.applied.index,
      applied: decodeAppliedState(storage.applied.raft),
      clusterTimeMs: decodeState(storage.applied.kv).clusterTimeMs,
      log: storage.log,
      limits: options.raftLimits,
      timing: options.timing,
      random: options.random,
      admission: (frame) => this.#spacePolicy.admission(frame),
      crc32,
      now: clock.now(),
    })
    this.#timer = new StepTimer(clock, (lateMs) => this.#tick(lateMs))
    this.#members = new Members({
      raft: this.#raft,
      logger: options.logger,
      setPeers: (peers) => this.#network?.setPeers(peers),
    })
    this.#hashes = new StateHashMonitor(this.#replicaId, {
      logger: options.logger,
      voters: () => this.configuration.voters,
      diverged: (error) => this.#fail(error),
    })
    this.#scrubber = new Scrubber(clock, storage, limits, (error) => this.#fail(error))
    this.#space = new DiskSpace(clock, limits, options.disk, {
      changed: (state) => this.#spaceChanged(state),
      compact: (done, isRoom) => this.#compact(done, isRoom),
      endOldScans: () => this.#storage.endOldScans(),
    })
    this.#spacePolicy = new DiskSpacePolicy({
      clock,
      timing: options.timing,
      space: this.#space,
      raft: this.#raft,
      handOver: () => this.#step({ kind: 'transfer', now: clock.now(), to: undefined }),
    })
    this.#waits = new StateWaiters(clock)
    this.#transfers = new TransferRequests({
      clock,
      logger: options.logger,
      raft: this.#raft,
      waits: this.#waits,
      end: () => this.#ended,
      leaderName: () => this.leaderName,
      step: (to, refuse) => this.#step({ kind: 'transfer', now: clock.now(), to }, refuse),
    })
    this.#proposer = new Proposer({
      clock,
      limits,
      boot: storage.boot,
      raft: this.#raft,
      end: () => this.#ended,
      wake: () => this.#wake(),
      step: (proposals) => this.#step({ kind: 'propose', now: clock.now(), proposals }),
      proposalEnded: (end, count) => this.#proposalEnded(end, count),
    })
    this.#applier = new Applier(storage, {
      coreEntryApplied: (entry) => this.#coreEntryApplied(entry),
      encodedRaftState: () => this.#raftState,
      applied: (entry, result) => this.#entryApplied(entry, result),
      leaseChanged: (rowKey, row, timeMs) => this.#leases.rowChanged(rowKey, row, timeMs),
      entryRead: () => this.#orFail(() => this.#apply()),
      failed: (error) => this.#fail(error),
    })
    const [raft, applier, spacePolicy] = [this.#raft, this.#applier, this.#spacePolicy]
    this.#compactor = new HistoryCompactor({
      get state() {
        return applier.state
      },
      clusterTimeMs: () => raft.clusterTimeMs(clock.now()),
      get: (rowKey) => {
        let row: Uint8Array | undefined
        this.#orFail(() => {
          row = storage.get(rowKey)
        })
        return row
      },
      propose: (request, done) => this.propose(request, limits.hashIdleMs, ({ ok }) => done(ok)),
    })
    this.#watches = new WatchHub({
      clock,
      limits,
      storage,
      state: applier.state,
      failed: (error) => this.#fail(error),
    })
    this.#leaderLoss = new LeaderLoss(clock, limits.watchLeaderlessMs, this.#watches)
    const leaseNode = {
      get state() {
        return applier.state
      },
      get appliedTerm() {
        return storage.applied.term
      },
      leading: () => {
        const clusterTimeMs = raft.clusterTimeMs(clock.now())
        return clusterTimeMs === undefined ? undefined : { term: raft.term, clusterTimeMs }
      },
      scan: (range: Range) => this.#guarded(() => storage.scan(range)),
      confirm: (timeoutMs: number, done: (problem: Problem | undefined) => void) =>
        this.read({ ...LINEARIZABLE, timeoutMs }, (result) => done(result.ok ? undefined : result.problem)),
      propose: (request: Request, timeoutMs: number, done: (result: Result<Outcome>) => void) =>
        this.propose(request, timeoutMs, (result) =>
          done(result.ok ? { ok: true, value: result.value.outcome } : result),
        ),
      askLeader: (...asked: Parameters<ForwardedKeepAlives['ask']>) => this.#forwarded.ask(...asked),
      failed: (error: Error) => this.#fail(error),
    }
    this.#forwarded = new ForwardedKeepAlives(
      {
        leader: () => {
          const { leader } = raft
          return leader !== this.#replicaId ? leader : undefined
        },
        ask: (leader, question) => this.#network?.askToKeepAlive(leader, question),
      },
      clock,
      storage.boot,
    )
    this.#leases = new LeaseKeeper(leaseNode, clock, limits)
    this.#commits = new GroupCommit(clock, storage, limits, {
      hardState: () => this.#raft.hardState(),
      neededAfter: () => this.#raft.neededAfter,
      isShortOfSpace: () => this.#space.state !== 'enough',
      send: (message) => this.#network?.send(message),
      stored: (batch) => this.#stored(batch),
      failed: (error) => this.#fail(error),
    })
    this.#reads = new Reads(clock, limits, {
      get revision() {
        return applier.state.revision
      },
      get appliedIndex() {
        return applier.index
      },
      get hasLeader() {
        return raft.leader !== undefined
      },
      get endsAt() {
        return spacePolicy.logEnd
      },
      stalenessMs: (now) => raft.stalenessMs(now),
    })
  }

  /** Starts to take part. `network` delivers its events to this driver. */
  start(network: Network): void {
    this.#network = network
    this.#members.setPeers()
    this.#step({ kind: 'tick', now: this.#clock.now() })
    this.#storage.whenFailed((error) => this.#fail(error))
    // The storage may have failed before, or in the first step. Then nothing would stop what is started below.
    if (this.#ended !== undefined) return
    this.#armHashTimer()
    this.#scrubber.start()
    this.#orFail(() => this.#space.start())
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The API for HTTP and embedding

  get term(): Term {
    return this.#raft.term
  }

  get revision(): Revision {
    return this.#applier.state.revision
  }

  get compactRevision(): Revision {
    return this.#applier.state.history.compacted
  }

  get configuration(): Configuration {
    return this.#members.configuration
  }

  get leaderName(): string | undefined {
    const { leader } = this.#raft
    return leader === undefined ? undefined : this.#members.nameOf(leader)
  }

  /** A snapshot from the leader is being installed. */
  get installing(): boolean {
    return this.#raft.installing
  }

  status(): NodeStatus {
    const errors: string[] = []
    if (this.#ended !== undefined) errors.push(this.#ended.reason)
    if (this.#hashes.error !== undefined) errors.push(this.#hashes.error)
    const raft = this.#raft.status()
    const { freeBytes, state } = this.#space
    if (state !== 'enough') errors.push(diskFull(state, freeBytes))
    if (this.#raft.leader === undefined) errors.push('no leader is known')
    return {
      name: this.name,
      clusterId: this.clusterId,
      replicaId: this.#replicaId,
      raft,
      diskFreeBytes: freeBytes,
      diskSpace: state,
      revision: this.revision,
      settings: this.#applier.state.settings,
      stateHash: this.#storage.stateHash,
      leases: { count: this.#applier.state.leases.count, ...this.#leases.totals },
      errors,
      notReady: this.#notReady(),
    }
  }

  /** What is under way in this node, by part. All numbers are 0 at rest, so that leaks show. */
  inspect(): UnderWay {
    const parts: Readonly<Record<string, UnderWay>> = {
      raft: this.#raft.inspect(),
      proposals: this.#proposer.proposals.inspect(),
      reads: this.#reads.inspect(),
      groupCommit: this.#commits.inspect(),
      watches: this.#watches.inspect(),
      leases: this.#leases.inspect(),
      links: this.#network?.inspect() ?? {},
    }
    const underWay: Record<string, number> = {
      waits: this.#waits.size,
      forwardedKeepAlives: this.#forwarded.size,
      scans: this.#storage.openScans,
      transferRefused: this.#transfers.size,
      snapshotsSending: this.#sendingSnapshot.size,
      installing: Number(this.installing),
      unapplied: this.#applier.queued,
      ...this.#proposer.inspect(),
      applySoon: Number(this.#applySoon),
      wakeSoon: Number(this.#wakeSoon),
      retryTimer: Number(this.#retry !== undefined),
    }
    for (const part in parts) {
      const values = parts[part]
      for (const name in values) underWay[`${part}.${name}`] = values[name] ?? 0
    }
    return underWay
  }

  propose(
    request: Request,
    timeoutMs: number,
    done: (result: Result<{ readonly outcome: Applied['outcome']; readonly replayed: boolean }>) => void,
  ): void {
    const refusal = this.#versions.refusal(request, this.configuration.members)
    this.#proposer.propose(request, refusal, timeoutMs, done)
  }

  read(options: ReadOptions, done: (result: Result<ReadGrant>) => void): void {
    if (this.#ended === undefined) {
      this.#reads.add(options, done)
      this.#wake()
    } else {
      const { reason } = this.#ended
      this.#clock.soon(() =>
        done({ ok: false, problem: { code: 'not_ready', detail: reason, written: 'no' } }),
      )
    }
  }

  get(key: Uint8Array, done: (error: Error | undefined, record: KeyRow | undefined) => void): void {
    getRecord(this.#storage, key, (error, record) => {
      if (error !== undefined && !(error instanceof ScanEndedError)) this.#fail(error)
      done(error, record)
    })
  }

  list(options: ListOptions): RecordScan {
    return this.#guarded(() => scanRecords(this.#storage, options))
  }

  watch(request: WatchRequest, sink: WatchSink): Result<Watch> {
    return this.#watches.open(request, sink)
  }

  watchCounts(): WatchCounts {
    return this.#watches.counts()
  }

  get leaseTtlMsMin(): number {
    return 2 * this.#options.timing.electionMaxMs
  }

  keepAlive(
    ids: readonly LeaseId[],
    timeoutMs: number,
    done: (result: Result<readonly (number | undefined)[]>) => void,
  ): void {
    this.#leases.keepAlive(ids, timeoutMs, done)
  }

  lease(id: LeaseId): LeaseNow | undefined {
    const timeMs = this.#raft.clusterTimeSeenMs(this.#clock.now())
    return this.#guarded(() =>
      leaseNow(id, this.#storage, this.#applier.state, timeMs, this.#leases.remainingMs(id)),
    )
  }

  listLeases(after: LeaseId | undefined): Scan<LeaseNow & { readonly id: LeaseId }> {
    const timeMs = this.#raft.clusterTimeSeenMs(this.#clock.now())
    return this.#guarded(() =>
      scanLeases(after, this.#storage, this.#applier.state, timeMs, (id) => this.#leases.remainingMs(id)),
    )
  }

  keysOfLease(id: LeaseId): Scan<Uint8Array> {
    return this.#guarded(() => scanKeysOfLease(this.#storage, id))
  }

  change(
    change: ConfigurationChange,
    timeoutMs: number,
    done: (result: Result<Configuration>) => void,
  ): void {
    const deadline = this.#clock.now() + timeoutMs
    // The caller may delete a removed node after the answer.
    const settled = (): boolean => !isJoint(this.configuration) && this.#raft.settled
    this.#proposer.proposeCoreEntry(ENTRY_CONFIGURATION, encodeChange(change), timeoutMs, (end) => {
      if (!end.ok) {
        done(end)
        return
      }
      this.#waits.until(settled, deadline - this.#clock.now(), (reached) => {
        const detail =
          'the change is committed, but too few voters knew that the joint configuration is left before the time ran out'
        if (reached) done({ ok: true, value: this.configuration })
        else done({ ok: false, problem: { code: 'outcome_unknown', detail, written: 'unknown' } })
      })
    })
  }

  setLeases(setting: LeaseSetting, timeoutMs: number, done: (result: Result<LeaseSetting>) => void): void {
    this.#proposer.proposeCoreEntry(ENTRY_LEASES, encodeLeases(setting), timeoutMs, (end) =>
      done(end.ok ? { ok: true, value: this.#raft.leases } : end),
    )
  }

  transfer(
    to: ReplicaId | undefined,
    timeoutMs: number,
    done: (result: Result<{ readonly leader: string }>) => void,
  ): void {
    this.#transfers.add(to, timeoutMs, done)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Events of the network

  greeting(): Greeting {
    return {
      clusterId: this.clusterId,
      replicaId: this.#replicaId,
      name: this.name,
      boot: this.#storage.boot,
      ...this.#commits.durable,
      clusterVersion: CLUSTER_VERSION,
      peer: this.#options.peerAddress(),
    }
  }

  admit(greeting: Greeting): { refuse: string; stop: boolean } | undefined {
    if (this.#ended !== undefined) return { refuse: 'this node has ended', stop: false }
    return this.#members.refusal(greeting)
  }

  message(message: Message): void {
    const now = this.#clock.now()
    this.#step({ kind: 'message', now, message: this.#spacePolicy.receivable(message) })
  }

  connected({ replicaId: peer, boot, term, lastIndex, clusterVersion }: Greeting): void {
    this.#versions.reported(peer, clusterVersion)
    this.#step({ kind: 'connected', now: this.#clock.now(), peer, boot, term, lastIndex })
    this.#leases.connected()
    this.#forwarded.check(peer)
    // Requests that could not be forwarded while the connection was broken.
    if (peer === this.#raft.leader) this.#unpark()
  }

  disconnected(peer: ReplicaId): void {
    this.#step({ kind: 'disconnected', now: this.#clock.now(), peer })
    this.#forwarded.check(peer)
  }

  refused(peer: ReplicaId): void {
    this.#step({ kind: 'refused', now: this.#clock.now(), peer })
  }

  stop(reason: string): void {
    // A client may wait here for the removal of this node. The leader's next messages tell that it is done.
    const leaves = !isMember(finalConfiguration(this.configuration), this.#replicaId)
    if (leaves && this.#waits.size > 0) this.#endSoon(reason)
    else this.#fail(new Error(reason))
  }

  stateHash(from: ReplicaId, at: StateHashAt): void {
    this.#hashes.report(from, at)
  }

  keepAliveAsked(from: ReplicaId, { number, timeoutMs, ids }: KeepAliveQuestion): void {
    if (this.#ended !== undefined) return
    this.#leases.keepAliveFor(ids, timeoutMs, (kept) =>
      this.#network?.answerKeepAlive(from, { number, kept }),
    )
  }

  keepAliveAnswered(from: ReplicaId, answer: KeepAliveAnswer): void {
    if (this.#ended === undefined) this.#forwarded.answered(from, answer)
  }

  snapshotOffered(
    from: ReplicaId,
    term: Term,
    snapshotId: string,
    meta: SnapshotSource['meta'],
    done: (refuse: string | undefined, sink: SnapshotSink | undefined) => void,
  ): void {
    const refuse =
      this.#ended === undefined
        ? (this.#raft.whyNotSnapshot(term, meta.index) ?? this.#spacePolicy.snapshotRefusal)
        : 'this node has ended'
    if (refuse !== undefined) {
      // A leader that offers a snapshot of committed entries has not received the answer to an earlier transfer. The
      // core answers again.
      if (this.#ended === undefined && meta.index <= this.#raft.commit)
        this.snapshotReceived(from, term, snapshotId, meta)
      done(refuse, undefined)
      return
    }
    this.#storage.snapshotSink(snapshotId, from, meta, (error, sink) =>
      done(error?.message, sink === undefined ? undefined : this.#whileThereIsRoom(sink)),
    )
  }

  /**
   * A snapshot that was begun with enough room is given up when the disk becomes short, and is offered again later.
   * LevelDB needs the remaining room to compact what has arrived, and to delete it.
   */
  #whileThereIsRoom(sink: SnapshotSink): SnapshotSink {
    return {
      get nextChunk() {
        return sink.nextChunk
      },
      write: (number, chunk, done) => {
        this.#space.writes(chunk.length)
        const refusal = this.#spacePolicy.snapshotRefusal
        if (refusal === undefined) sink.write(number, chunk, done)
        else this.#clock.soon(() => done(new Error(refusal)))
      },
      finish: (done) => sink.finish(done),
      abort: () => sink.abort(),
    }
  }

  snapshotReceived(from: ReplicaId, term: Term, snapshotId: string, meta: SnapshotSource['meta']): void {
    this.message({
      type: 'snapshot',
      from,
      to: this.#replicaId,
      term,
      snapshotId,
      meta: { index: meta.index, term: meta.term, state: decodeAppliedState(meta.applied.raft) },
      clusterTimeMs: decodeState(meta.applied.kv).clusterTimeMs,
    })
  }

  snapshotSent(to: ReplicaId, index: LogIndex, ok: boolean): void {
    this.#sendingSnapshot.delete(to)
    this.#step({ kind: 'snapshot-sent', now: this.#clock.now(), peer: to, index, ok })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Ending

  /** Hands over leadership and waits until every open proposal has its outcome. New ones are accepted until `close`. */
  drain(done: () => void): void {
    this.#draining = true
    this.#watches.endAll('this node stops')
    const { handOverMsMax, drainMsMax } = this.#options.limits
    const idle = (): boolean => this.#proposer.size === 0
    const finish = (): void => {
      this.#waits.until(idle, drainMsMax, () => done())
    }
    const others = this.configuration.voters.some((id) => id !== this.#replicaId)
    if (this.#raft.role === 'leader' && others) this.transfer(undefined, handOverMsMax, finish)
    else finish()
  }

  /** Makes the applied state durable, and ends. Remaining requests get a true answer. */
  close(done: (error: Error | undefined) => void): void {
    if (this.#ended !== undefined) {
      done(undefined)
      return
    }
    this.#end({ kind: 'stopped', reason: 'the node was stopped' })
    this.#commits.close(done)
  }

  /** Ends as if killed. The storage stays as it is; its owner abandons the handle. */
  crash(): void {
    this.#commits.abandon()
    this.#end({ kind: 'crashed', reason: 'the node was crashed on purpose' })
  }

  #fail(error: unknown): void {
    if (this.#ended !== undefined) return
    const reason = error instanceof Error ? error.message : String(error)
    this.#options.logger.error({ err: error }, `stopping: ${reason}`)
    // A later start would find the damage only when it reads it, and its scrub of all rows takes hours.
    if (error instanceof UnfitReplicaError || error instanceof CorruptionError) this.#quarantine(reason)
    this.#commits.abandon()
    const end: NodeEnd = { kind: 'failed', reason }
    this.#end(end)
    this.#options.onEnd(end)
  }

  #endAsRemoved(): void {
    if (!this.#endsSoon && this.#members.isRemovedForGood) this.#endSoon(removedText(this.name))
  }

  #endSoon(reason: string): void {
    if (this.#endsSoon) return
    this.#endsSoon = true
    this.#watches.endAll(reason)
    this.#clock.after(this.#options.limits.removedGraceMs, () => this.#fail(new Error(reason)))
  }

  #quarantine(why: string): void {
    // Another program may have filled the disk.
    this.#options.disk.giveBackReserve()
    try {
      this.#storage.quarantine(why)
    } catch (error) {
      this.#options.logger.error(
        { err: error },
        'the data directory cannot be marked: do not start this node again',
      )
    }
  }

  #end(end: NodeEnd): void {
    if (this.#ended !== undefined) return
    this.#ended = end
    for (const timer of [this.#timer, this.#retry, this.#hashTimer]) timer?.cancel()
    this.#leaderLoss.stop()
    this.#leases.stop()
    this.#forwarded.stop()
    this.#scrubber.stop()
    this.#space.stop()
    this.#network?.close()
    this.#proposer.endAll(end.reason)
    this.#reads.endAll(end.reason)
    this.#watches.endAll(end.reason)
    this.#waits.endAll()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Steps of the core

  /** `refuse`: the callback of a request for a transfer of leadership, when this step makes it. */
  #step(input: Input, refuse?: TransferRefusal): void {
    if (this.#ended !== undefined) return
    this.#orFail(() => this.#carryOut(this.#raft.step(input), refuse))
  }

  #carryOut(output: Output, refuse?: TransferRefusal): void {
    if (output.fatal !== undefined) throw new UnfitReplicaError(output.fatal)
    if (output.roleChange !== undefined) this.#roleChanged(output.roleChange)
    if (output.write !== undefined) this.#store(output.write)
    for (const outgoing of output.messages) this.#commits.send(outgoing)
    // Flush first, so that the disk works while entries are applied and clients are answered. Rows applied now go with
    // the next batch.
    this.#commits.flush()
    for (const outcome of output.outcomes) this.#proposer.proposals.resolve(outcome)
    for (const outcome of output.reads) this.#reads.resolve(outcome)
    for (const { to } of output.snapshots) this.#sendSnapshot(to)
    if (output.transfer !== undefined) this.#transfers.ended(output.transfer, refuse)
    if (output.committed.length > 0) {
      this.#applier.push(output.committed)
      this.#apply()
    }
    this.#commits.flush()
    this.#members.releaseOutgoing()
    if (this.#waits.size > 0) this.#waits.check()
    this.#forwarded.check()
    if (this.#ended === undefined) this.#timer.arm(this.#raft.deadline())
    if (this.#proposer.proposals.hasParked || this.#reads.hasParked) this.#armRetry()
    if (this.#proposer.canContinue) this.#wake()
  }

  /** After a broken invariant or an unreadable row the node stops, so that it does not diverge. */
  #orFail(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** All requests of this turn go to the core together. */
  #wake(): void {
    if (this.#wakeSoon) return
    this.#wakeSoon = true
    this.#clock.soon(() => {
      this.#wakeSoon = false
      if (this.#ended !== undefined) return
      this.#proposer.proposeQueued()
      const reads = this.#reads.nextBatch()
      if (reads.length > 0) this.#step({ kind: 'read', now: this.#clock.now(), reads })
    })
  }

  #tick(lateMs: number): void {
    const tick = (): void => this.#step({ kind: 'tick', now: this.#clock.now() })
    // After a stall, messages of the peers wait in the sockets. They are read first, before the peers are judged as
    // silent. If the stall ends just after an election time-out, the timer is not late, so a follower always does this.
    const mayElect = this.#raft.role !== 'leader'
    if (mayElect || lateMs > this.#options.timing.heartbeatMs) this.#clock.soon(() => this.#clock.soon(tick))
    else tick()
  }

  /** Retries what was refused because there was no leader, or has had no answer. */
  #armRetry(): void {
    if (this.#retry !== undefined || this.#ended !== undefined) return
    this.#retry = this.#clock.after(this.#options.limits.retryMs, () => {
      this.#retry = undefined
      if (this.#raft.leader !== undefined) {
        this.#proposer.proposals.unparkDue()
        this.#askAgain()
      }
      if (this.#proposer.proposals.hasParked || this.#reads.hasParked) this.#armRetry()
    })
  }

  #unpark(): void {
    this.#proposer.proposals.unpark()
    this.#askAgain()
  }

  #askAgain(): void {
    this.#reads.unpark()
    if (this.#proposer.proposals.hasFresh || this.#reads.hasFresh) this.#wake()
  }

  #roleChanged(change: RoleChange): void {
    const leader = change.leader === undefined ? undefined : this.#members.nameOf(change.leader)
    const fields = { role: change.role, term: change.term, leader }
    this.#options.logger.info(fields, `${change.role} in term ${change.term}: ${change.why}`)
    this.#options.observer.roleChanged(change)
    this.#spacePolicy.roleChanged()
    this.#leases.check()
    this.#leaderLoss.leaderChanged(change.leader)
    if (change.leader !== undefined) this.#unpark()
    this.#members.leaderChanged()
    this.#endAsRemoved()
    this.#waits.check()
  }

  #spaceChanged(state: DiskSpaceState): void {
    const fields = { state, freeBytes: this.#space.freeBytes }
    if (state === 'enough')
      this.#options.logger.info(fields, 'the disk has space again: changes are accepted')
    else this.#options.logger.error(fields, diskFull(state, this.#space.freeBytes))
    // The change may be noticed while the output of a step is carried out. Its writes and messages come first.
    this.#clock.soon(() => this.#spacePolicy.handOverIfShort(this.#storage.applied.term))
  }

  #compact(done: () => void, isRoom: () => boolean): void {
    this.#storage.compact((error) => {
      if (error === undefined) done()
      else this.#fail(error)
    }, isRoom)
  }

  #store(write: Write): void {
    this.#space.writes(write.entries.reduce((sum, { frame }) => sum + frame.length, 0))
    if (write.snapshot !== undefined) this.#applier.clear()
    this.#commits.enqueue(write)
  }

  #stored({ entries, installed, write, ms }: StoredBatch): void {
    this.#options.observer.batchStored(ms, entries)
    if (this.#ended !== undefined) return
    if (installed) this.#orFail(() => this.#installed())
    // Also called when no write of the core has ended: it shows that the disk does not stall.
    this.#step({ kind: 'stored', now: this.#clock.now(), write })
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Applying

  #apply(): void {
    // Applying an entry of the core takes a step, whose output may bring more entries to apply. The loop below finds
    // them.
    if (this.#applying || this.#applySoon) return
    this.#applying = true
    const until = this.#clock.now() + this.#options.limits.applySliceMs
    while (this.#applier.pending && this.#ended === undefined) {
      const before = this.#applier.index
      this.#applier.run(() => this.#clock.now() >= until)
      const { index } = this.#applier
      this.#options.observer.entriesApplied(index - before)
      this.#step({ kind: 'applied', now: this.#clock.now(), index })
      this.#spacePolicy.handOverIfShort(this.#storage.applied.term)
      this.#reads.applied()
      this.#compactor.check(false)
      this.#leases.check()
      if (this.#clock.now() >= until) break
    }
    this.#applying = false
    if (!this.#applier.pending || this.#ended !== undefined) return
    this.#applySoon = true
    this.#clock.soon(() => {
      this.#applySoon = false
      this.#orFail(() => this.#apply())
    })
  }

  #coreEntryApplied(entry: Entry): void {
    this.#step({ kind: 'applied', now: this.#clock.now(), index: entry.index })
    this.#raftState = encodeAppliedState(this.#raft.appliedState())
    this.#configurationChanged()
  }

  #entryApplied(entry: Entry, result: Applied | undefined): void {
    if (result !== undefined) this.#watches.applied(result.state)
    this.#proposer.proposals.applied(entry.index, result)
    if (entry.index % this.#options.limits.hashEveryEntries === 0) this.#reportHash()
  }

  #configurationChanged(): void {
    if (!this.#members.update()) return
    this.#waits.check()
    this.#endAsRemoved()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Snapshots

  #sendSnapshot(to: ReplicaId): void {
    if (this.#sendingSnapshot.has(to) || this.#network === undefined) return
    this.#sendingSnapshot.add(to)
    const source = this.#storage.snapshotSource()
    this.#options.logger.info(
      { to: this.#members.nameOf(to), index: source.meta.index },
      'sending a snapshot',
    )
    this.#network.sendSnapshot(to, this.#raft.term, source)
  }

  /** The snapshot is durable and has become the state. */
  #installed(): void {
    this.#applier.reload()
    this.#watches.replaced(this.#applier.state)
    this.#options.logger.info({ index: this.#applier.index }, 'installed a snapshot')
    this.#raftState = this.#storage.applied.raft
    this.#proposer.proposals.skipped(this.#applier.index)
    this.#configurationChanged()
    this.#reads.applied()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Comparing replicas

  #armHashTimer(): void {
    this.#hashTimer = this.#clock.after(this.#options.limits.hashIdleMs, () => {
      this.#reportHash()
      this.#compactor.check(true)
      if (this.#spacePolicy.isBehind) this.#leaderLoss.withoutSpace(this.#raft.stalenessMs(this.#clock.now()))
      this.#spacePolicy.handOverIfShort(this.#storage.applied.term)
      if (this.#ended === undefined) this.#armHashTimer()
    })
  }

  #reportHash(): void {
    const at = { index: this.#applier.index, hash: this.#storage.stateHash }
    this.#network?.sendStateHash(at)
    this.#hashes.report(this.#replicaId, at)
  }

  #proposalEnded(end: ProposalEnd, count: number): void {
    if (this.#draining) this.#clock.soon(() => this.#waits.check())
    const { observer } = this.#options
    observer.proposalEnded(end.ok ? 'committed' : end.problem.written === 'no' ? 'refused' : 'unknown', count)
  }

  #notReady(): string[] {
    const reasons: string[] = []
    if (this.#ended !== undefined) reasons.push(this.#ended.reason)
    if (this.#draining) reasons.push('the node is stopping')
    if (this.#raft.leader === undefined) reasons.push('no leader is known')
    if (!isVoter(this.configuration, this.#replicaId)) reasons.push('this replica is not a voter yet')
    // During a joint configuration the loss of one node may cost the majority of one half.
    if (isJoint(this.configuration)) reasons.push('a change of voters is under way')
    if (this.#applier.index < this.#commitAtStart) {
      reasons.push(`catching up: applied ${this.#applier.index} of ${this.#commitAtStart}`)
    }
    return reasons
  }

  /** A row that cannot be read ends the node. The caller gets the error too. */
  #guarded<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }
}

function diskFull(state: Exclude<DiskSpaceState, 'enough'>, freeBytes: number): string {
  const free = `the disk is nearly full (${Math.floor(freeBytes / 1024 ** 2)} MiB free)`
  const taken = state === 'low' ? 'deletes are taken, other changes are refused' : 'nothing is written'
  return `${free}: ${taken} until there is room again`
}

const LINEARIZABLE: Omit<ReadOptions, 'timeoutMs'> = {
  consistency: 'linearizable',
  maxStalenessMs: undefined,
  minRevision: undefined,
}
