// One process of one machine: the shipped driver on the machine's clock, disk and wires. A machine outlives its
// processes.

import { encodeState, initialState, stateBeforeSnapshot, UnknownKindError } from '../../../src/kv/index.ts'
import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  type Configuration,
  type Decision,
  emptyConfiguration,
  encodeAppliedState,
  isVoter,
  type LeaderLeaseSetting,
  type Message,
  type Raft,
  type RaftLimits,
  type RaftMember,
  type RaftOptions,
  type RaftTiming,
  type ReplicaId,
} from '../../../src/raft/index.ts'
import type { NodeClock, Timer } from '../../../src/server/node/clock.ts'
import type { Driver } from '../../../src/server/node/driver.ts'
import type { DriverOptions } from '../../../src/server/node/driver-options.ts'
import { type DriverLimits, driverLimits, raftLimits } from '../../../src/server/node/limits.ts'
import type { Network } from '../../../src/server/node/network.ts'
import type { NodeEnd } from '../../../src/server/options.ts'
import {
  CorruptionError,
  FORMAT_VERSION,
  type InitialState,
  type Storage,
  type StorageBatch,
} from '../../../src/storage/index.ts'
import { bits, stream, uniform, unit } from '../../workload/random.ts'
import type { Trigger } from '../faults/trigger-wait.ts'
import type { BatchEffect, Invariants, ObservedReplica } from '../oracle/invariants.ts'
import { recovered } from '../oracle/recovery.ts'
import { RuleViolation } from '../oracle/violation.ts'
import type { ProbeCoverage } from '../probe-coverage.ts'
import { limitsAt, type SimConfig } from '../schedule/config.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import { MachineClock, ProcessClock } from './clock.ts'
import { type InFlight, SimDisk, type SimEngine } from './disk.ts'
import { SimDiskSpace } from './disk-space.ts'
import type { NodeLimits } from './node-limits.ts'
import { observeStorage } from './observed-storage.ts'
import { Event, type EventOwner, IO, MESSAGE, SOON, TIMER, type Time } from './time.ts'

export const DRIFT_MAX = 0.05
/** Detail of the end of a write that a stalled disk keeps back. */
export const STALLED = 'stalled'
/** Largest age of a process when its program begins. */
const START_MS_MAX = 100
/** One in this many of the batches that only append. */
const RECOVERED_EVERY = 250

/** The simulation around a machine and its processes. */
export interface Environment {
  readonly seed: number
  readonly config: SimConfig
  readonly time: Time
  readonly probeCoverage: ProbeCoverage
  readonly invariants: Invariants
  readonly triggers: { met(trigger: Trigger, process: Process): void }
  /** Whether batches are recovered from the disk, now and then. It costs as much as a disk has rows. */
  readonly readsBack: boolean
  /** The core of a replica that begins. */
  createRaft(options: RaftOptions, replica: ObservedReplica): Raft
  /** The shipped driver. Tests of the simulator itself replace it by one with a defect. */
  createDriver(options: DriverOptions): Driver
  /** The wires of a process that begins. */
  createNetwork(process: Process): Network
  /** A process serves. */
  began(process: Process): void
  /** A process ended by itself. */
  ended(process: Process, end: NodeEnd): void
  /** Called when the disk of a process cannot be opened. */
  refused(process: Process, error: Error): void
  /** A process is stopped until it is resumed. */
  stopped(process: Process): void
  /** A batch is begun; is durable and not reported; is reported. A fault may end the process at the first two. */
  writing(process: Process): void
  stored(process: Process): void
  written(process: Process, batch: StorageBatch): void
  roleChanged(process: Process, role: string, term: number, leader: ReplicaId | undefined, why: string): void
  /** Receives the decisions of cores, if anybody watches them. */
  readonly onDecision?: ((process: Process, decision: Decision) => void) | undefined
  /** Whether a waiting event is a leader's message of this term or a later one. */
  isOfLeader(event: Event, term: number): boolean
}

/** The time of day at which a simulated world begins. */
const EPOCH_MS = Date.UTC(2026, 0, 1)

export class Machine {
  readonly place: number
  readonly name: string
  readonly limits: NodeLimits
  readonly disk = new SimDisk()
  readonly clock: MachineClock
  readonly space: SimDiskSpace
  readonly #world: Environment
  replica: ObservedReplica | undefined
  process: Process | undefined
  /** How many processes it has had, of any replica. */
  starts = 0
  /** How many replicas it has been. */
  lives = 0
  /** Factor by which the disk is slower until `slowUntil`. */
  slowFactor = 1
  slowUntil = 0
  stalledUntil = 0
  /** Until then it keeps no entry that is applied, unless a follower that answers needs it. */
  compactsUntil = 0
  /** Each write takes so much longer. */
  extraWriteMs = 0
  /** The URL for clients, which is in the configuration of the cluster. */
  url = ''
  /** Applying an entry takes this long, until then; and how many entries were applied so. */
  applyMs = 0
  applyUntil = 0
  appliedSlowly = 0
  #applyingUntil = 0
  /** Whether the data may be damaged: bits were flipped, or the store refused it. */
  suspect = false
  /** How it asks to become a member, until the log names it. */
  joining = false
  /** Whether the machine was removed, and is started again only with an empty disk. */
  removed = false
  /** Whether the machine counts again only after it is formatted: it was deleted, or its peers have refused it. */
  retired = false
  writes = 0
  /** The newest cluster version that its build knows. */
  knownVersion: number
  /** When a process of the newest build ended there last; Infinity while it has that build. */
  newestUntil: number

  constructor(place: number, world: Environment) {
    this.place = place
    this.name = `n${place + 1}`
    this.#world = world
    const { seed, config } = world
    this.limits = limitsAt(config, place)
    const { clusterVersion = CLUSTER_VERSION, olderFrom = Number.POSITIVE_INFINITY } = config
    this.knownVersion = place < olderFrom ? CLUSTER_VERSION : clusterVersion
    this.newestUntil = this.knownVersion < CLUSTER_VERSION ? -1 : Number.POSITIVE_INFINITY
    this.space = new SimDiskSpace(world, place)
    const u = uniform(seed, DRAW.clock, place, 0)
    this.clock = new MachineClock(
      clockRate(config.clocks, u),
      Math.floor(uniform(seed, DRAW.clock, place, 1) * 1e7),
    )
  }

  /** Its next process has a build that knows this cluster version. */
  build(knownVersion: number): void {
    this.knownVersion = knownVersion
    this.newestUntil = knownVersion < CLUSTER_VERSION ? this.#world.time.now : Number.POSITIVE_INFINITY
  }

  get member(): RaftMember {
    const id = this.replica?.id ?? asReplicaId('0')
    return { id, name: this.name, peer: `${this.name}:1`, url: this.url }
  }

  votesIn(configuration: Configuration): boolean {
    return this.replica !== undefined && isVoter(configuration, this.replica.id)
  }

  /** State of the machine in words, for the report of a violation. */
  get state(): string {
    const status = this.process?.driver?.status()
    if (status === undefined) return `${this.name} down`
    const { role, term, lastIndex, commit, applied } = status.raft
    const log = `last ${lastIndex} commit ${commit} applied ${applied}`
    return `${this.name} ${role} term ${term} ${log} space ${status.diskSpace}`
  }

  /** ID of its next replica. A schedule can wipe a machine a million times, and the IDs of two machines never meet. */
  nextId(): ReplicaId {
    return asReplicaId(String(10_000_000 * (this.place + 1) + this.lives + 1))
  }

  /** Makes the disk the home of a new replica. Everything on it is lost. */
  format(configuration: Configuration | undefined, leaderLeases: LeaderLeaseSetting): void {
    const { config, invariants } = this.#world
    if (this.replica !== undefined) this.replica.damaged = true
    const id = this.nextId()
    this.lives++
    const at = configuration === undefined ? 0 : 1
    const initial: InitialState = {
      hardState: { term: asTerm(at), vote: undefined, commit: asIndex(at) },
      applied: {
        index: asIndex(at),
        term: asTerm(at),
        raft: encodeAppliedState({ configuration: configuration ?? emptyConfiguration, leaderLeases }),
        kv: encodeState(
          configuration === undefined
            ? stateBeforeSnapshot()
            : initialState({ clusterVersion: config.clusterVersion ?? CLUSTER_VERSION }),
        ),
      },
    }
    this.disk.format(
      { clusterId: '1', replicaId: id, name: this.name, formatVersion: FORMAT_VERSION },
      initial,
    )
    this.replica = invariants.adopt(id, this.name, initial)
    this.suspect = false
    this.removed = false
    this.retired = false
  }

  /** Begins a process, unless one is running. */
  start(): void {
    if (this.process !== undefined || this.replica === undefined || this.disk.identity === undefined) return
    if (this.retired && this.disk.quarantined === undefined) return
    if (this.disk.tornTail) this.#world.probeCoverage.hit('process started from a torn tail')
    this.starts++
    const process = new Process(this, this.replica, this.#world, this.place * 10_000 + this.starts)
    this.process = process
    process.open()
  }

  /** Ends the process as if killed: no callback runs any more. */
  kill(inFlight: InFlight): void {
    const { process } = this
    if (process === undefined) return
    const { probeCoverage } = this.#world
    if (process.engine?.isWriting) probeCoverage.hit(`batch in flight ${inFlight}`)
    this.process = undefined
    process.end()
    process.driver?.crash()
    this.disk.crash(inFlight)
    this.#world.invariants.ended(process.replica)
  }

  get isCompacting(): boolean {
    return this.#world.time.now < this.compactsUntil
  }

  get isApplyingSlowly(): boolean {
    return this.#world.time.now < this.applyUntil
  }

  /**
   * If applying is slow, every second entry waits in the driver. The next one waits in the core, which may not hand it
   * out yet.
   */
  hasApplied(): void {
    if (!this.isApplyingSlowly) return
    const { process } = this
    if (process !== undefined) this.#world.triggers.met('applied-late', process)
    if (this.appliedSlowly++ % 2 === 1) this.#applyingUntil = this.#world.time.now + this.applyMs
  }

  /** How long its event loop does other work before the next entry. */
  get pauseMs(): number {
    return this.isApplyingSlowly && this.appliedSlowly % 2 === 1 ? this.applyMs : 0
  }

  /** Bytes of entries that may be handed out and not applied. */
  applyBytesMax(usual: number): number {
    if (!this.isApplyingSlowly) return usual
    return this.#world.time.now < this.#applyingUntil ? 0 : 1
  }

  /** How long a write or a read of its disk takes. */
  diskMs(what: 'write' | 'read'): number {
    const { seed, config, time } = this.#world
    const draw = bits(seed, what === 'write' ? DRAW.write : DRAW.read, this.place, this.writes++)
    const usual =
      what === 'write'
        ? config.writeMs + config.writeJitterMs * unit(draw)
        : config.readMs * (0.5 + unit(draw))
    if (what === 'read') return usual
    const slow = (time.now < this.slowUntil ? usual * this.slowFactor : usual) + this.extraWriteMs
    return Math.max(slow, this.stalledUntil - time.now)
  }
}

/** `u`: uniform in [0, 1). The promised bound matters when a slow clock leads a majority of fast ones. */
function clockRate(clocks: number, u: number): number {
  switch (clocks) {
    case 0:
    case 4:
      return 1
    case 1:
      return 1 + DRIFT_MAX * u
    case 3:
      return u < 0.3 ? 1 : 1 + DRIFT_MAX
    default:
      return 0.7 + 0.8 * u
  }
}

const silent = { debug() {}, warn() {} }

export class Process implements EventOwner {
  readonly machine: Machine
  readonly replica: ObservedReplica
  readonly number: number
  readonly startedAt: number
  readonly #world: Environment
  readonly #ownClock: ProcessClock
  live = true
  paused = false
  /** Whether the process was asked to stop. It ends when it has handed over and answered. */
  stopping = false
  /** Whether the driver serves no more, and closes the storage. */
  closing = false
  /** Time of the pause, by the clock of the machine. */
  #pausedAt = 0
  /** When it last resumed after a stop. */
  resumedAt = Number.NEGATIVE_INFINITY
  driver: Driver | undefined
  storage: Storage | undefined
  engine: SimEngine | undefined
  /** A crash in the middle of a turn is in flight. */
  dying = false
  /** Whether the driver has ended itself, and the rest is being cleaned up. */
  ended = false
  #deferred: Event[] = []
  role = 'follower'
  term = 0
  /** According to its driver. */
  leader: ReplicaId | undefined
  /** Whether a leader has committed something since its election, or another leader was elected. */
  hasCommitted = false
  isSuperseded = false
  /** Time until which a successor that the leader has asked may take over. */
  handsOverUntil = 0
  /** How many snapshots it is sending. */
  snapshotsSent = 0
  /** Whether the replica is receiving a snapshot, or has one that is not installed. */
  isStaging = false
  /** Bytes of the rows that one entry has changed, at most so far. */
  entryRowsMax = 0
  /** Number of the event in which it last applied something. */
  #appliedIn = 0
  /** The last one that its driver reported. */
  configuration: Configuration | undefined
  /** First index of its log at its last write. */
  firstIndex = 0

  constructor(machine: Machine, replica: ObservedReplica, world: Environment, number: number) {
    this.machine = machine
    this.replica = replica
    this.#world = world
    this.number = number
    this.startedAt = world.time.now
    const age = START_MS_MAX * uniform(world.seed, DRAW.clock, number, 2)
    this.#ownClock = new ProcessClock(machine.clock, world.time.now, age)
  }

  get id(): ReplicaId {
    return this.replica.id
  }
  get name(): string {
    return this.machine.name
  }
  get place(): number {
    return this.machine.place
  }
  get handsOver(): boolean {
    return this.#world.time.now < this.handsOverUntil
  }
  /** The driver, while it serves. */
  get serving(): Driver | undefined {
    return this.live && !this.paused ? this.driver : undefined
  }

  open(): void {
    const { machine } = this
    const world = this.#world
    const { time } = world
    world.triggers.met('opening', this)
    this.engine = machine.disk.open(
      machine.limits,
      {
        later: (what, complete) => {
          const isStalled = what === 'write' && time.now < machine.stalledUntil
          const detail = isStalled ? STALLED : undefined
          time.push(time.now + machine.diskMs(what), IO, this, complete, undefined, detail)
        },
        writing: () => world.writing(this),
        durable: (label) => {
          if (label !== undefined) this.#recoverSome(label)
          if (this.live) world.stored(this)
        },
        failed: () => this.#expectEnd(),
      },
      (error, storage) => {
        if (!this.live) return
        if (storage === undefined) world.refused(this, error ?? new Error('no storage'))
        else this.#begin(storage)
      },
    )
  }

  /** Batches that truncate or replace something are recovered again from the disk, and a few of the others. */
  #recoverSome(label: BatchEffect): void {
    const { machine, replica } = this
    const { invariants, probeCoverage, seed } = this.#world
    invariants.durable(replica, label)
    if (machine.suspect) return
    if (!this.#world.readsBack) return
    const replaces = label.writes.some(({ truncateFrom, snapshot }) => truncateFrom ?? snapshot)
    if (!replaces && bits(seed, DRAW.recovery, machine.place, machine.writes) % RECOVERED_EVERY > 0) return
    probeCoverage.hit('disk read back')
    const { storage, why } = recovered(machine.disk, machine.limits)
    invariants.wouldOpen(replica, storage, why)
  }

  /**
   * Any failure of the storage is final (NODE-2): a process that continues serves data that may be wrong. One that is
   * asked to stop may have ended its service already, and be closing its storage.
   */
  #expectEnd(): void {
    const { time } = this.#world
    time.push(time.now, IO, this, () => {
      if (this.ended || this.dying || this.closing || this.driver === undefined) return
      throw new RuleViolation('STOP-2', `${this.name} continues although its disk has failed`)
    })
  }

  #begin(storage: Storage): void {
    const { replica, engine } = this
    const world = this.#world
    const { invariants } = world
    if (engine === undefined) throw new Error('a storage without an engine')
    invariants.opened(replica, storage)
    observeStorage(storage, engine, replica, invariants, {
      written: (batch) => world.written(this, batch),
      applied: (rowBytes) => {
        this.entryRowsMax = Math.max(this.entryRowsMax, rowBytes)
        this.#appliedIn = world.time.count
        this.machine.hasApplied()
      },
      isOver: () => this.dying || this.ended,
    })
    this.storage = storage
    const driver = this.#driverOn(storage)
    if (driver === undefined) return
    this.driver = driver
    this.term = driver.term
    replica.now = () => this.#ownClock.at(world.time.now)
    replica.contactTerm = 0
    replica.contactAt = replica.status?.leaderLeases.on ? replica.now() : Number.NEGATIVE_INFINITY
    const network: Network = world.createNetwork(this)
    driver.start(network)
    world.began(this)
  }

  /** undefined: the core has read the end of the log and found damage there. */
  #driverOn(storage: Storage): Driver | undefined {
    const { replica } = this
    const world = this.#world
    try {
      return world.createDriver({
        clock: this.clock,
        storage,
        disk: this.machine.space,
        timing: timingFrom(world.config),
        createRaft: (options) =>
          world.createRaft({ ...options, onDecision: this.#decisionObserver }, replica),
        raftLimits: raftLimitsFrom(this.machine),
        limits: driverLimitsFrom(this.machine),
        random: stream(world.seed, DRAW.election, this.number),
        logger: { ...silent, info() {}, error: (fields: object) => this.#noteFailure(fields) },
        observer: {
          proposalEnded() {},
          batchStored() {},
          entriesApplied() {},
          roleChanged: ({ role, term, leader, why }) => {
            if (this.role === 'leader' && role !== 'leader') world.triggers.met('deposed', this)
            if (this.role !== role || this.term !== term) this.#noteRole()
            this.role = role
            this.term = term
            this.leader = leader
            world.roleChanged(this, role, term, leader, why)
          },
        },
        peerAddress: () => `${this.name}:1`,
        knownVersion: this.machine.knownVersion,
        onEnd: (end: NodeEnd) => world.ended(this, end),
      })
    } catch (error) {
      if (!(error instanceof CorruptionError || error instanceof UnknownKindError)) throw error
      world.refused(this, error)
      return undefined
    }
  }

  get #decisionObserver(): ((decision: Decision) => void) | undefined {
    const { onDecision } = this.#world
    return onDecision && ((decision) => onDecision(this, decision))
  }

  #noteRole(): void {
    this.hasCommitted = false
    this.isSuperseded = false
    this.handsOverUntil = 0
  }

  /** Why a driver stopped itself. A broken rule must not look like a failing disk. */
  failure: unknown

  #noteFailure(fields: object): void {
    if ('err' in fields) this.failure ??= fields.err
    if (this.failure instanceof RuleViolation) this.#world.invariants.violation ??= this.failure
  }

  /** The clock of its driver and its links. */
  get clock(): NodeClock {
    const { time } = this.#world
    const { clock } = this.machine
    return {
      now: () => this.#ownClock.at(time.now),
      wallTimeMs: () => EPOCH_MS + this.#ownClock.at(time.now),
      after: (delayMs: number, run: () => void): Timer =>
        time.push(time.now + clock.wait(delayMs), TIMER, this, run, undefined, clock.at(time.now) + delayMs),
      soon: (run: () => void): void => {
        const at = time.now + this.#drawBusyMs()
        this.busyUntil = Math.max(this.busyUntil, at)
        time.push(at, SOON, this, run)
      },
    }
  }

  /** A process that has just applied something may continue later, while messages are sent and received. */
  #drawBusyMs(): number {
    return this.#appliedIn === this.#world.time.count ? this.machine.pauseMs : 0
  }

  /** When all that it wanted to do soon has begun. */
  busyUntil = 0

  defer(event: Event): void {
    this.#deferred.push(event)
  }

  /** Pauses the process, as SIGSTOP does: nothing runs, but clocks continue and sockets fill. */
  pause(): void {
    this.paused = true
    this.#world.stopped(this)
    this.#world.triggers.met('stopped', this)
    this.#pausedAt = this.machine.clock.at(this.#world.time.now)
  }

  /** Timers that became due fire first, then arrived messages are read, then the turn ends. */
  resume(): void {
    if (!this.paused || !this.live) return
    this.paused = false
    const deferred = this.#deferred
    this.#deferred = []
    const { time } = this.#world
    this.resumedAt = time.now
    this.replica.unread = this.#countUnread(deferred)
    for (const kinds of [[TIMER], [IO, MESSAGE], [SOON]]) {
      for (const event of deferred) if (kinds.includes(event.kind)) time.late(event)
      if (kinds.includes(MESSAGE))
        time.late(new Event(time.now, 0, IO, this, () => (this.replica.unread = 0)))
    }
  }

  /**
   * Amount that a leader has sent since, if the process was stopped so long that it must read before it judges who is
   * silent.
   */
  #countUnread(deferred: readonly Event[]): number {
    const { config, time } = this.#world
    const leases = this.replica.status?.leaderLeases
    const patienceMs = Math.max(config.electionMaxMs, leases?.on ? leases.durationMs : 0)
    // All timers of the process were due by then.
    if (this.machine.clock.at(time.now) - this.#pausedAt <= patienceMs + config.heartbeatMs) return 0
    return deferred.filter((event) => event.kind === MESSAGE && this.#world.isOfLeader(event, this.term))
      .length
  }

  end(): void {
    this.live = false
    this.#deferred = []
  }

  send(message: Message): void {
    this.#world.invariants.sent(this.replica, message)
  }
}

function timingFrom({ heartbeatMs, electionMinMs, electionMaxMs, commitDelayMs }: SimConfig): RaftTiming {
  return {
    heartbeatMs,
    electionMinMs,
    electionMaxMs,
    commitDelayMs,
    failoverDelayMaxMs: heartbeatMs,
    driftMax: DRIFT_MAX,
  }
}

function raftLimitsFrom(machine: Machine): RaftLimits {
  const { limits } = machine
  return {
    ...raftLimits,
    ...limits,
    get applyBytesMax() {
      return machine.applyBytesMax(limits.applyBytesMax)
    },
    get tailBytesMax() {
      return machine.isCompacting ? 0 : limits.tailBytesMax
    },
  }
}

function driverLimitsFrom(machine: Machine): DriverLimits {
  const { limits } = machine
  return {
    ...driverLimits,
    ...limits,
    get applySliceMs() {
      return machine.isApplyingSlowly ? 0 : limits.applySliceMs
    },
    get logTailEntries() {
      return machine.isCompacting ? 0 : limits.logTailEntries
    },
    get logBehindEntries() {
      return machine.isCompacting ? 0 : limits.logBehindEntries
    },
    get compactEntriesMin() {
      return machine.isCompacting ? 1 : limits.compactEntriesMin
    },
  }
}
