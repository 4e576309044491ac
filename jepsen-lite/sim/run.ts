// Runs one schedule from beginning to end: a pure function of the schedule.

import { CLUSTER_VERSION } from '../../src/kv/index.ts'
import { type HistoryEvent, Recorder } from '../history.ts'
import { Clients } from './clients.ts'
import { Cluster } from './cluster.ts'
import type { Coverage } from './coverage.ts'
import { Faults } from './faults.ts'
import { converge } from './liveness.ts'
import type { Process } from './process.ts'
import { watchLists } from './rest.ts'
import { type Schedule, STORE_OPS } from './schedule.ts'
import { StoreClients } from './store-clients.ts'
import { judgeStore } from './store-judge.ts'
import { IO } from './time.ts'
import { Violation } from './violation.ts'

export interface Result {
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
  readonly coverage: Coverage
  readonly ok: number
  readonly failed: number
  readonly unknown: number
  /** The history of the clients, in the format of `history.ts`. */
  readonly history: readonly HistoryEvent[]
  /** What list-append transactions have read and written; only the header if there were none. */
  readonly transactions: readonly HistoryEvent[]
}

/** Called after each event that is worth printing; used by a replay. */
export type Watch = (event: {
  readonly atMs: number
  readonly node: string | undefined
  readonly what: string
  readonly cluster: Cluster
}) => void

/** `prepare` may change the cluster before it runs; for tests of the simulator itself. */
export function runSchedule(schedule: Schedule, watch?: Watch, prepare?: (cluster: Cluster) => void): Result {
  const { seed, config } = schedule
  const history: HistoryEvent[] = []
  // Settings raise the revision and are not in the history; and they may make the store forget tokens early.
  const settings = schedule.ops.some(({ kind }) => kind === 'settings')
  const usesStore = schedule.ops.some(({ kind }) => isStoreOp(kind))
  // The leader raises the cluster version by itself.
  const raises = config.clusterVersion !== undefined && config.clusterVersion < CLUSTER_VERSION
  const header = {
    ...{ workload: 'kv', seed, command: `jepsen-lite sim --seed ${seed} --schedules 1` },
    ...(settings ? { forgetsTokens: true } : {}),
    ...(settings || raises || usesStore ? {} : { complete: true }),
  }
  const transactions: HistoryEvent[] = []
  const cluster = new Cluster(
    seed,
    config,
    (now) => new Recorder(header, now, (event) => history.push(event)),
  )
  const { time, probeCoverage, invariants, triggers, coverage, rollbacks } = cluster
  if (watch !== undefined) {
    cluster.onSay = (process: Process | undefined, what: string) =>
      watch({ atMs: time.now, node: process?.name, what, cluster })
  }
  const clients = new Clients(cluster, cluster.recorder, config.clients, usesStore)
  const recorder = new Recorder(
    { workload: 'append', seed, command: header.command },
    () => time.now,
    (event) => transactions.push(event),
  )
  const store = new StoreClients(cluster, clients, recorder, config.clients)
  const faults = new Faults(cluster)
  cluster.onGone = (process) => {
    clients.gone(process)
    store.watchers.gone(process)
  }
  if (config.clocks > 0) probeCoverage.fault('clock-drift')
  watchLists(cluster)
  cluster.found()
  for (const op of schedule.ops)
    if (op.at < config.ms)
      time.push(op.at, IO, undefined, () =>
        triggers.whenever(op, (about) => {
          const machine = cluster.machine(op.node, about)
          if (!(isStoreOp(op.kind) ? store : clients).run(op, machine)) return false
          if (machine !== undefined) coverage.asked(op.kind, machine)
          return true
        }),
      )
  for (const fault of schedule.faults)
    if (fault.at < config.ms)
      time.push(fault.at, IO, undefined, () =>
        triggers.whenever(fault, (about) => faults.inject(fault, about)),
      )
  prepare?.(cluster)
  try {
    cluster.runUntil(config.ms)
    if (invariants.violation === undefined && !rollbacks.isOver) {
      faults.endAll()
      // Requests of operators take effect or time out here: no change of members may happen after a core was chosen.
      cluster.runUntil(config.ms + config.timeoutMs + 10)
      if (invariants.violation === undefined && !rollbacks.isOver)
        converge(cluster, clients, usesStore ? store : undefined)
    }
    if (invariants.violation === undefined && !rollbacks.isOver) judgeStore(cluster, store)
  } catch (error) {
    invariants.violation ??=
      error instanceof Violation
        ? error
        : new Violation('CRASH-1', error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  if (invariants.model.evicted > 0) probeCoverage.hit('idempotency token evicted')
  if (invariants.model.forgotten > 0) probeCoverage.hit('session forgotten')
  if (rollbacks.isOver) probeCoverage.hit('replica put back to an earlier state was believed')
  const violation = rollbacks.isOver ? undefined : invariants.violation
  if (violation !== undefined) cluster.say(undefined, `VIOLATION ${violation.message}`)
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
    history,
    transactions,
  }
}

const isStoreOp = (kind: string): boolean => STORE_OPS.some((one) => one === kind)
