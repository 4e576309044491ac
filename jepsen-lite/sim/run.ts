// Runs one schedule from beginning to end: a pure function of the schedule.

import { type HistoryEvent, Recorder } from '../workload/history.ts'
import { Clients } from './clients/clients.ts'
import { LockClients } from './clients/lock-clients.ts'
import { StoreClients } from './clients/store-clients.ts'
import type { StateCoverage } from './coverage.ts'
import type { SimFault } from './faults/fault-kinds.ts'
import { Faults } from './faults/faults.ts'
import type { TriggerWait } from './faults/trigger-wait.ts'
import type { About } from './faults/triggers.ts'
import { converge } from './liveness/liveness.ts'
import { watchLists } from './liveness/quiescence.ts'
import { judgeStore } from './oracle/store-verdict.ts'
import { RuleViolation } from './oracle/violation.ts'
import { isLockOp, RIGHTS_OPS, type Schedule, type ScheduledOp, STORE_OPS } from './schedule/schedule.ts'
import type { SimEvent } from './sim-event.ts'
import { SimCluster, type Waits } from './world/cluster.ts'
import { IO } from './world/time.ts'

/** Limit of the operations, and of the faults, of a schedule. */
const LINES_MAX = 2 ** 20

export interface RunResult {
  /** The first broken rule, if there was one. */
  readonly violation:
    | { readonly invariant: string; readonly detail: string; readonly atMs: number }
    | undefined
  readonly events: number
  readonly virtualMs: number
  /** The same for every run of the same schedule. */
  readonly trace: string
  readonly faults: Readonly<Record<string, number>>
  readonly probes: Readonly<Record<string, number>>
  readonly coverage: StateCoverage
  readonly ok: number
  readonly failed: number
  readonly unknown: number
  /** The history of the clients, in the format of `history.ts`. */
  readonly history: readonly HistoryEvent[]
  /** Reads and writes of list-append transactions; only the header if there were none. */
  readonly transactions: readonly HistoryEvent[]
}

/** Called after each event that is worth noting; used by a replay. */
export type EventObserver = (event: {
  readonly atMs: number
  readonly node: string | undefined
  readonly event: SimEvent
  readonly cluster: SimCluster
}) => void

/** `prepare` may change the cluster before it runs; for tests of the simulator itself. */
export function runSchedule(
  schedule: Schedule,
  watch?: EventObserver,
  prepare?: (cluster: SimCluster) => void,
): RunResult {
  const run = new Run(schedule, watch)
  prepare?.(run.cluster)
  try {
    run.cluster.runThrough(run.waits())
  } catch (error) {
    run.threw(error)
  }
  return run.result()
}

/** A cluster with its clients, what is asked of it and done to it, and what came of it. */
export class Run {
  readonly cluster: SimCluster
  readonly clients: Clients
  readonly store: StoreClients
  readonly locks: LockClients
  readonly faults: Faults
  readonly usesStore: boolean
  #opSeq: number
  #faultSeq: number
  readonly #history: HistoryEvent[] = []
  readonly #transactions: HistoryEvent[] = []

  constructor({ seed, rule, config, ops, faults }: Schedule, watch?: EventObserver) {
    // Settings, and so raises of the cluster version, take revisions that are not in the history. Settings may also
    // make the store forget tokens early.
    const settings = ops.some(({ kind }) => kind === 'settings')
    const raises = faults.some(({ kind }) => kind === 'raise')
    const usesStore = ops.some(isBeyondHistory)
    const header = {
      workload: 'kv',
      seed,
      command: `jepsen-lite sim --seed ${seed} --schedules 1`,
      ...(settings ? { forgetsTokens: true } : {}),
      ...(settings || raises || usesStore ? {} : { complete: true }),
    }
    const cluster = new SimCluster(
      seed,
      config,
      (now) => new Recorder(header, now, (event) => this.#history.push(event)),
      rule,
    )
    const { time, probeCoverage } = cluster
    if (watch !== undefined)
      cluster.onSay = (process, event) => watch({ atMs: time.now, node: process?.name, event, cluster })
    this.cluster = cluster
    this.usesStore = usesStore
    this.clients = new Clients(cluster, cluster.recorder, config.clients, usesStore)
    const recorder = new Recorder(
      { workload: 'append', seed, command: header.command },
      () => time.now,
      (event) => this.#transactions.push(event),
    )
    this.store = new StoreClients(cluster, this.clients, recorder, config.clients)
    this.locks = new LockClients(cluster, this.clients, this.store, config.clients)
    this.faults = new Faults(cluster)
    cluster.onGone = (process) => {
      this.clients.gone(process)
      this.store.watchers.gone(process)
    }
    if (config.clocks > 0 && config.clocks < 4) probeCoverage.fault('clock-drift')
    watchLists(cluster)
    cluster.found()
    this.#opSeq = time.reserve(LINES_MAX)
    this.#faultSeq = time.reserve(LINES_MAX)
    for (const op of ops) if (op.at < config.ms) this.addOperation(op)
    for (const fault of faults) if (fault.at < config.ms) this.addFault(fault)
  }

  /** The run from its beginning to its end. */
  *waits(): Waits {
    const { cluster, clients, store, faults } = this
    const { config } = cluster
    yield { until: config.ms }
    if (!this.isRunning) return
    faults.endAll()
    this.locks.end()
    // Requests of operators take effect or time out here: no change of members may happen after a core was chosen.
    yield { until: config.ms + config.timeoutMs + 10 }
    if (this.isRunning) yield* converge(cluster, clients, this.usesStore ? store : undefined)
    if (this.isRunning) judgeStore(cluster, store)
  }

  /**
   * Adds an operation that is due later than now. The run continues as one of a schedule in which the
   * operation is the last.
   */
  addOperation(op: ScheduledOp): void {
    this.#at(this.#opSeq++, op, (about) => this.#request(op, about))
  }

  /** Adds a fault in the same way. */
  addFault(fault: SimFault): void {
    this.#at(this.#faultSeq++, fault, (about) => this.faults.inject(fault, about))
  }

  #at(
    seq: number,
    what: TriggerWait & { readonly at: number },
    act: (about: About | undefined) => boolean,
  ): void {
    const { time, triggers } = this.cluster
    time.pushAt(seq, what.at, IO, () => triggers.whenever(what, act))
  }

  #request(op: ScheduledOp, about: About | undefined): boolean {
    const { cluster } = this
    const machine = cluster.machine(op.node, about)
    const { kind } = op
    if (isLockOp(kind)) return this.locks.run({ ...op, kind }, machine)
    if (!(isStoreOp(kind) ? this.store : this.clients).run(op, machine)) return false
    if (machine !== undefined) cluster.coverage.operationRequested(kind, machine)
    return true
  }

  /** The events of clients so far. */
  get history(): readonly HistoryEvent[] {
    return this.#history
  }

  /** Nothing has happened after which the run proves nothing. */
  get isRunning(): boolean {
    return !this.cluster.rollbacks.isOver
  }

  threw(error: unknown): void {
    this.cluster.invariants.violation ??=
      error instanceof RuleViolation
        ? error
        : new RuleViolation(
            'CRASH-1',
            error instanceof Error ? (error.stack ?? error.message) : String(error),
          )
  }

  result(): RunResult {
    const { cluster, clients } = this
    const { time, probeCoverage, invariants, coverage, rollbacks } = cluster
    const { model, outdated } = invariants
    if (outdated > 0) probeCoverage.hit('right changed before a change was applied')
    if (model.evicted > 0) probeCoverage.hit('idempotency token evicted')
    if (model.forgotten > 0) probeCoverage.hit('session forgotten')
    if (rollbacks.isOver) probeCoverage.hit('replica put back to an earlier state was accepted')
    const violation = rollbacks.isOver ? undefined : invariants.violation
    if (violation !== undefined) cluster.say(undefined, { kind: 'violation', message: violation.message })
    return {
      violation:
        violation === undefined
          ? undefined
          : { invariant: violation.invariant, detail: violation.message, atMs: time.now },
      events: time.count,
      virtualMs: time.now,
      trace: cluster.trace.value,
      faults: probeCoverage.faults,
      probes: probeCoverage.probes,
      coverage,
      ok: clients.ok,
      failed: clients.failed,
      unknown: clients.unknown,
      history: this.#history,
      transactions: this.#transactions,
    }
  }
}

const isStoreOp = (kind: string): boolean => [...STORE_OPS, ...RIGHTS_OPS].some((one) => one === kind)

/** Whether it is about keys that are not in the history. */
export const isBeyondHistory = ({ kind }: { readonly kind: string }): boolean =>
  isStoreOp(kind) || isLockOp(kind)
