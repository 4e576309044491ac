// The driver of a node. It takes the steps of the consensus core, one at a time, and carries out their output: writes,
// messages, outcomes of proposals and reads, entries to apply. It constructs the parts that do this work, receives what
// they cause in each other (node-events.ts), and is the node to those who serve clients (kv-node.ts). It contains no
// Raft and no I/O: it reaches the world through a clock, a network and a storage, whose completions are callbacks.

import type { ApplyResult, KvState, Steps } from '../../kv/index.ts'
import type { KeyRow, KvSettings, LeaseId, ReadGrant, Revision } from '../../operations/forms/index.ts'
import { CLUSTER_VERSION } from '../../operations/forms/settings.ts'
import type {
  Configuration,
  Entry,
  InFlightCounts,
  Input,
  LogIndex,
  Output,
  Raft,
  RoleChange,
  Term,
  Write,
} from '../../raft/index.ts'
import { DISK_QUEUE_MAX } from '../../raft/index.ts'
import { type RowScan, ScanEndedError, UnfitReplicaError } from '../../storage/index.ts'
import type { NodeEnd } from '../options.ts'
import { ApplyLoop } from './apply/apply-loop.ts'
import { type Auth, AuthView } from './apply/auth-view.ts'
import { DiskSpacePolicy } from './disk-space/disk-space-policy.ts'
import type { DriverOptions } from './driver-options.ts'
import { EntryTraces, endingSpan } from './entry-traces.ts'
import type { KvNode } from './kv-node.ts'
import type { LeaseNow } from './leases/lease-rows.ts'
import { LeaseService } from './leases/lease-service.ts'
import { Lifecycle } from './lifecycle.ts'
import { Members, removedText } from './membership/members.ts'
import { PeerSender } from './membership/peer-sender.ts'
import { SnapshotTransfers } from './membership/snapshot-transfers.ts'
import { StateWaiters } from './membership/state-waiters.ts'
import { type TransferRefusal, TransferRequests } from './membership/transfer-requests.ts'
import type { Network, NetworkEvents } from './network.ts'
import { newRaft } from './new-raft.ts'
import type { NodeEvents, StoredBatch } from './node-events.ts'
import { MemberReports } from './observe/member-reports.ts'
import type { DriverStatus } from './observe/status.ts'
import { flattenCounts, nodeStatus, type PartCounts } from './observe/status.ts'
import { PeerEvents } from './peer-events.ts'
import { MetadataScan } from './read/metadata-scan.ts'
import type { ReadRequirements } from './read/reads.ts'
import { Reads } from './read/reads.ts'
import type { SlicedScan } from './read/record-scan.ts'
import { getRecord, KeyScan, RecordScan, type RecordScanOptions } from './read/record-scan.ts'
import type { Result } from './result.ts'
import { StepScheduler } from './step-scheduler.ts'
import { BackgroundChecks } from './upkeep/background-checks.ts'
import {
  type PermittedWatch,
  type WatchCounts,
  type WatchHandle,
  WatchHub,
  type WatchSink,
} from './watch/index.ts'
import { LeaderLoss } from './watch/leader-loss.ts'
import { ConfigurationRequests } from './write/configuration-requests.ts'
import { DiskSpeed } from './write/disk-speed.ts'
import { GroupCommit } from './write/group-commit.ts'
import { Proposer } from './write/proposer.ts'

/**
 * A node. It owns the core and constructs the parts around it. Each part gets those that it uses, and reports its
 * effects on others to the driver (`NodeEvents`).
 */
export class Driver implements KvNode {
  /** Receives the events of the network. */
  readonly events: NetworkEvents
  readonly #options: DriverOptions
  readonly #raft: Raft
  readonly #lifecycle: Lifecycle
  readonly #scheduler: StepScheduler
  readonly #peers: PeerSender
  readonly #members: Members
  readonly #waits: StateWaiters
  readonly #proposer: Proposer
  readonly #reads: Reads
  readonly #transfers: TransferRequests
  readonly #configurations: ConfigurationRequests
  readonly #commits: GroupCommit
  readonly #applyLoop: ApplyLoop
  readonly #auth: AuthView
  readonly #spacePolicy: DiskSpacePolicy
  readonly #snapshots: SnapshotTransfers
  readonly #checks: BackgroundChecks
  readonly #leases: LeaseService
  readonly #watches: WatchHub
  readonly #leaderLoss: LeaderLoss
  readonly #traces: EntryTraces
  readonly #reports: MemberReports

  constructor(options: DriverOptions) {
    const { clock, disk, limits, logger, observer, onEnd, peerAddress, storage, timing } = options
    const { knownVersion = CLUSTER_VERSION } = options
    const { boot, identity } = storage
    this.#options = options
    const events = this.#nodeEvents()
    const diskSpeed = new DiskSpeed(storage.batchLimits, DISK_QUEUE_MAX * timing.electionMaxMs)
    const raft = newRaft(options, {
      commandRefusal: (frame) => this.#spacePolicy.commandRefusal(frame),
      diskRoom: (now) => {
        const { bytes, items } = diskSpeed.room(now)
        return { bytes: bytes - storage.overlayBytes, items }
      },
    })
    const traces = new EntryTraces({ name: identity.name, replicaId: raft.id, boot })
    const lifecycle = new Lifecycle({ clock, limits, logger, storage, disk, events, onEnd })
    const peers = new PeerSender(traces)
    const settings = (): KvSettings => applied.state.settings
    const members = new Members({ raft, logger, peers, settings, knownVersion })
    const spacePolicy = new DiskSpacePolicy({
      clock,
      limits,
      logger,
      storage,
      timing,
      raft,
      lifecycle,
      disk,
      events,
    })
    const { space } = spacePolicy
    const waits = new StateWaiters(clock)
    const proposer = new Proposer({
      clock,
      limits,
      raft,
      lifecycle,
      members,
      waits,
      traces,
      boot,
      observer,
      events,
    })
    const applied = new ApplyLoop({ clock, storage, limits, raft, lifecycle, events, knownVersion })
    const reads = new Reads({ clock, limits, raft, applied, spacePolicy, lifecycle, events })
    const watches = new WatchHub({ clock, limits, storage, state: applied.state, lifecycle })
    const leaderLoss = new LeaderLoss(clock, limits.watchLeaderlessMs, watches)
    const checks = new BackgroundChecks({
      clock,
      logger,
      storage,
      limits,
      raft,
      lifecycle,
      members,
      applied,
      proposer,
      peers,
      spacePolicy,
      leaderLoss,
    })
    const leases = new LeaseService({
      clock,
      limits,
      timing,
      storage,
      raft,
      lifecycle,
      applied,
      peers,
      proposer,
      reads,
    })
    const commits = new GroupCommit({
      clock,
      storage,
      limits,
      raft,
      space,
      diskSpeed,
      peers,
      lifecycle,
      events,
    })
    const snapshots = new SnapshotTransfers({
      clock,
      limits,
      logger,
      storage,
      raft,
      lifecycle,
      members,
      spacePolicy,
      peers,
      events,
    })
    const reports = new MemberReports({
      clock,
      limits,
      lifecycle,
      members,
      peers,
      source: options.reports,
      boot,
    })
    const scheduler = new StepScheduler({
      clock,
      limits,
      timing,
      raft,
      lifecycle,
      proposer,
      reads,
      events,
    })
    this.#raft = raft
    this.#traces = traces
    this.#reports = reports
    this.#lifecycle = lifecycle
    this.#peers = peers
    this.#members = members
    this.#spacePolicy = spacePolicy
    this.#waits = waits
    this.#transfers = new TransferRequests({
      clock,
      limits,
      logger,
      raft,
      waits,
      lifecycle,
      members,
      events,
    })
    this.#proposer = proposer
    this.#configurations = new ConfigurationRequests({ clock, raft, members, proposer, waits })
    this.#applyLoop = applied
    this.#auth = new AuthView(storage, applied)
    this.#reads = reads
    this.#watches = watches
    this.#leaderLoss = leaderLoss
    this.#checks = checks
    this.#leases = leases
    this.#commits = commits
    this.#snapshots = snapshots
    this.#scheduler = scheduler
    this.events = new PeerEvents({
      clock,
      storage,
      raft,
      lifecycle,
      members,
      waits,
      commits,
      spacePolicy,
      leases,
      snapshots,
      checks,
      reports,
      traces,
      scheduler,
      peerAddress,
      events,
    })
  }

  /** The effects of parts on parts that are made after them, and on the core. */
  #nodeEvents(): NodeEvents {
    return {
      step: this.#step,
      wake: () => this.#scheduler.wake(),
      batchStored: this.#batchStored,
      coreEntryApplied: (index) => this.#step({ kind: 'applied', now: this.#options.clock.now(), index }),
      configurationApplied: this.#configurationApplied,
      entryApplied: this.#entryApplied,
      leaseChanged: (rowKey, row, clusterTimeMs) => this.#leases.rowChanged(rowKey, row, clusterTimeMs),
      authChanged: (rowKey) => this.#auth.rowChanged(rowKey),
      entriesApplied: this.#entriesApplied,
      abandoned: () => this.#commits.abandon(),
      leaving: (reason) => void this.#watches.endAll(reason),
      ended: (end) => this.#stopParts(end),
    }
  }

  /** Starts to take part. `network` delivers its events to `events`. */
  start(network: Network): void {
    this.#peers.start(network)
    this.#members.setPeers()
    const { clock, storage } = this.#options
    this.#step({ kind: 'tick', now: clock.now() })
    storage.whenFailed((error) => this.#lifecycle.fail(error))
    // The storage may have failed before, or in the first step. Then nothing would stop what is started below.
    if (this.#lifecycle.end !== undefined) return
    this.#checks.start()
    this.#lifecycle.failOnThrow(() => this.#spacePolicy.space.start())
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The API for HTTP and embedding

  get name(): string {
    return this.#options.storage.identity.name
  }

  get clusterId(): string {
    return this.#options.storage.identity.clusterId
  }

  get term(): Term {
    return this.#raft.term
  }

  get revision(): Revision {
    return this.#applyLoop.state.revision
  }

  get keys(): number {
    return this.#applyLoop.state.keys
  }

  get history(): KvState['history'] {
    return this.#applyLoop.state.history
  }

  get clientSessions(): KvState['clientSessions'] {
    return this.#applyLoop.state.clientSessions
  }

  get auth(): Auth {
    return this.#auth.now
  }

  get configuration(): Configuration {
    return this.#members.configuration
  }

  get leaderName(): string | undefined {
    return this.#members.leaderName
  }

  /** A snapshot from the leader is being installed. */
  get installing(): boolean {
    return this.#raft.installing
  }

  status(): DriverStatus {
    return nodeStatus({
      storage: this.#options.storage,
      raft: this.#raft,
      lifecycle: this.#lifecycle,
      members: this.#members,
      space: this.#spacePolicy.space,
      applyLoop: this.#applyLoop,
      leases: this.#leases,
      checks: this.#checks,
      snapshots: this.#snapshots,
      host: this.#options.host,
      timing: this.#options.timing,
    })
  }

  /** The open work of this node. All numbers are 0 at rest, so that leaks show. */
  inspect(): InFlightCounts {
    return flattenCounts(this.inspectParts())
  }

  /** The open work of this node, by part: cheaper than `inspect` for frequent reads. */
  inspectParts(): readonly PartCounts[] {
    const own = {
      waits: this.#waits.size,
      forwardedKeepAlives: this.#leases.forwardedCount,
      scans: this.#options.storage.openScans,
      transferRefused: this.#transfers.size,
      snapshotsSending: this.#snapshots.size,
    }
    return [
      { prefix: '', counts: own },
      { prefix: '', counts: this.#proposer.inspect() },
      { prefix: '', counts: this.#applyLoop.inspect() },
      { prefix: '', counts: this.#scheduler.inspect() },
      { prefix: 'raft.', counts: this.#raft.inspect() },
      { prefix: 'proposals.', counts: this.#proposer.tracker.inspect() },
      { prefix: 'reads.', counts: this.#reads.inspect() },
      { prefix: 'groupCommit.', counts: this.#commits.inspect() },
      { prefix: 'watches.', counts: this.#watches.inspect() },
      { prefix: 'leases.', counts: this.#leases.inspect() },
      { prefix: 'reports.', counts: this.#reports.inspect() },
      { prefix: 'links.', counts: this.#peers.inspect() },
    ]
  }

  propose(...[request, timeoutMs, done, trace]: Parameters<KvNode['propose']>): void {
    const span = trace && this.#traces.startProposal(trace)
    const settle = this.#leases.whenRevoked(
      request,
      timeoutMs,
      span === undefined ? done : endingSpan(span, done),
    )
    this.#proposer.propose(request, timeoutMs, settle, span)
  }

  read(options: ReadRequirements, done: (result: Result<ReadGrant>) => void): () => void {
    return this.#reads.read(options, done)
  }

  get(key: Uint8Array, done: (error: Error | undefined, record: KeyRow | undefined) => void): void {
    getRecord(this.#options.storage, key, (error, record) => {
      if (error !== undefined && !(error instanceof ScanEndedError)) this.#lifecycle.fail(error)
      done(error, record)
    })
  }

  list(options: RecordScanOptions): RecordScan {
    return this.#lifecycle.guardRead(() => new RecordScan(this.#options.storage, options))
  }

  listMetadata(options: RecordScanOptions): MetadataScan {
    return this.#lifecycle.guardRead(() => new MetadataScan(this.#options.storage, options))
  }

  listKeys(options: RecordScanOptions): KeyScan {
    return this.#lifecycle.guardRead(() => new KeyScan(this.#options.storage, options))
  }

  rows(): RowScan {
    return this.#lifecycle.guardRead(() => this.#options.storage.scanAll())
  }

  watch(request: PermittedWatch, sink: WatchSink): Result<WatchHandle> {
    return this.#watches.open(request, sink)
  }

  watchCounts(): WatchCounts {
    return this.#watches.counts()
  }

  get leaseTtlMsMin(): number {
    return this.#leases.ttlMsMin
  }

  keepAlive(...keepAlive: Parameters<KvNode['keepAlive']>): void {
    this.#leases.keepAlive(...keepAlive)
  }

  lease(id: LeaseId): LeaseNow | undefined {
    return this.#leases.get(id)
  }

  remainingTtls(...asked: Parameters<KvNode['remainingTtls']>): void {
    this.#leases.remainingTtls(...asked)
  }

  listLeases(after: LeaseId | undefined): SlicedScan<LeaseNow & { readonly id: LeaseId }> {
    return this.#leases.list(after)
  }

  keysOfLease(id: LeaseId): SlicedScan<Uint8Array> {
    return this.#leases.listKeys(id)
  }

  requestReport(...report: Parameters<KvNode['requestReport']>): void {
    this.#reports.request(...report)
  }

  change(...change: Parameters<KvNode['change']>): void {
    this.#configurations.change(...change)
  }

  setLeaderLeases(...setting: Parameters<KvNode['setLeaderLeases']>): void {
    this.#configurations.setLeaderLeases(...setting)
  }

  transfer(...transfer: Parameters<KvNode['transfer']>): void {
    this.#transfers.add(...transfer)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The end

  /** Hands over leadership and waits until every open proposal has its outcome. New ones are accepted until `close`. */
  drain(done: () => void): void {
    this.#lifecycle.drain()
    const reason = 'this node stops'
    this.#watches.refuse(reason)
    const { handOverMsMax, drainMsMax } = this.#options.limits
    const idle = (): boolean => this.#proposer.size === 0
    // The cluster needs its next leader sooner than clients need the ends of their watches.
    const finish = (): void => {
      const wait = (): void => void this.#waits.until(idle, drainMsMax, () => done())
      this.#watches.endAll(reason, wait)
    }
    const others = this.configuration.voters.some((id) => id !== this.#raft.id)
    if (this.#raft.role === 'leader' && others) this.transfer(undefined, handOverMsMax, finish)
    else finish()
  }

  /** Makes the applied state durable, and ends. Remaining requests get a true answer. */
  close(done: (error: Error | undefined) => void): void {
    if (this.#lifecycle.end !== undefined) {
      done(undefined)
      return
    }
    this.#lifecycle.stop()
    this.#commits.close(done)
  }

  /** Ends: the cluster does not accept this node with its options. */
  refuse(reason: string): void {
    this.#lifecycle.refuse(reason, true)
  }

  /** Ends as if killed. The storage stays as it is; its owner abandons the handle. */
  crash(): void {
    this.#lifecycle.crash()
  }

  #endIfRemoved(): void {
    if (this.#members.isRemovedForGood) this.#lifecycle.scheduleShutdown(removedText(this.name))
  }

  /** Stops each part, also after one that fails. Throws the first error. */
  #stopParts({ reason }: NodeEnd): void {
    const errors: unknown[] = []
    const stops = [
      () => this.#scheduler.stop(),
      () => this.#leaderLoss.stop(),
      () => this.#leases.stop(),
      () => this.#reports.stop(),
      () => this.#checks.stop(),
      () => this.#snapshots.stop(),
      () => this.#spacePolicy.space.stop(),
      () => this.#peers.close(),
      () => this.#proposer.endAll(reason),
      () => this.#reads.endAll(reason),
      () => this.#watches.endAll(reason),
      () => this.#waits.endAll(),
      () => this.#traces.endAll(),
    ]
    for (const stop of stops) {
      try {
        stop()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Steps of the core

  /** `refuse`: the callback of a request for a transfer of leadership, when this step makes it. */
  readonly #step = (input: Input, refuse?: TransferRefusal): void => {
    if (this.#lifecycle.end !== undefined) return
    try {
      this.#carryOut(this.#raft.step(input), refuse)
    } catch (error) {
      this.#lifecycle.fail(error)
    }
  }

  #carryOut(output: Output, refuse?: TransferRefusal): void {
    if (output.fatal !== undefined) throw new UnfitReplicaError(output.fatal)
    if (output.roleChange !== undefined) this.#roleChanged(output.roleChange)
    if (output.write !== undefined) this.#store(output.write)
    if (!this.#traces.isEmpty) this.#traces.stepTaken(output, this.#raft.role === 'leader')
    for (const outgoing of output.messages) this.#commits.send(outgoing)
    // Flush first, so that the disk works while entries are applied and clients are answered. Rows applied now go with
    // the next batch.
    this.#commits.flush()
    for (const outcome of output.outcomes) this.#proposer.tracker.resolve(outcome)
    for (const outcome of output.reads) this.#reads.resolve(outcome)
    for (const request of output.snapshots) this.#snapshots.send(request)
    if (output.transfer !== undefined) this.#transfers.ended(output.transfer, refuse)
    if (output.committed.length > 0) this.#applyLoop.push(output.committed)
    this.#commits.flush()
    this.#members.releaseOutgoing()
    if (this.#waits.size > 0) this.#waits.check()
    this.#leases.checkForwarded()
    this.#scheduler.stepEnded()
  }

  #roleChanged(change: RoleChange): void {
    const { logger, observer } = this.#options
    const leader = change.leader === undefined ? undefined : this.#members.findName(change.leader)
    const fields = { role: change.role, term: change.term, leader }
    logger.info(fields, `${change.role} in term ${change.term}: ${change.why}`)
    observer.roleChanged(change)
    this.#options.onRoleChange?.()
    this.#spacePolicy.roleChanged()
    this.#leases.check()
    this.#leaderLoss.leaderChanged(change.leader)
    if (change.leader !== undefined) this.#scheduler.unpark()
    this.#members.leaderChanged()
    this.#endIfRemoved()
    this.#waits.check()
  }

  #store(write: Write): void {
    if (write.snapshot !== undefined) this.#applyLoop.clear()
    this.#commits.enqueue(write)
  }

  readonly #batchStored = ({ entries, installed, write, termWrite, ms }: StoredBatch): void => {
    const { clock, observer } = this.#options
    observer.batchStored(ms, entries)
    if (!this.#traces.isEmpty) this.#traces.stored(write)
    if (this.#lifecycle.end !== undefined) return
    if (installed) this.#lifecycle.failOnThrow(() => this.#installed())
    // Also called when no write of the core has ended: it shows that the disk does not stall.
    this.#step({ kind: 'stored', now: clock.now(), write, termWrite })
    this.#applyLoop.resume()
  }

  /** The snapshot is durable and has become the state. */
  #installed(): void {
    this.#applyLoop.reload()
    this.#auth.replaced()
    const { index, state } = this.#applyLoop
    this.#watches.replaced(state)
    this.#leases.replaced()
    this.#checks.replaced()
    this.#options.logger.info({ index }, 'installed a snapshot')
    this.#proposer.tracker.skipped(index)
    this.#traces.skipped(index)
    this.#configurationApplied()
    this.#reads.applied()
  }

  readonly #configurationApplied = (): void => {
    if (!this.#members.update()) return
    this.#waits.check()
    this.#endIfRemoved()
  }

  readonly #entryApplied = ({ index }: Entry, result: ApplyResult | undefined): Steps<void> | undefined => {
    const steps = result && this.#watches.applied(result.state)
    if (!this.#traces.isEmpty) this.#traces.applied(index, this.revision)
    this.#proposer.tracker.applied(index, result)
    this.#checks.entryApplied(index)
    return steps
  }

  readonly #entriesApplied = (count: number, index: LogIndex): void => {
    const { clock, observer } = this.#options
    observer.entriesApplied(count)
    this.#step({ kind: 'applied', now: clock.now(), index })
    this.#spacePolicy.handOverIfShort()
    this.#reads.applied()
    this.#checks.sliceApplied()
    this.#leases.check()
  }
}
