// One run: starts a cluster of real processes and clients that record what they see, injects faults, heals them, reads
// everything once more from every node, and judges the result.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pause } from '../../src/client/timer.ts'
import { localUrl } from '../../src/local/addresses.ts'
import { nodeNames } from '../../src/local/directory/plan.ts'
import { anomalyText, type HistoryJudgement, judge } from '../checker/index.ts'
import type { Finding } from '../finding.ts'
import { type ReportSources, renderReport } from '../report/index.ts'
import { buildHistory, type History } from '../workload/history.ts'
import { Random } from '../workload/random.ts'
import { runClient } from './clients.ts'
import { LocalCluster, READY_LIMIT_MS } from './cluster.ts'
import { ClusterObserver } from './cluster-observer.ts'
import { noteStalls } from './event-loop-stalls.ts'
import { recordFinalReads } from './final-reads.ts'
import { comeBack } from './nemeses/disks.ts'
import { reconcile, wrongMembers } from './nemeses/members.ts'
import type { Nemesis } from './nemesis.ts'
import { CLIENTS } from './network.ts'
import { countSnapshots, findAlarms } from './node-logs.ts'
import type { LocalRunOptions } from './options.ts'
import { prepareOut } from './out-dir.ts'
import { Preload } from './preload/preload.ts'
import type { RecipeConnection } from './recipe-messages.ts'
import { drainQueue, RecipeProcesses } from './recipes.ts'
import { RunRecording } from './recording.ts'
import { buildResults, type CheckSummary, type Results } from './results.ts'
import { round } from './run-stats.ts'
import { RunWatchers } from './run-watchers.ts'
import { runSchedule, type ScheduleResult } from './schedule.ts'
import { WIRES } from './wires/index.ts'
import { leasesEnd } from './workload-lease.ts'
import { createWorkload, historyHeader, isRecipe, keysFor, WATCHES } from './workloads.ts'

/** The part of the time before the first fault. */
const CALM = { part: 0.1, msMin: 1_000, msMax: 5_000 }
/**
 * The part of the operations planned for the time before the first fault that must succeed: otherwise the cluster did
 * not work even without faults. On a busy machine the first fault waits for them, for `waitMsMax` at most.
 */
const CALM_OK = { part: 0.1, waitMsMax: 30_000 }
/**
 * After the last fault is healed, the clients continue for at least `min`; the store must accept a write within `max`.
 */
const AFTERMATH_MS = { min: 500, max: 5_000 }
/** Names that may be added to the cluster while it runs. */
const SPARES = 2

export async function run(options: LocalRunOptions): Promise<Results> {
  const out = prepareOut(options.out, ['nodes', 'preload', 'results.json', 'report.html'])
  const running = new Run(options, out)
  options.say(`seed ${options.seed}`)
  const { results, reported } = await running.perform()
  writeFileSync(join(out, 'results.json'), `${JSON.stringify(results, null, 2)}\n`)
  writeFileSync(join(out, 'report.html'), renderReport(reported))
  return results
}

interface RunConclusion {
  readonly results: Results
  readonly reported: ReportSources
}

class Run {
  readonly #options: LocalRunOptions
  readonly #recording: RunRecording
  readonly #observer: ClusterObserver
  readonly #preload: Preload | { readonly missing: string }
  readonly #nodesDir: string
  readonly #findings: Finding[] = []
  readonly #stopClients = new AbortController()
  readonly #stopWatches = new AbortController()
  #watchers: RunWatchers | undefined
  #recipes: RecipeProcesses | undefined
  #clientsDone: Promise<unknown> = Promise.resolve()
  #calm = { okCount: 0, required: 0 }
  #schedule: ScheduleResult = { faults: [], skipped: {}, idle: {} }
  #recoveredMs: number | undefined
  #snapshotsInstalled = 0

  constructor(options: LocalRunOptions, out: string) {
    const { workload, wire, seed, command, rate, clients, nemeses } = options
    this.#options = options
    this.#nodesDir = join(out, 'nodes')
    this.#preload = preloadFor(nemeses, out)
    const kinds = nemeses.map(({ kind }) => kind)
    const nodes = [
      ...firstNodeNames(options),
      ...(kinds.includes('member-add') ? spareNodeNames(options) : []),
    ]
    const header = {
      workload,
      seed,
      command,
      nodes,
      rate,
      clients,
      nemeses: kinds,
      ...historyHeader(workload),
      wire,
    }
    this.#recording = new RunRecording(join(out, 'history.jsonl'), header)
    this.#observer = new ClusterObserver(this.#recording.recorder)
  }

  async perform(): Promise<RunConclusion> {
    const cluster = await LocalCluster.start({
      dir: this.#nodesDir,
      nodes: firstNodeNames(this.#options),
      spares: spareNodeNames(this.#options),
      portFrom: this.#options.portFrom,
      tls: this.#options.tls,
      env: (name) => ('missing' in this.#preload ? {} : this.#preload.env(name, join(this.#nodesDir, name))),
      onEvent: (event) => this.#observer.observe(event),
    })
    const endNotes = noteStalls(this.#recording.recorder)
    try {
      await this.#runPhases(cluster)
    } finally {
      endNotes()
      this.#stopClients.abort()
      this.#stopWatches.abort()
      await this.#watchers?.done
      this.#observer.close()
      await cluster.close()
      await this.#clientsDone
      this.#recording.close()
      if (!('missing' in this.#preload)) this.#preload.close()
    }
    for (const alarm of findAlarms(cluster.logFiles)) this.#report('violation', alarm)
    const concluded = this.#conclude()
    if (concluded.results.exit_code === 0) cluster.deleteData()
    return concluded
  }

  async #runPhases(cluster: LocalCluster): Promise<void> {
    const { signal, say } = this.#options
    const unready = await cluster.becomesReady(signal)
    if (unready !== undefined) {
      this.#report('recovery', `the cluster did not form: ${unready}`)
      return
    }
    say(`${this.#options.nodes} nodes are ready`)
    const snapshotsBefore = countSnapshots(cluster.logFiles)
    this.#observer.clientsBegin()
    this.#watchers = this.#startWatchers(cluster)
    this.#clientsDone = this.#startClients(cluster)
    const calmMs = await this.#runWithoutFaults()
    await this.#injectFaults(cluster, this.#options.timeS * 1_000 - calmMs)
    if (signal.aborted) return
    await this.#recover(cluster)
    this.#notePhase('end')
    const { workload, wire } = this.#options
    if (workload === 'queue')
      this.#reportUnrecovered(
        await drainQueue(this.#recipeConnection(cluster), this.#recording.recorder, signal),
      )
    // Otherwise keys would go while the last reads are made. Recipes have leases too.
    if (workload === 'lease' || isRecipe(workload))
      this.#reportUnrecovered(await leasesEnd(cluster, WIRES[wire].features, signal))
    await this.#readFinals(cluster)
    this.#snapshotsInstalled = countSnapshots(cluster.logFiles) - snapshotsBefore
  }

  async #runWithoutFaults(): Promise<number> {
    const { signal, timeS, rate, workload } = this.#options
    await this.#recipes?.begun
    this.#notePhase('calm')
    const calmMs = Math.min(CALM.msMax, Math.max(CALM.msMin, timeS * 1_000 * CALM.part))
    await pause(calmMs, signal)
    // Their processes must start, and those who wait for a lock do nothing else.
    const part = isRecipe(workload) ? CALM_OK.part / 10 : CALM_OK.part
    const required = Math.ceil((calmMs / 1_000) * rate * part)
    const { stats } = this.#recording
    const until = performance.now() + CALM_OK.waitMsMax
    while (stats.okCount < required && performance.now() < until && !signal.aborted) await pause(50, signal)
    this.#calm = { okCount: stats.okCount, required }
    return calmMs
  }

  async #injectFaults(cluster: LocalCluster, durationMs: number): Promise<void> {
    const { nemeses, seed, workload, signal, say } = this.#options
    this.#notePhase('faults')
    this.#recipes?.disturb()
    this.#schedule = await runSchedule({
      nemeses,
      world: {
        cluster,
        random: new Random(seed).named('faults'),
        preload: this.#preload,
        checksAges: workload === 'kv',
        checksLeases: workload === 'lease',
        conditions: { wrongClocks: 0, leasesMayBeOn: false },
        report: (message) => this.#report('violation', message),
      },
      durationMs,
      signal,
      now: () => this.#recording.now(),
      worksSince: (time) => this.#recording.stats.worksSince(time),
      note: (what, details) => this.#recording.recorder.note(what, details),
      say,
    })
  }

  /** Brings back all nodes that are down or paused, corrects the membership, and checks that the store works again. */
  async #recover(cluster: LocalCluster): Promise<void> {
    const { signal, say } = this.#options
    this.#notePhase('heal')
    say('healing')
    const began = performance.now()
    for (const node of cluster.members) if (node.paused) cluster.resume(node)
    await Promise.all(cluster.members.map((node) => comeBack(cluster, node)))
    await reconcile(cluster)
    const missing = await cluster.becomesReady(signal)
    if (missing === undefined) this.#recoveredMs = round(performance.now() - began)
    else this.#report('recovery', `not ready ${READY_LIMIT_MS} ms after the last fault: ${missing}`)
    if (missing === undefined) await this.#checkMembers(cluster)
    const healedAt = this.#recording.now()
    const works = (): boolean => this.#recording.stats.worksSince(healedAt)
    do await pause(AFTERMATH_MS.min, signal)
    while (!works() && !signal.aborted && this.#recording.now() < healedAt + AFTERMATH_MS.max)
    this.#stopClients.abort()
    await this.#clientsDone
    if (!works())
      this.#report('recovery', `no write succeeded within ${AFTERMATH_MS.max} ms after the faults`)
  }

  /** Corrects the membership again, as some changes may have failed while nodes were coming back; then checks it. */
  async #checkMembers(cluster: LocalCluster): Promise<void> {
    await reconcile(cluster)
    const wrong = (await wrongMembers(cluster)) ?? (await cluster.becomesReady(this.#options.signal))
    if (wrong !== undefined)
      this.#report('recovery', `after the last fault, when all nodes were ready: ${wrong}`)
  }

  async #readFinals(cluster: LocalCluster): Promise<void> {
    const { signal } = this.#options
    const apart = await recordFinalReads(cluster, this.#recording.recorder, READY_LIMIT_MS, signal)
    this.#reportUnrecovered(apart)
    const last = this.#recording.events.findLast((event) => event.type === 'final')
    const late = last?.type === 'final' ? await this.#watchers?.settle(last.revision) : undefined
    for (const message of late ?? []) this.#report('recovery', message)
  }

  #startWatchers(cluster: LocalCluster): RunWatchers | undefined {
    const { workload, wire, seed } = this.#options
    const count = WATCHES[workload]
    if (count === undefined) return undefined
    return new RunWatchers({
      count,
      random: new Random(seed).named('watches'),
      recorder: this.#recording.recorder,
      targets: () => this.#listTargets(cluster),
      wire,
      tls: cluster.tls,
      signal: this.#stopWatches.signal,
      report: (message) => this.#report('violation', message),
    })
  }

  /**
   * Clients use the relays in front of the APIs only if a fault cuts these: behind a relay, a dead node looks like a
   * slow one.
   */
  #listTargets(cluster: LocalCluster): { readonly name: string; readonly port: number }[] {
    const throughRelays = this.#options.nemeses.some(({ kind }) => kind === 'client')
    const clientPort = (name: string): number => cluster.network.link(CLIENTS, name).address.port
    return cluster.members.map(({ name, port }) => ({ name, port: throughRelays ? clientPort(name) : port }))
  }

  #startClients(cluster: LocalCluster): Promise<unknown> {
    const { workload, wire, seed, rate, clients } = this.#options
    const random = new Random(seed)
    const { recorder } = this.#recording
    const report = (message: string): void => this.#report('violation', message)
    const { signal } = this.#stopClients
    if (isRecipe(workload)) {
      const connection = (): RecipeConnection => this.#recipeConnection(cluster)
      const all = { recorder, report, signal, clients, rate, seed, connection }
      this.#recipes = new RecipeProcesses({ ...all, recipe: workload, random: random.named('recipes') })
      return this.#recipes.done
    }
    const keys = keysFor(workload)
    let transactions = 0
    const transaction = (): number => {
      transactions += 1
      return transactions
    }
    const { features } = WIRES[wire]
    const surroundings = { logUpTo: () => this.#watchers?.logUpTo ?? 1, transaction, leases: [], features }
    const loops = Array.from({ length: clients }, (_, id) => {
      const own = random.named(`client ${id}`)
      return runClient({
        id,
        rate: rate / clients,
        random: own,
        recorder,
        report,
        signal,
        wire,
        tls: cluster.tls,
        workload: createWorkload(workload, id, keys, own.named('operations'), surroundings),
        targets: () => this.#listTargets(cluster),
        stays: id % 2 === 0,
      })
    })
    return Promise.all(loops)
  }

  #recipeConnection(cluster: LocalCluster): RecipeConnection {
    const { tls } = cluster
    const endpoints = this.#listTargets(cluster).map(({ port }) => localUrl(port, tls !== undefined))
    return { wire: this.#options.wire, endpoints, tls }
  }

  #conclude(): RunConclusion {
    const { history, judged, checked } = this.#judge()
    for (const message of this.#observer.unexpectedEnds) this.#report('stopped', message)
    const results = buildResults({
      options: this.#options,
      checked,
      stats: this.#recording.stats,
      schedule: this.#schedule,
      findings: this.#findings,
      calm: this.#calm,
      elections: this.#observer.elections,
      recoveredMs: this.#recoveredMs,
      snapshotsInstalled: this.#snapshotsInstalled,
    })
    const { check, transactions } = judged
    return { results, reported: { history, verdict: check, transactions, run: results } }
  }

  /** Checks the history, and adds the findings to those of the run itself. */
  #judge(): { readonly history: History; readonly judged: HistoryJudgement; readonly checked: CheckSummary } {
    const began = performance.now()
    const history = buildHistory(this.#recording.events)
    const judged = judge(history)
    const { linearizability, counts, undecided, unjudged } = judged.check
    for (const anomaly of judged.findings) this.#report('violation', anomalyText(anomaly))
    for (const message of undecided) this.#report('undecided', message)
    const { model, configurations, keys } = linearizability
    const ms = round(performance.now() - began)
    const size = { model, keys: keys.length, configurations, ms, unjudged, ...counts }
    const transactions = judged.transactions && { transactions: judged.transactions.counts.transactions }
    return { history, judged, checked: { verdict: judged.verdict, ...size, ...transactions } }
  }

  /** A reason why the cluster is not as it should be at the end. */
  #reportUnrecovered(why: string | undefined): void {
    if (why !== undefined) this.#report('recovery', why)
  }

  #notePhase(phase: string): void {
    this.#recording.recorder.note('phase', { phase })
  }

  /** An interrupted run does not wait for the recovery, so it cannot report that the cluster did not recover. */
  #report(kind: Finding['kind'], message: string): void {
    if (kind === 'recovery' && this.#options.signal.aborted) return
    this.#findings.push({ kind, message })
  }
}

const firstNodeNames = ({ nodes }: LocalRunOptions): string[] => nodeNames(nodes)

const spareNodeNames = ({ nodes }: LocalRunOptions): string[] => nodeNames(SPARES, nodes + 1)

/** The library to preload, only if a fault needs it: without it a node is exactly the shipped process. */
function preloadFor(nemeses: readonly Nemesis[], out: string): Preload | { readonly missing: string } {
  const isNeeded = nemeses.some(({ groups }) => groups.includes('disk') || groups.includes('clock'))
  return isNeeded ? Preload.build(join(out, 'preload')) : { missing: 'no fault needs it' }
}
