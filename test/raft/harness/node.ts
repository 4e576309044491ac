// One replica: a real core, a disk in memory, and between them the steps of a driver. Each step is a separate call, so
// that a test decides when something is durable, when it is applied, and what a crash loses.

import { encodeChange, encodeLeaderLeases } from '../../../src/raft/configuration.ts'
import {
  ENTRY_CONFIGURATION,
  ENTRY_KINDS_OF_CORE,
  ENTRY_LEADER_LEASES,
  frameClusterTimeMs,
  frameKind,
} from '../../../src/raft/entry.ts'
import { Raft } from '../../../src/raft/raft.ts'
import type {
  ConfigurationChange,
  Decision,
  DiskRoom,
  Entry,
  HardState,
  Input,
  LeaderLeaseSetting,
  LogIndex,
  Message,
  OutboundMessage,
  Output,
  Proposal,
  ProposalOutcome,
  RaftLimits,
  RaftTiming,
  ReadOutcome,
  Refusal,
  ReplicaId,
  RoleChange,
  Write,
} from '../../../src/raft/types.ts'
import {
  type AppliedEntry,
  type AppliedRecord,
  type Batch,
  type Disk,
  recordOf,
  type TestLog,
} from './disk.ts'
import { crc32, sealed, TEXT, textOf } from './frames.ts'
import { freeze } from './freeze.ts'

export const LIMITS: RaftLimits = {
  appendBytesMax: 64 * 1024,
  inflightMessagesMax: 16,
  inflightBytesMax: 1024 * 1024,
  uncommittedBytesMax: 1024 * 1024,
  uncommittedEntriesMax: 1000,
  applyBytesMax: 1024 * 1024,
  entryBytesMax: 16 * 1024,
  tailBytesMax: 1024,
}

export const TIMING: RaftTiming = {
  heartbeatMs: 50,
  electionMinMs: 500,
  electionMaxMs: 1000,
  commitDelayMs: 0,
  failoverDelayMaxMs: 40,
  driftMax: 0.05,
}

export interface NodeOptions {
  readonly id: ReplicaId
  readonly name: string
  readonly limits: RaftLimits
  readonly timing: RaftTiming
  readonly random: () => number
}

/** Writes that become durable together, and the state of the disk afterwards. */
export interface DiskBatch {
  readonly writes: readonly Write[]
  readonly hardState: HardState
  /** Applied index that is durable afterwards. */
  readonly applied: LogIndex
}

/** The harness around a node: checks and transport. */
export interface NodeWorld {
  now(node: SimNode): number
  send(from: SimNode, message: Message): void
  sendSnapshot(from: SimNode, to: ReplicaId, atLeast: LogIndex): void
  /** A process begins with what the disk has. */
  started(node: SimNode): void
  /** Called after every step, before its output is carried out. */
  stepped(node: SimNode, output: Output): void
  /** Called when a batch has become durable. */
  stored(node: SimNode, batch: DiskBatch): void
  /** Called when a process has applied an entry. */
  applied(node: SimNode, entry: Entry): void
  /** Called when the applied state of a process was replaced by that of a snapshot. */
  installed(node: SimNode): void
  /** The process is gone. */
  ended(node: SimNode): void
  decided?(node: SimNode, decision: Decision): void
}

/** All outcomes that a process reported to its user, oldest first. */
export type NodeReport =
  | { readonly kind: 'outcome'; readonly outcome: ProposalOutcome }
  | { readonly kind: 'read'; readonly read: ReadOutcome }
  | { readonly kind: 'transfer'; readonly outcome: string; readonly detail: string }
  | { readonly kind: 'role'; readonly change: RoleChange }
  | { readonly kind: 'fatal'; readonly detail: string }

interface Process {
  readonly raft: Raft
  /** Log as the core sees it, durable or not. */
  readonly log: TestLog
  readonly machine: AppliedEntry[]
  applied: AppliedRecord
  readonly pending: Batch[]
  readonly held: OutboundMessage[]
  readonly applyQueue: Entry[]
  storedWrite: number
  /** Term and vote of this write are durable. */
  storedTermWrite: number
  nextSeq: number
  nextRead: number
}

/** The kind of the commands that the node of a leader refuses. */
export const REFUSED_TEXT = TEXT + 1
const REFUSED_BY_NODE: Refusal = { reason: 'disk-full', detail: 'no space' }

export class SimNode {
  readonly options: NodeOptions
  readonly disk: Disk
  readonly #world: NodeWorld
  #process: Process | undefined
  readonly reports: NodeReport[] = []
  /** Room for entries that wait for its disk. */
  diskRoom: DiskRoom = { bytes: Number.POSITIVE_INFINITY, items: Number.POSITIVE_INFINITY }

  constructor(options: NodeOptions, disk: Disk, world: NodeWorld) {
    this.options = options
    this.disk = disk
    this.#world = world
  }

  get id(): ReplicaId {
    return this.options.id
  }

  get name(): string {
    return this.options.name
  }

  get running(): boolean {
    return this.#process !== undefined
  }

  /** Throws when the process is not running. */
  get process(): Process {
    if (this.#process === undefined) throw new Error(`${this.name} is not running`)
    return this.#process
  }

  get raft(): Raft {
    return this.process.raft
  }

  start(): void {
    const { disk } = this
    disk.boot += 1
    const { id, limits, timing, random } = this.options
    this.#process = {
      raft: new Raft({
        id,
        boot: disk.boot,
        hardState: disk.hardState,
        appliedIndex: disk.applied.index,
        applied: disk.applied.state,
        clusterTimeMs: disk.applied.clusterTimeMs,
        log: disk.log,
        commandRefusal: (frame) => (frameKind(frame) === REFUSED_TEXT ? REFUSED_BY_NODE : undefined),
        diskRoom: () => this.diskRoom,
        limits,
        timing,
        random,
        crc32,
        onDecision: (decision) => this.#world.decided?.(this, decision),
        now: this.#world.now(this),
      }),
      log: disk.log.copy(),
      machine: [...disk.applied.machine],
      applied: disk.applied,
      pending: [],
      held: [],
      applyQueue: [],
      storedWrite: 0,
      storedTermWrite: 0,
      nextSeq: 1,
      nextRead: 1,
    }
    this.#world.started(this)
  }

  /** Ends the process. The first `survive` writes in flight still reach the disk, unreported. */
  crash(survive = 0): void {
    for (const batch of this.#process?.pending.slice(0, survive) ?? []) this.#storeBatches([batch])
    this.#end()
  }

  #end(): void {
    this.#process = undefined
    this.#world.ended(this)
  }

  #storeBatches(batches: readonly Batch[]): void {
    for (const batch of batches) this.disk.write(batch)
    this.#stored(batches.map(({ write }) => write))
  }

  #stored(writes: readonly Write[]): void {
    const { hardState, applied } = this.disk
    this.#world.stored(this, { writes, hardState, applied: applied.index })
  }

  step(input: InputWithoutTime): void {
    const { raft } = this.process
    const timed = freeze({ ...input, now: this.#world.now(this) } as Input)
    this.#take(freeze(raft.step(timed)))
  }

  propose(text: string): number {
    return this.#propose(TEXT, Buffer.from(text))
  }

  /** Several proposals in one step, as from the driver. */
  proposeAll(texts: readonly string[]): void {
    this.proposeFrames(texts.map((text) => ({ kind: TEXT, body: Buffer.from(text) })))
  }

  change(change: ConfigurationChange): number {
    return this.#propose(ENTRY_CONFIGURATION, encodeChange(change))
  }

  setLeases(setting: LeaderLeaseSetting): number {
    return this.#propose(ENTRY_LEADER_LEASES, encodeLeaderLeases(setting))
  }

  read(leaderLease: boolean): number {
    const id = this.process.nextRead++
    this.step({ kind: 'read', reads: [{ id, leaderLease }] })
    return id
  }

  #propose(kind: number, body: Uint8Array): number {
    const seq = this.process.nextSeq
    this.proposeFrames([{ kind, body }])
    return seq
  }

  proposeFrames(bodies: readonly { kind: number; body: Uint8Array }[]): void {
    const proposals: Proposal[] = bodies.map(({ kind, body }) => {
      const seq = this.process.nextSeq++
      return { seq, frame: sealed(kind, this.id, this.disk.boot, seq, body) }
    })
    this.step({ kind: 'propose', proposals })
  }

  /** Completes the oldest `count` writes in flight as one batch and reports them to the core. */
  store(count = 1): void {
    const { pending, raft } = this.process
    const batches = pending.splice(0, count)
    const last = batches.at(-1)
    if (last === undefined) return
    this.#storeBatches(batches)
    for (const { write } of batches)
      if (write.snapshot !== undefined) this.#install(write.snapshot.snapshotId)
    this.process.storedWrite = last.write.number
    this.#reportStored(raft)
  }

  /** Stores the newest term and vote ahead of the entries in flight, which are still not durable. */
  storeTerm(): void {
    const { pending, raft } = this.process
    const newest = pending.at(-1)
    if (newest === undefined) return
    const { term, vote } = newest.write.hardState
    this.disk.hardState = { term, vote, commit: this.disk.hardState.commit }
    this.#stored([])
    this.process.storedTermWrite = newest.write.number
    this.#reportStored(raft)
  }

  #reportStored(raft: Raft): void {
    const { process } = this
    process.storedTermWrite = Math.max(process.storedTermWrite, process.storedWrite)
    this.#releaseHeld()
    const { storedTermWrite: termWrite, storedWrite: write } = process
    if (this.#process?.raft === raft) this.step({ kind: 'stored', write, termWrite })
  }

  /** Applies up to `count` committed entries. Reports to the core at the end and after each entry of a core kind. */
  apply(count = 1): void {
    for (let left = count; left > 0; ) {
      const { applyQueue, machine } = this.process
      const entries: Entry[] = []
      while (left-- > 0) {
        const entry = applyQueue[0]
        if (entry === undefined || entry.index > this.#applicableUpTo) break
        applyQueue.shift()
        entries.push(entry)
        const text = textOf(entry)
        if (text !== undefined) machine.push({ index: entry.index, term: entry.term, text })
        if (frameKind(entry.frame) < ENTRY_KINDS_OF_CORE) break
      }
      const last = entries.at(-1)
      if (last === undefined) return
      this.step({ kind: 'applied', index: last.index })
      if (this.#process === undefined) return
      const { raft } = this.process
      this.process.applied = freeze({
        index: last.index,
        term: last.term,
        state: raft.appliedState(),
        clusterTimeMs: frameClusterTimeMs(last.frame),
        machine: [...machine],
      })
      for (const entry of entries) this.#world.applied(this, entry)
    }
  }

  /** Entries after a snapshot are applied to it, not to the state before it. */
  get #applicableUpTo(): number {
    const installing = this.process.pending.find(({ write }) => write.snapshot !== undefined)
    return installing?.write.snapshot?.meta.index ?? Number.POSITIVE_INFINITY
  }

  get canApply(): boolean {
    const [next] = this.process.applyQueue
    return next !== undefined && next.index <= this.#applicableUpTo
  }

  /** The driver's idle flush: the applied state becomes durable without a write of the core. */
  flush(): void {
    const { pending, raft, applied } = this.process
    if (pending.length > 0) return
    this.disk.hardState = raft.hardState()
    if (applied.index > this.disk.applied.index) this.disk.applied = applied
    this.#stored([])
  }

  /** Drops the beginning of the log, never above the durable applied index. */
  compact(index: LogIndex): void {
    if (index > this.disk.applied.index) throw new RangeError(`${index} is not durable as applied`)
    this.disk.log.compact(index)
    this.process.log.compact(index)
  }

  #install(snapshotId: string): void {
    const { applyQueue, machine } = this.process
    const record = recordOf(this.disk.stagedUnder(snapshotId))
    this.process.applied = record
    machine.splice(0, machine.length, ...record.machine)
    while ((applyQueue[0]?.index ?? Number.POSITIVE_INFINITY) <= record.index) applyQueue.shift()
    this.#world.installed(this)
  }

  #take(output: Output): void {
    const { log, pending, held, applyQueue, applied } = this.process
    if (output.write !== undefined) {
      log.write(output.write)
      pending.push({ write: output.write, applied })
    }
    applyQueue.push(...output.committed)
    this.#world.stepped(this, output)
    for (const outcome of output.outcomes) this.reports.push({ kind: 'outcome', outcome })
    for (const read of output.reads) this.reports.push({ kind: 'read', read })
    if (output.transfer !== undefined) this.reports.push({ kind: 'transfer', ...output.transfer })
    if (output.roleChange !== undefined) this.reports.push({ kind: 'role', change: output.roleChange })
    held.push(...output.messages)
    this.#releaseHeld()
    for (const { to, atLeast } of output.snapshots) this.#world.sendSnapshot(this, to, atLeast)
    if (output.fatal !== undefined) {
      this.reports.push({ kind: 'fatal', detail: output.fatal })
      this.#end()
    }
  }

  #releaseHeld(): void {
    const { held, storedTermWrite, storedWrite } = this.process
    const isFree = ({ after, afterTerm }: OutboundMessage): boolean =>
      after <= storedWrite && afterTerm <= storedTermWrite
    const free = held.filter(isFree)
    held.splice(0, held.length, ...held.filter((outgoing) => !isFree(outgoing)))
    for (const { message } of free) this.#world.send(this, message)
  }
}

/** An input without its time, which the node adds from its clock. */
export type InputWithoutTime = WithoutTime<Input>
type WithoutTime<One> = One extends Input ? Omit<One, 'now'> : never
