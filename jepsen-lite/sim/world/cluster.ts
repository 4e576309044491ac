// A whole simulated cluster: machines, wires, clients, and checkers. `run.ts` and `faults.ts` decide what happens when.

import { CLUSTER_VERSION, DEFAULT_SETTINGS } from '../../../src/operations/forms/settings.ts'
import {
  bootstrapConfiguration,
  type Configuration,
  type ConfigurationChange,
  type Decision,
  emptyConfiguration,
  isJoint,
  isVoter,
  type LeaderLeaseSetting,
  type Message,
  type Raft,
  type RaftMember,
  type RaftOptions,
  type ReplicaId,
  sameConfiguration,
} from '../../../src/raft/index.ts'
import { Driver } from '../../../src/server/node/driver.ts'
import type { DriverOptions } from '../../../src/server/node/driver-options.ts'
import type { Network } from '../../../src/server/node/network.ts'
import type { NodeEnd } from '../../../src/server/options.ts'
import { CorruptionError, type StorageBatch } from '../../../src/storage/index.ts'
import { STAGING_KEY } from '../../../src/storage/keys.ts'
import type { Recorder } from '../../workload/history.ts'
import { bits, uniform } from '../../workload/random.ts'
import { StateCoverage } from '../coverage.ts'
import { type About, Triggers } from '../faults/triggers.ts'
import { Rollbacks } from '../liveness/rollbacks.ts'
import { CounterBounds } from '../oracle/counter-bounds.ts'
import { type DiskContent, Invariants, type ObservedReplica } from '../oracle/invariants.ts'
import { StoreModel } from '../oracle/model.ts'
import { CrashSignal, RuleViolation } from '../oracle/violation.ts'
import { ProbeCoverage } from '../probe-coverage.ts'
import type { SimConfig } from '../schedule/config.ts'
import { DRAW } from '../schedule/random-purposes.ts'
import { FOLLOWERS, type MachineTarget, ROLES } from '../schedule/shape.ts'
import type { SimEvent } from '../sim-event.ts'
import { Trace } from '../trace.ts'
import { type WrongRuleName, wrongRule } from '../wrong-rules.ts'
import type { InFlight, SimDisk } from './disk.ts'
import { SimNetwork } from './network.ts'
import { largestLimits } from './node-limits.ts'
import { type ObservedRaftClass, observedRaft } from './observed-raft.ts'
import { Machine, Process } from './process.ts'
import { type Event, type EventOwner, IO, Time } from './time.ts'
import type { SimWorld } from './world.ts'

const JOIN_MS = 200
/** How often `pollUntil` tests its condition: it reads the status of nodes, which costs more than an event. */
const POLL_MS = 50
/** The bounds of counters are checked after every such event: reading them costs more than an event. */
const COUNTED_EVERY = 64
/** Limit for the events in one virtual instant, unless it is set. */
const SPINS_MAX = 20_000

/** Part of a run: until this time, or until an event after which `isOver` is true. */
export interface Wait {
  readonly until: number
  readonly isOver?: () => boolean
}

/** A part of a run. It decides what to wait for when a wait is over, and may stand still in the middle of a wait. */
export type Waits = Generator<Wait, void>

/** A crash that waits until a process reaches a certain point of its code. */
export interface CrashTrigger {
  readonly point: 'writing' | 'stored' | 'leaving' | 'installing' | 'elected'
  /** How often the process passes that point before it crashes. */
  left: number
  readonly until: number
  readonly inFlight: InFlight
  readonly silent: boolean
  readonly downMs: number
  readonly onCrash: () => void
}

export class SimCluster implements SimWorld {
  readonly seed: number
  readonly config: SimConfig
  readonly time = new Time()
  readonly trace = new Trace()
  readonly probeCoverage = new ProbeCoverage()
  readonly invariants: Invariants
  readonly coverage = new StateCoverage()
  readonly triggers = new Triggers(this.time, (trigger, machine) => this.coverage.met(trigger, machine))
  readonly machines: Machine[] = []
  readonly network: SimNetwork
  readonly recorder: Recorder
  readonly crashTriggers = new Map<Machine, CrashTrigger>()
  readonly rollbacks = new Rollbacks(this)
  /** Bytes of the largest entry that clients make. */
  readonly entryBytesMax: number = 2048
  readsBack = true
  /** Called when a process is gone, for clients that wait for its answers. */
  onGone: (process: Process) => void = () => {}
  /** Called after each event. */
  onEvent: ((event: Event) => void) | undefined
  /** Set it before the first event: cores get it when their processes begin. */
  onDecision: ((process: Process, decision: Decision) => void) | undefined
  /** Called with each event that is worth noting, and the process that it is about. */
  onSay: ((process: Process | undefined, event: SimEvent) => void) | undefined
  /** Machines whose process dies in the middle of a turn. The crash is carried out right after the turn. */
  #dying: { readonly process: Process; readonly trigger: CrashTrigger }[] = []
  #downUntil: number[] = []
  #draws = 0
  /** The present moment, and how many events have run in it. */
  #instant = 0
  #spins = 0
  spinsMax = SPINS_MAX
  /** Machines that stay in their state during the liveness phase. */
  readonly frozen = new Set<Machine>()
  /**
   * Checks for the configurations that an operator knows of. Nothing may depend on the replicas that these removed.
   */
  readonly #ObservedRaft: ObservedRaftClass
  readonly #counterBounds: CounterBounds
  readonly #settled: ((configuration: Configuration) => boolean)[] = []
  /** Whether an operator's raise of the cluster version was proposed, and is not certainly gone. */
  wasProposed = false
  /** Raises without an answer. */
  pendingRaises = 0
  /** How often an operator has tried it. */
  raises = 0

  constructor(
    seed: number,
    config: SimConfig,
    recorder: (now: () => number) => Recorder,
    rule?: WrongRuleName,
  ) {
    this.seed = seed
    this.config = config
    const { clusterVersion = CLUSTER_VERSION } = config
    const settings = { ...DEFAULT_SETTINGS, clusterVersion }
    this.invariants = new Invariants((violated) => new StoreModel(violated, settings), config)
    this.invariants.model.now = () => this.time.now
    this.#ObservedRaft = observedRaft(rule)
    this.invariants.unchecked = new Set(rule && wrongRule(rule)?.unchecked)
    this.recorder = recorder(() => this.time.now)
    const size = config.nodes + config.spares
    for (let place = 0; place < size; place++) this.machines.push(new Machine(place, this))
    // The limits of a leader bound what its followers hold.
    this.#counterBounds = new CounterBounds(largestLimits(this.machines.map(({ limits }) => limits)))
    this.#downUntil = this.machines.map(() => 0)
    this.network = new SimNetwork(this, size)
    this.invariants.onTrigger = (trigger, { id }) => {
      const process = this.network.findProcess(id)
      if (process === undefined) return
      if (trigger === 'committed') process.hasCommitted = true
      this.triggers.met(trigger, process)
    }
  }

  createRaft = (options: RaftOptions, replica: ObservedReplica): Raft =>
    new this.#ObservedRaft(options, replica, this.invariants)

  createDriver = (options: DriverOptions): Driver => new Driver(options)

  /** Whether a raise of the cluster version may be in a log: the way back is not promised any more. */
  get isRaised(): boolean {
    return this.wasProposed || this.pendingRaises > 0
  }

  get leases(): LeaderLeaseSetting {
    return { on: this.config.leases === 1, durationMs: this.config.leaseMs }
  }

  /** Formats and starts the founders. */
  found(): void {
    const founders = this.machines.slice(0, this.config.nodes)
    if (this.config.grow === 1) {
      const [first, ...others] = founders
      first?.format(bootstrapConfiguration({ ...first.member, id: first.nextId() }), this.leases)
      first?.start()
      for (const machine of others) this.join(machine)
      return
    }
    const members: RaftMember[] = founders.map((machine) => ({ ...machine.member, id: machine.nextId() }))
    const voters = members.map(({ id }) => id).sort((a, b) => Number(a) - Number(b))
    members.sort((a, b) => Number(a.id) - Number(b.id))
    const configuration: Configuration = { ...emptyConfiguration, voters, members }
    for (const machine of founders) machine.format(configuration, this.leases)
    for (const machine of founders) machine.start()
  }

  /** Runs what is due until then. Throws the violation if a rule is broken. */
  runUntil(until: number, isOver: () => boolean = () => false): void {
    while (this.#step(until) && !isOver());
    this.#throwViolation()
  }

  /** The same, for a condition that costs much. */
  pollUntil(until: number, isOver: () => boolean): void {
    this.runUntil(until, this.polled(isOver))
  }

  /** A condition that is tested at intervals of virtual time. */
  polled(isOver: () => boolean): () => boolean {
    let nextPoll = 0
    return () => {
      if (this.time.now < nextPoll) return false
      nextPoll = this.time.now + POLL_MS
      return isOver()
    }
  }

  /** Runs one wait after the other. */
  runThrough(waits: Waits): void {
    for (const { until, isOver } of waits) this.runUntil(until, isOver)
  }

  /** The same. `settle` runs the promises of what has run, if there are any, before the next event. */
  async runUntilSettled(
    until: number,
    settle: () => Promise<void> | undefined,
    isOver: () => boolean = () => false,
  ): Promise<void> {
    while (this.#step(until)) {
      const settling = settle()
      if (settling !== undefined) await settling
      if (isOver()) break
    }
    this.#throwViolation()
  }

  #throwViolation(): void {
    const { violation } = this.invariants
    if (violation !== undefined) throw violation
  }

  /** Runs one event. Returns whether to continue. */
  #step(until: number): boolean {
    const { time, trace, invariants } = this
    const event = time.next(until)
    if (event === undefined) return false
    if (time.now === this.#instant) this.#spins++
    else {
      this.#instant = time.now
      this.#spins = 0
    }
    if (this.#spins > this.spinsMax)
      invariants.violation ??= new RuleViolation(
        'LIVE-2',
        `more than ${this.spinsMax} events in one instant: something spins`,
      )
    trace.mix(event.kind + 8 * (event.owner?.number ?? 0))
    trace.mix((event.at * 1024) | 0)
    try {
      event.run?.(event)
    } catch (error) {
      // The code in between may wrap the error of a crash in the middle of a turn.
      if (this.#dying.length === 0 && !(error instanceof CrashSignal)) this.#thrown(error)
    }
    if (this.#dying.length > 0) this.#killDying()
    if (time.count % COUNTED_EVERY === 0) this.#checkCounters(event.owner)
    this.onEvent?.(event)
    return invariants.violation === undefined && !this.rollbacks.isOver
  }

  /** Checks the upper bounds of the process that has just run. */
  #checkCounters(owner: EventOwner | undefined): void {
    if (!(owner instanceof Process) || owner.ended) return
    const driver = owner.serving
    if (driver === undefined) return
    const { invariants, machines } = this
    const measures = {
      members: machines.length,
      terms: invariants.maxTerm,
      // Few bounds have it, and a status costs much.
      get commitLag() {
        return Math.max(0, invariants.maxCommitted - driver.status().raft.commit)
      },
      entryBytes: this.entryBytesMax,
      entryRows: owner.entryRowsMax,
    }
    const why = this.#counterBounds.exceeded(driver.inspectParts(), measures)
    if (why !== undefined) invariants.violation ??= new RuleViolation('REST-3', `${owner.name}: ${why}`)
  }

  #thrown(error: unknown): void {
    if (error instanceof RuleViolation) this.invariants.violation ??= error
    else {
      const detail = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.invariants.violation ??= new RuleViolation('CRASH-1', `something threw: ${detail}`)
    }
  }

  // ---- choosing machines

  /**
   * If no machine has the role, a fixed machine stands in for it. There is no substitute for a stale leader, or for the
   * `other` of a trigger: the result is undefined.
   */
  machine(target: MachineTarget, about?: About): Machine | undefined {
    const { machines } = this
    if (typeof target === 'number') return machines[target % machines.length]
    if (target === 'stale-leader') return this.#staleLeader?.machine
    if (target === 'subject' || target === 'other') return about === undefined ? machines[0] : about[target]
    return this.#withRole(target) ?? machines[ROLES.indexOf(target) % machines.length]
  }

  #withRole(role: 'leader' | 'candidate' | (typeof FOLLOWERS)[number]): Machine | undefined {
    if (role === 'leader') return this.leader?.machine
    const allowedRoles = role === 'candidate' ? ['candidate', 'pre-candidate'] : ['follower']
    const found = this.machines.filter(
      ({ process }) => process?.driver !== undefined && allowedRoles.includes(process.role),
    )
    const count = role === 'candidate' ? 0 : FOLLOWERS.indexOf(role)
    return found[count % Math.max(1, found.length)]
  }

  get leader(): Process | undefined {
    let leader: Process | undefined
    for (const { process } of this.machines) {
      if (process?.driver === undefined || process.role !== 'leader') continue
      if (leader === undefined || process.term > leader.term) leader = process
    }
    return leader
  }

  /** A leader that does not know that another one has followed it. */
  get #staleLeader(): Process | undefined {
    const { leader } = this
    return this.machines.find(
      ({ process }) => process !== leader && process?.driver !== undefined && process.role === 'leader',
    )?.process
  }

  // ---- processes

  start(machine: Machine): void {
    if (this.isKeptDown(machine) || this.frozen.has(machine)) return
    machine.start()
  }

  /** Keeps the machine down for this long. */
  kill(machine: Machine, inFlight: InFlight, silent: boolean, downMs: number): void {
    const until = this.time.now + downMs
    this.#downUntil[machine.place] = Math.max(this.#downUntil[machine.place] ?? 0, until)
    this.end(machine, inFlight, silent)
    this.time.push(until, IO, undefined, () => this.start(machine))
  }

  end(machine: Machine, inFlight: InFlight, silent = false): void {
    const { process } = machine
    if (process === undefined) return
    this.say(process, { kind: 'died', inFlight, silent })
    if (machine.disk.holds(STAGING_KEY)) this.probeCoverage.hit('snapshot staged when the process crashed')
    this.network.silentDeath = silent
    machine.kill(inFlight)
    this.network.silentDeath = false
    this.triggers.met('died', process)
    this.onGone(process)
    if (this.machines.every((one) => one.process === undefined))
      this.probeCoverage.hit('all processes down at once')
  }

  isKeptDown(machine: Machine): boolean {
    return this.time.now < (this.#downUntil[machine.place] ?? 0)
  }

  /** The machine no longer has to stay down. */
  release(machine: Machine): void {
    this.#downUntil[machine.place] = 0
  }

  #killDying(): void {
    for (const { process, trigger } of this.#dying.splice(0)) {
      if (process.machine.process !== process) continue
      if (trigger.point !== 'stored') this.probeCoverage.hit('crash in the middle of a turn')
      else this.probeCoverage.hit('batch durable, report lost in a crash')
      trigger.onCrash()
      this.kill(process.machine, trigger.inFlight, trigger.silent, trigger.downMs)
    }
  }

  #crashAt(process: Process, point: CrashTrigger['point']): void {
    const { machine } = process
    const trigger = this.crashTriggers.get(machine)
    if (trigger === undefined || trigger.point !== point || !process.live || process.dying) return
    if (this.time.now > trigger.until) {
      this.crashTriggers.delete(machine)
      return
    }
    if (trigger.left-- > 0) return
    this.crashTriggers.delete(machine)
    process.dying = true
    this.#dying.push({ process, trigger })
    throw new CrashSignal(`a crash at the point ${point}`)
  }

  // ---- what processes report

  createNetwork(process: Process): Network {
    const network = this.network.createNetwork(process)
    return {
      ...network,
      setPeers: (peers) => {
        this.#configured(process)
        network.setPeers(peers)
      },
    }
  }

  #configured(process: Process): void {
    const before = process.configuration
    const now = process.driver?.configuration
    process.configuration = now
    if (before === undefined || now === undefined) return
    const { probeCoverage } = this
    if (!isJoint(before) && isJoint(now)) {
      probeCoverage.hit('joint configuration entered')
      this.triggers.met('joint', process)
    }
    if (isJoint(before) && !isJoint(now)) {
      probeCoverage.hit('joint configuration left')
      const other = before.votersOutgoing.find((id) => !now.voters.includes(id))
      this.triggers.met('left', process, other === undefined ? undefined : this.network.findProcess(other))
    }
    if (before.learners.some((id) => now.voters.includes(id))) probeCoverage.hit('learner promoted')
  }

  began(process: Process): void {
    const { driver, machine } = process
    if (driver === undefined) return
    const { probeCoverage } = this
    const raft = driver.status().raft
    if (isJoint(raft.configuration)) probeCoverage.hit('process started in a joint configuration')
    if (raft.applied < raft.commit) probeCoverage.hit('process started with unapplied entries')
    if (raft.commit < raft.lastIndex) probeCoverage.hit('process started with an uncommitted tail')
    if (raft.leaderLeases.on) probeCoverage.hit('process started while leases are on')
    this.say(process, { kind: 'started', replica: process.id, boot: process.replica.boot })
    this.recorder.note('start', { node: process.name })
    // The process may have found in its first step why its disk is in quarantine.
    if (machine.disk.quarantined !== undefined && !process.ended)
      this.invariants.violation ??= new RuleViolation('STORE-25', `${machine.name} starts under quarantine`)
    process.isStaging = machine.disk.holds(STAGING_KEY)
    this.triggers.met('started', process)
    if (machine.joining) this.#requestJoin(machine, process)
  }

  ended(process: Process, { reason }: NodeEnd): void {
    if (!process.live) return
    const { machine } = process
    process.ended = true
    if (process.dying) return
    const { probeCoverage } = this
    this.say(process, { kind: 'ended', why: reason })
    // The owner abandons the handle. What was in flight reaches the disk or does not.
    const draw = bits(this.seed, DRAW.crash, machine.place, this.#draws++)
    const why = this.#judgeEnd(process, reason)
    if (why !== undefined) this.invariants.violation ??= why
    this.time.push(this.time.now, IO, undefined, () => {
      if (machine.process !== process) return
      this.end(machine, draw % 2 === 0 ? 'kept' : 'lost')
      if (machine.removed) return
      const wait =
        this.config.restartMs * (0.5 + uniform(this.seed, DRAW.restart, machine.place, this.#draws++))
      this.time.push(this.time.now + wait, IO, undefined, () => this.start(machine))
    })
    if (/was removed/.test(reason)) {
      probeCoverage.hit('replica notified of its removal')
      machine.removed = true
      this.#settled.push(({ removed }) => removed.includes(process.id))
    }
  }

  /** A node may stop itself only because of a fault that it suffered. */
  #judgeEnd(process: Process, reason: string): RuleViolation | undefined {
    const { machine, failure } = process
    if (failure instanceof RuleViolation) return failure
    if (failure instanceof CorruptionError) {
      this.probeCoverage.hit('corruption found on reading')
      if (machine.suspect) return undefined
    }
    if (/EIO|ENOSPC/.test(reason)) {
      this.probeCoverage.hit('storage error ended a process')
      return undefined
    }
    if (/was removed|newer process|younger process/.test(reason)) return undefined
    if (this.#isTooOld(machine, reason)) return undefined
    if (this.rollbacks.has(machine) && /lost durable state|data directory a copy/.test(reason)) {
      // Its own assertion should not be the first to find out: its leader must have notified it. But messages that the
      // leader sent before may arrive first.
      if (this.rollbacks.isAccepted(process) && /the leader knows entry/.test(reason))
        return new RuleViolation('RAFT-19', `${machine.name} was accepted, and stopped itself: ${reason}`)
      if (/lost durable state/.test(reason) && machine.disk.quarantined === undefined)
        return new RuleViolation('STORE-25', `${machine.name} may be started again: ${reason}`)
      this.probeCoverage.hit('replica put back to an earlier state was refused')
      machine.retired = true
      return undefined
    }
    return new RuleViolation('STOP-1', `${machine.name} stopped itself: ${reason}`)
  }

  /** A build that does not know the cluster version may end. Its operator starts the newer one. */
  #isTooOld(machine: Machine, reason: string): boolean {
    if (machine.knownVersion >= CLUSTER_VERSION || !this.isRaised) return false
    if (!/which knows versions up to|knows cluster versions up to/.test(reason)) return false
    this.probeCoverage.hit('older replica ended where the cluster version is newer')
    machine.build(CLUSTER_VERSION)
    return true
  }

  /** A raise is committed. Its proposer must have heard from each member that it knows the version. */
  raised(members: readonly RaftMember[], { startedAt }: Process): void {
    for (const { name, newestUntil, replica } of this.machines)
      if (newestUntil < startedAt && members.some(({ id }) => id === replica?.id))
        this.invariants.violation ??= new RuleViolation(
          'VERSION-2',
          `the cluster version was raised, and ${name} has not known the new one since the proposer started`,
        )
  }

  refused(process: Process, error: Error): void {
    const { machine } = process
    this.say(process, { kind: 'not-opened', why: error.message })
    if (process.dying) return
    const isTooOld = this.#isTooOld(machine, error.message)
    const isInjected = /EIO|ENOSPC/.test(error.message)
    const isQuarantined = machine.disk.quarantined !== undefined
    if (isQuarantined) this.probeCoverage.hit('replica under quarantine did not start')
    if (!machine.suspect && !isInjected && !isQuarantined && !isTooOld)
      this.invariants.violation ??= new RuleViolation(
        'DISK-3',
        `${machine.name} refuses its disk: ${error.message}`,
      )
    if (machine.suspect) this.probeCoverage.hit('corruption found on opening')
    this.time.push(this.time.now, IO, undefined, () => {
      if (machine.process !== process) return
      this.end(machine, 'lost')
      if (!isInjected && !isTooOld) return
      this.time.push(this.time.now + this.config.restartMs, IO, undefined, () => this.start(machine))
    })
  }

  leaving(process: Process, message: Message): void {
    this.rollbacks.leaving(process, message)
    if (this.crashTriggers.size > 0) this.#crashAt(process, 'leaving')
    if (message.type === 'vote-answer' && message.granted)
      this.triggers.met('voted', process, this.network.findProcess(message.to))
    else if (message.type === 'timeout-now') {
      process.handsOverUntil = this.time.now + this.config.electionMinMs
      this.triggers.met('hands-over', process, this.network.findProcess(message.to))
    }
  }

  writing(process: Process): void {
    if (this.crashTriggers.size > 0) this.#crashAt(process, 'writing')
  }

  stored(process: Process): void {
    if (this.crashTriggers.size > 0) this.#crashAt(process, 'stored')
  }

  written(process: Process, batch: StorageBatch): void {
    const { probeCoverage } = this
    const { driver, machine } = process
    const isOlder = machine.knownVersion < CLUSTER_VERSION
    if (isOlder && (driver?.status().settings.clusterVersion ?? 0) > machine.knownVersion)
      this.invariants.violation ??= new RuleViolation(
        'VERSION-3',
        `${machine.name} knows cluster version ${machine.knownVersion}, and has applied a newer one`,
      )
    const first = process.storage?.log.firstIndex() ?? 0
    if (process.firstIndex > 0 && first > process.firstIndex) {
      probeCoverage.hit('log compacted on disk')
      this.triggers.met('compacted', process)
      if (!batch.writes.some(({ snapshot }) => snapshot !== undefined))
        this.say(process, { kind: 'log-compacted', upTo: first - 1 })
    }
    process.firstIndex = first
    for (const { snapshot, truncateFrom } of batch.writes) {
      if (truncateFrom !== undefined) {
        probeCoverage.hit('log truncated')
        this.triggers.met('truncated', process)
      }
      if (snapshot === undefined) continue
      probeCoverage.hit(snapshot.keepLog ? 'snapshot installed, log kept' : 'snapshot installed')
      const { configuration, leaderLeases } = snapshot.meta.state
      if (isVoter(configuration, process.id)) probeCoverage.hit('snapshot installed by a voter')
      if (isJoint(configuration)) probeCoverage.hit('snapshot installed while joint')
      if (leaderLeases.on) probeCoverage.hit('snapshot installed while leases are on')
      this.say(process, { kind: 'snapshot-installed', index: snapshot.meta.index })
      process.isStaging = false
      this.network.installed(process)
      this.triggers.met('installed', process)
      if (this.crashTriggers.size > 0) this.#crashAt(process, 'installing')
    }
  }

  roleChanged(
    process: Process,
    role: string,
    term: number,
    leader: ReplicaId | undefined,
    why: string,
  ): void {
    this.trace.mix(term)
    this.trace.text(role)
    this.say(process, { kind: 'role', role, term, leader, why })
    this.recorder.note('role', { node: process.name, role, term })
    const { probeCoverage, triggers } = this
    if (role === 'candidate' || role === 'pre-candidate') triggers.met(role, process)
    if (role === 'follower' && leader === undefined) triggers.met('leaderless', process)
    if (role === 'leader') {
      probeCoverage.hit('election won')
      this.rollbacks.elected(process)
      triggers.met('elected', process)
      const others = this.machines.filter(
        (machine) => machine.process !== process && machine.process?.role === 'leader',
      )
      if (others.length > 0) probeCoverage.hit('two leaders at once')
      for (const { process: other } of others) {
        if (other === undefined) continue
        other.isSuperseded = true
        triggers.met('superseded', other, process)
      }
      if (this.crashTriggers.size > 0) this.#crashAt(process, 'elected')
    } else if (/lost the (election|pre-vote)/.test(why)) probeCoverage.hit('election lost or tied')
    else if (/no quorum/.test(why)) probeCoverage.hit('leader deposed without quorum')
  }

  messageReceived(process: Process, message: Message): void {
    const { coverage, triggers } = this
    // A leader that sends entries to the receiver of a snapshot has given the snapshot up, or it is installed.
    if (process.isStaging && message.type === 'append')
      process.isStaging = process.machine.disk.holds(STAGING_KEY)
    coverage.messageReceived(process.machine, message.type)
    if (message.type === 'read-index')
      triggers.met('read-asked', process, this.network.findProcess(message.from))
  }

  stopped(process: Process): void {
    this.network.stopped(process)
  }

  isOfLeader(event: Event, term: number): boolean {
    return this.network.isOfLeader(event, term)
  }

  say(process: Process | undefined, event: SimEvent): void {
    this.onSay?.(process, event)
  }

  // ---- what operators do

  /** Joins as `--join URL --replace` does: an empty disk, a new replica, and requests until the log names it. */
  join(machine: Machine): void {
    if (machine.replica !== undefined) this.probeCoverage.hit('wiped machine rejoined')
    this.end(machine, 'lost')
    machine.format(undefined, { on: false, durationMs: this.config.electionMinMs })
    machine.joining = true
    this.start(machine)
  }

  #requestJoin(machine: Machine, process: Process): void {
    const again = (): void => {
      const wait = JOIN_MS * (0.5 + uniform(this.seed, DRAW.join, process.number, this.#draws++))
      this.time.push(this.time.now + wait, IO, process, () => this.#requestJoin(machine, process))
    }
    const { driver } = process
    if (driver === undefined) return
    if (driver.configuration.members.some(({ id }) => id === process.id)) {
      machine.joining = false
      this.probeCoverage.hit('fresh replica joined')
      return
    }
    const others = this.machines.filter(
      (one) => one !== machine && one.process?.serving !== undefined && !one.joining,
    )
    const pick = bits(this.seed, DRAW.join, process.number, this.#draws++)
    const contact = others[pick % Math.max(1, others.length)]?.process?.serving
    if (contact === undefined) {
      again()
      return
    }
    const { members } = contact.configuration
    const namesake = members.find(({ name }) => name === machine.name)
    if (namesake?.id === process.id || members.length === 0) {
      again()
      return
    }
    const add = { kind: 'add-learner', member: machine.member } as const
    const change: ConfigurationChange = {
      kind: 'change',
      steps: namesake === undefined ? [add] : [{ kind: 'remove', id: namesake.id }, add],
    }
    contact.change(change, this.config.timeoutMs, () => {
      if (machine.process === process) again()
    })
  }

  /** This node tells an operator that a member is no longer a voter. */
  letGo(contact: Process, id: ReplicaId, configuration: Configuration): void {
    this.#settled.push((other) => sameConfiguration(other, configuration))
    this.triggers.met('let-go', contact, this.network.findProcess(id))
  }

  /**
   * Puts an earlier state back on its disk. Returns false if that could not be noticed: a leader must know of more, and
   * must be able to tell the replica.
   */
  rollBack(machine: Machine, disk: SimDisk, held: DiskContent): boolean {
    const { leader, network } = this
    const { replica } = machine
    if (leader?.serving === undefined || replica === undefined || leader.machine === machine) return false
    if (network.isCutBetween(leader.place, machine.place)) return false
    const match = leader.serving.status().raft.progress.find(({ id }) => id === replica.id)?.match ?? 0
    // A replica that acknowledged something in this term was heard in it.
    const isLess = held.term < leader.term || (held.term === leader.term && held.terms.length <= match)
    if (match === 0 || !isLess) return false
    this.say(machine.process, { kind: 'rolled-back' })
    this.end(machine, 'lost')
    machine.disk.become(disk)
    machine.suspect = true
    this.invariants.putBack(replica, held)
    this.rollbacks.putBack(replica.id, leader)
    this.release(machine)
    this.start(machine)
    return true
  }

  /** The machine of a replica is gone permanently, with its disk. */
  delete(id: ReplicaId): void {
    const machine = this.machines.find(({ replica }) => replica?.id === id)
    if (machine === undefined) return
    this.probeCoverage.hit('machine deleted once it was let go')
    this.say(undefined, { kind: 'deleted', machine: machine.name })
    this.network.forget(machine.place)
    this.end(machine, 'lost')
    machine.retired = true
  }

  /**
   * Index of the newest of these configurations. Its members do not need the replicas that it removed, even if they do
   * not know of the removal.
   */
  get settledAt(): number {
    return Math.max(0, ...this.#settled.map((isSuch) => this.invariants.firstWith(isSuch)))
  }

  /** Whether the cluster can lose this machine's disk, as far as any running node knows. */
  canLose(machine: Machine): boolean {
    const id = machine.replica?.id
    if (id === undefined) return false
    let known = false
    for (const { process } of this.machines) {
      const driver = process?.driver
      if (driver === undefined) continue
      const { configuration } = driver
      if (configuration.members.length === 0) continue
      if (isJoint(configuration) || this.#hasPendingChange()) return false
      known = true
      const { voters } = configuration
      const lost = voters.filter((voter) => voter === id || !this.isWhole(voter)).length
      if (lost * 2 >= voters.length) return false
    }
    return known
  }

  /** Whether no running node counts on it. */
  isFree(machine: Machine): boolean {
    const id = machine.replica?.id
    if (id === undefined || machine.removed) return true
    if (machine.joining) return false
    return this.machines.every(
      ({ process }) => process?.driver?.configuration.members.every((member) => member.id !== id) ?? true,
    )
  }

  /** Whether the durable state of a replica is still on a disk. */
  isWhole(id: ReplicaId): boolean {
    return this.machines.some(({ replica, suspect, retired }) => replica?.id === id && !suspect && !retired)
  }

  #hasPendingChange(): boolean {
    return this.invariants.newestChange > (this.leader?.replica.applied ?? 0)
  }
}
