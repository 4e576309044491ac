// One run of a schedule that stands still between two events, and what it shows.

import { asReplicaId, type Configuration, type Decision, type ReplicaId } from '../../src/raft/index.ts'
import type { SimFault } from '../sim/faults/fault-kinds.ts'
import type { LastingFault } from '../sim/faults/injector.ts'
import { recovered } from '../sim/oracle/recovery.ts'
import type { RuleViolation } from '../sim/oracle/violation.ts'
import { Run } from '../sim/run.ts'
import { ALL_OPS, type Schedule, type ScheduledOp } from '../sim/schedule/schedule.ts'
import type { SimEvent } from '../sim/sim-event.ts'
import type { Wait, Waits } from '../sim/world/cluster.ts'
import type { SimDisk } from '../sim/world/disk.ts'
import type { Machine, Process } from '../sim/world/process.ts'
import { wrongRule } from '../sim/wrong-rules.ts'
import type { HistoryEvent } from '../workload/history.ts'
import { type Caption, captionOf } from './captions.ts'
import { DiagramRecord } from './diagram-record.ts'
import { entryLabel } from './entry-label.ts'
import { activeText, eventCaption } from './event-captions.ts'
import type { ViewPart } from './fold-views.ts'
import { LiveVerdict } from './live-verdict.ts'
import { messageLabel } from './message-label.ts'
import { lockViews, OperationViews } from './operation-views.ts'
import { storesView } from './store-views.ts'
import {
  type EntryView,
  type FaultView,
  type LabView,
  type LinkView,
  LOST_SHOWN_MS,
  type LostMessageView,
  type MachineView,
  type MessageView,
  type NoteView,
  type OperationView,
} from './view.ts'
import { VoterChanges } from './voter-changes.ts'
import { WatchViews } from './watch-views.ts'

/** A line of a schedule. */
export type Line = ScheduledOp | SimFault
/** A line whose time is decided when it is added. */
export type NewLine = Untimed<ScheduledOp> | Untimed<SimFault>
type Untimed<T> = T extends Line ? Omit<T, 'at'> : never

const OPERATIONS: ReadonlySet<string> = new Set(ALL_OPS)
export const isOperation = (line: Line): line is ScheduledOp => OPERATIONS.has(line.kind)

/** Entries of a log, operations and notes that a view has at most. */
const SHOWN = { entries: 48, operations: 60, notes: 100 }

export class LabRun {
  readonly #run: Run
  /** By link and number. A message and its copies have the same number. */
  readonly #messages = new Map<string, readonly MessageView[]>()
  #lost: readonly LostMessageView[] = []
  readonly #notes: NoteView[] = []
  readonly #diagram: DiagramRecord
  readonly #verdict = new LiveVerdict()
  readonly #operations = new OperationViews(SHOWN.operations)
  readonly #waits: Waits
  readonly #watches = new WatchViews()
  /** First index of each log on a disk, by the sequence number at which it was read. */
  readonly #firstsOnDisk = new WeakMap<SimDisk, { readonly sequence: number; readonly first: number }>()
  readonly #voterChanges: VoterChanges
  /** The wait in whose middle it stands still. */
  #wait: Wait | undefined
  #isOver = false
  /** Grows with everything that a view shows. */
  #visible = 0
  /** Number of notes that are not minor. */
  #sentences = 0

  constructor(schedule: Schedule) {
    this.#run = new Run(schedule, ({ node, event }) => this.#happened(node, event))
    this.#waits = this.#run.waits()
    const { network, machines, config, invariants } = this.#run.cluster
    this.#voterChanges = new VoterChanges(
      machines.slice(0, config.grow === 1 ? 1 : config.nodes).map(({ name }) => name),
      (id) => this.#nameOf(id),
      (index, term) => invariants.frameOf(index, term),
    )
    this.#diagram = new DiagramRecord(
      machines.map(({ name }) => name),
      (name) => stateOf(machines.find((machine) => machine.name === name)),
    )
    this.#run.cluster.onDecision = ({ name, replica }, decision) => {
      const caption = captionOf(name, decision, {
        nameOf: (id) => this.#nameOf(id),
        labelOf: (index) => this.#labelOf(replica, index),
        configuration: replica.status?.configuration,
        rule: wrongRule(schedule.rule ?? ''),
      })
      this.#diagram.decided(name, decision, this.now, caption.text)
      // A leader that waits for an entry of its term says so with each acknowledgement.
      if (this.#notes.findLast(({ node }) => node === name)?.text === caption.text) return
      this.#diagram.noted(name, this.now)
      this.#note(name, decision.kind, caption)
    }
    network.observer = {
      sent: (from, to, message, number, arrivesAt) => {
        const { type, term } = message
        const label = messageLabel(message)
        const view = {
          ...{ from: from.name, to: to.name, number, type, term, label },
          ...{ sentAt: this.now, arrivesAt, fate: undefined },
        }
        this.#diagram.sent(linkText(from.name, to.name, number), view)
        this.#changeMessages(from.name, to.name, number, (all) => [...all, view])
      },
      decided: (from, to, number, fate) =>
        this.#changeMessages(machines[from]?.name, machines[to]?.name, number, (all) =>
          all.map((one) => ({ ...one, fate })),
        ),
      delayed: (from, to, number, arrivesAt) => {
        this.#diagram.delayed(linkText(from.name, to.name, number), arrivesAt)
        this.#changeMessages(from.name, to.name, number, (all) =>
          all.map((one) => ({ ...one, arrivesAt, fate: undefined })),
        )
      },
      ended: (from, to, number, arrived) => {
        this.#diagram.ended(linkText(from.name, to.name, number), arrived, this.now)
        this.#changeMessages(from.name, to.name, number, ([first, ...others]) => {
          if (first !== undefined && !arrived)
            this.#lost = [...this.#recentlyLost, { ...first, lostAt: this.now }]
          return others
        })
      },
    }
  }

  #changeMessages(
    from: string | undefined,
    to: string | undefined,
    number: number,
    change: (all: readonly MessageView[]) => readonly MessageView[],
  ): void {
    const id = linkText(from, to, number)
    const changed = change(this.#messages.get(id) ?? [])
    if (changed.length === 0) this.#messages.delete(id)
    else this.#messages.set(id, changed)
    this.#visible++
  }

  get #recentlyLost(): LostMessageView[] {
    return this.#lost.filter(({ lostAt }) => lostAt > this.now - LOST_SHOWN_MS)
  }

  get now(): number {
    return this.#run.cluster.time.now
  }

  /** Hash of all events so far. */
  get trace(): string {
    return this.#run.cluster.trace.value
  }

  /** A rule is broken, or the schedule has run to its end. */
  get isOver(): boolean {
    return this.#isOver
  }

  get #violation(): RuleViolation | undefined {
    return this.#run.isRunning ? this.#run.cluster.invariants.violation : undefined
  }

  /** Adds a line that is due later than now. The run continues as if its schedule had had it from the beginning. */
  add(line: Line): void {
    if (line.at <= this.now) throw new RangeError(`the run has come to ${this.now} ms, after ${line.at} ms`)
    if (isOperation(line)) this.#run.addOperation(line)
    else this.#run.addFault(line)
  }

  /** Runs what is due until then. */
  runTo(ms: number): void {
    this.#advance(ms, () => false)
  }

  /** Runs until something has happened that a view shows, or until that time. */
  step(until: number): void {
    const before = this.#visible
    this.#advance(until, () => this.#visible > before)
  }

  /** Runs until there is a note that is not minor, or until that time. */
  skip(until: number): void {
    const before = this.#sentences
    this.#advance(until, () => this.#sentences > before)
  }

  /** Runs one wait after the other until that time, or until an event after which `isEnough`. */
  #advance(ms: number, isEnough: () => boolean): void {
    try {
      while (!this.#isOver) {
        this.#wait ??= this.#nextWait()
        if (this.#wait === undefined || !this.#runWait(this.#wait, ms, isEnough)) return
        this.#wait = undefined
      }
    } catch (error) {
      this.#run.threw(error)
      this.#isOver = true
    }
  }

  #nextWait(): Wait | undefined {
    const { done, value } = this.#waits.next()
    this.#isOver = done === true
    return value ?? undefined
  }

  /** Returns whether the wait is over, and the run continues before that time. */
  #runWait({ until, isOver }: Wait, ms: number, isEnough: () => boolean): boolean {
    const { cluster } = this.#run
    if (!this.#run.isRunning) {
      // It proves nothing any more: each wait that is left takes one event.
      cluster.runUntil(until, isOver)
      return true
    }
    let hasEnded = false
    let stops = false
    cluster.runUntil(Math.min(until, ms), () => {
      hasEnded = isOver?.() === true
      stops = isEnough()
      return hasEnded || stops
    })
    // At the end of a wait by its time, the next one begins when time passes.
    if (!hasEnded && !stops) return until < ms || !this.#run.isRunning
    if (hasEnded) this.#wait = undefined
    return !stops
  }

  #nameOf(id: string | undefined): string {
    const { replicas } = this.#run.cluster.invariants
    return replicas.get(asReplicaId(id ?? '0'))?.name ?? 'another replica'
  }

  #happened(node: string | undefined, event: SimEvent): void {
    if (node !== undefined) {
      if (event.kind === 'died') this.#diagram.died(node, this.now)
      else this.#diagram.noted(node, this.now)
    }
    if (event.kind === 'connection') return
    if (event.kind === 'watch-began') this.#watches.connected(event.watcher, node)
    if (event.kind === 'watch-lost') this.#watches.connected(event.watcher, undefined)
    if (event.kind === 'watch-message')
      this.#watches.received(event.watcher.split(' ')[0] ?? '', node ?? '', event.message, this.now)
    this.#visible++
    const last = this.#notes.at(-1)
    // The decision of the core says the same, and why.
    if (event.kind === 'role' && last?.node === node && last?.at === this.now && last.source !== undefined)
      return
    const caption = eventCaption(node ?? '', event, (id) => this.#nameOf(id))
    if (caption !== undefined) this.#note(node, event.kind, caption)
  }

  #note(
    node: string | undefined,
    kind: Decision['kind'] | SimEvent['kind'],
    { text, source, isMinor = false }: Omit<Caption, 'source'> & Partial<Caption>,
  ): void {
    this.#visible++
    if (!isMinor) this.#sentences++
    this.#notes.push({ at: this.now, node, kind, text, source, isMinor })
    if (this.#notes.length > 2 * SHOWN.notes) this.#notes.splice(0, SHOWN.notes)
  }

  #labelOf({ core }: Process['replica'], index: number): string {
    return entryLabel(this.#run.cluster.invariants.frameOf(index, core?.terms[index] ?? 0))
  }

  view(parts: readonly ViewPart[] = []): LabView {
    const { cluster, history } = this.#run
    const { model } = cluster.invariants
    const judgesStale = parts.includes('judged-stale')
    const nodes = cluster.machines.map((machine) => this.#machineView(machine.place))
    return {
      ...{ now: this.now, nodes },
      members: (this.#newestConfiguration()?.members ?? []).map(({ id }) => this.#nameOf(id)),
      messages: [...this.#messages.values()].flat(),
      lost: this.#recentlyLost,
      cuts: this.#cuts(),
      faults: this.#run.faults.lasting.map(faultView),
      watches: this.#watches.all,
      operations: this.#operationViews(history),
      standstills: [...this.#run.locks.standstills],
      notes: this.#notes.slice(-SHOWN.notes),
      violation: this.#violation?.message,
      isOver: this.#isOver,
      verdict: this.#verdict.view(
        { history, log: model, broken: this.#violation?.read, judgesStale },
        this.now,
      ),
      stores: parts.includes('stores') ? storesView(model, nodes) : undefined,
      diagram: parts.includes('diagram')
        ? this.#diagram.view(this.now, parts.includes('heartbeats'))
        : undefined,
    }
  }

  #operationViews(history: readonly HistoryEvent[]): readonly OperationView[] {
    const operations = this.#operations.view(history)
    const { requests } = this.#run.locks
    if (requests.length === 0) return operations
    return [...operations, ...lockViews(requests, SHOWN.operations)].sort((a, b) => a.from - b.from)
  }

  #cuts(): LinkView[] {
    const { machines, network } = this.#run.cluster
    return machines.flatMap((from) =>
      machines
        .filter((to) => from !== to && network.isCutOneWay(from.place, to.place))
        .map((to) => ({ from: from.name, to: to.name })),
    )
  }

  #machineView(place: number): MachineView {
    const machine = this.#run.cluster.machines[place]
    const replica = machine?.replica
    const name = machine?.name ?? ''
    if (machine === undefined || replica === undefined) return { ...EMPTY, name }
    const { process } = machine
    const status = process?.driver === undefined ? undefined : replica.status
    const { durable } = replica
    const lastDurable = durable.terms.length - 1
    if (process === undefined || status === undefined) {
      return {
        ...{ ...EMPTY, name, state: process === undefined ? 'down' : 'opening', term: durable.term },
        ...{ durable: lastDurable, commit: durable.commit, applied: durable.applied },
        ...this.#log(this.#firstOnDisk(machine), lastDurable, (index) => durable.terms[index]),
        ...this.#membership(this.#newestConfiguration(), replica.id),
        clock: this.#clock(machine),
      }
    }
    const names = (id: string | undefined): string | undefined =>
      id === undefined ? undefined : this.#nameOf(id)
    const { configuration, stableIndex, lastIndex, commit, applied, firstIndex, role, term } = status
    const terms = replica.core?.terms
    return {
      ...{ name, state: process.paused ? 'paused' : 'running', role, term, commit, applied },
      ...{ durable: stableIndex, vote: names(status.vote) },
      leader: names(status.leader),
      ...this.#membership(configuration, replica.id),
      election: role === 'leader' ? undefined : this.#election(process),
      clock: this.#clock(machine),
      ...this.#log(firstIndex, lastIndex, (index) => terms?.[index]),
      progress:
        role === 'leader'
          ? status.progress.map(({ id, next, match }) => ({ name: this.#nameOf(id), next, match }))
          : [],
    }
  }

  #membership(
    configuration: Configuration | undefined,
    id: ReplicaId,
  ): Pick<MachineView, 'member' | 'isRemoved' | 'voters' | 'votersOutgoing'> {
    if (configuration === undefined) return NO_MEMBER
    const { voters, votersOutgoing, learners, removed } = configuration
    const names = (ids: readonly ReplicaId[]): string[] => ids.map((one) => this.#nameOf(one))
    const isVoter = voters.includes(id) || votersOutgoing.includes(id)
    return {
      member: isVoter ? 'voter' : learners.includes(id) ? 'learner' : 'none',
      isRemoved: removed.includes(id),
      ...{ voters: names(voters), votersOutgoing: names(votersOutgoing) },
    }
  }

  #clock({ clock }: Machine): MachineView['clock'] {
    return { aheadMs: Math.round(clock.aheadMs(this.now)), rate: clock.rate / clock.usualRate }
  }

  #newestConfiguration(): Configuration | undefined {
    const running = this.#run.cluster.machines.flatMap(({ process, replica }) =>
      process?.driver === undefined ? [] : (replica?.status ?? []),
    )
    return running.toSorted((a, b) => b.applied - a.applied)[0]?.configuration
  }

  /** First index of the log on the disk of a machine whose store is not open. */
  #firstOnDisk({ disk, limits }: Machine): number {
    const known = this.#firstsOnDisk.get(disk)
    if (known?.sequence === disk.sequence) return known.first
    const readable = disk.copy()
    readable.quarantined = undefined
    const first = recovered(readable, limits).storage?.log.firstIndex() ?? 1
    this.#firstsOnDisk.set(disk, { sequence: disk.sequence, first })
    return first
  }

  /** `termAt` knows also the terms of deleted entries. */
  #log(
    firstIndex: number,
    lastIndex: number,
    termAt: (index: number) => number | undefined,
  ): Pick<MachineView, 'firstIndex' | 'lastIndex' | 'lastIncluded' | 'log'> {
    const { invariants } = this.#run.cluster
    const term = (index: number): number => termAt(index) ?? 0
    const frame = (index: number): Uint8Array | undefined => invariants.frameOf(index, term(index))
    const entry = (index: number, label: string): EntryView => ({ index, term: term(index), label })
    const entryOfLog = (index: number): EntryView => {
      const change = this.#voterChanges.textOf(index, term)
      return { ...entry(index, entryLabel(frame(index))), ...(change !== undefined && { change }) }
    }
    const first = Math.max(firstIndex, lastIndex - SHOWN.entries + 1)
    return {
      ...{ firstIndex, lastIndex },
      lastIncluded:
        firstIndex > 1
          ? entry(firstIndex - 1, frame(firstIndex - 1) === undefined ? 'initial state' : 'in the store')
          : undefined,
      log: Array.from({ length: lastIndex - first + 1 }, (_, at) => entryOfLog(first + at)),
    }
  }

  /** The deadline of the core, by the clock of its process. */
  #election({ driver, replica, clock, machine }: Process): MachineView['election'] {
    const deadline = replica.core?.reader.deadline()
    if (driver === undefined || deadline === undefined || !Number.isFinite(deadline)) return undefined
    const { electionMaxMs } = this.#run.cluster.config
    // The two clocks differ by a sum that is rounded.
    const until =
      Math.round((this.now + Math.max(0, deadline - clock.now()) / machine.clock.rate) * 100) / 100
    return { from: until - electionMaxMs, until }
  }
}

const linkText = (from: string | undefined, to: string | undefined, number: number): string =>
  `${from} ${to} ${number}`

function stateOf(machine: Machine | undefined): string {
  const { process } = machine ?? {}
  if (process === undefined) return 'down'
  if (process.driver === undefined) return 'opening'
  return process.paused ? 'paused' : process.role
}

function faultView({ fault, machines, until }: LastingFault): FaultView {
  const { kind, ...fields } = fault
  const nodes = machines.map(({ name }) => name)
  return { kind, fields, nodes, until, text: activeText(fault, nodes) }
}

const NO_MEMBER = { member: 'none', isRemoved: false, voters: [], votersOutgoing: [] } as const

const EMPTY: Omit<MachineView, 'name'> = {
  ...{ state: 'down', role: 'follower', term: 0, vote: undefined, leader: undefined },
  ...NO_MEMBER,
  ...{
    election: undefined,
    clock: { aheadMs: 0, rate: 1 },
    durable: 0,
    commit: 0,
    applied: 0,
    firstIndex: 1,
    lastIndex: 0,
  },
  ...{ lastIncluded: undefined, log: [], progress: [] },
}
