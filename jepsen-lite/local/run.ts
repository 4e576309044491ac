// One run: a cluster of real processes, clients that write down what they see, faults, the healing, everything read once more from every node, and
// the verdict on all of it.

import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { check } from '../checker/index.ts'
import { formatEvent, type HistoryEvent, historyOf, Recorder } from '../history.ts'
import { runClient } from './clients.ts'
import { type ClusterEvent, LocalCluster, READY_LIMIT_MS } from './cluster.ts'
import { recordFinals } from './finals.ts'
import { reconcile } from './nemeses/members.ts'
import type { Nemesis } from './nemesis.ts'
import { CLIENTS } from './network.ts'
import { Preload } from './preload/preload.ts'
import { Random } from './random.ts'
import { type Checked, countSnapshots, type Finding, type Results, resultsOf } from './results.ts'
import { runSchedule, type ScheduleResult } from './schedule.ts'
import { round, Tally } from './tally.ts'
import { keysFor, type WorkloadName, workloadOf } from './workloads.ts'

export interface RunOptions {
  /** Of the workload: calm first, then faults. The start, the recovery and the check come on top. */
  readonly timeS: number
  readonly workload: WorkloadName
  readonly nemeses: readonly Nemesis[]
  /** Operations a second, of all clients together. */
  readonly rate: number
  readonly clients: number
  readonly nodes: number
  readonly out: string
  readonly seed: number
  /** What to type to repeat it. */
  readonly command: string
  readonly portFrom: number
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

/** How much of the time is calm before the first fault. */
const CALM = { part: 0.1, msMin: 1_500, msMax: 5_000 }
/** Of the operations asked for in the calm, this part must have succeeded: a cluster that hardly works cannot be broken. */
const CALM_OK_PART = 0.25
/** After the last fault is healed the clients go on for this long: the store must take writes again. */
const AFTERMATH_MS = 3_000
const SPARES = 2

export async function run(options: RunOptions): Promise<Results> {
  const { signal, say } = options
  const out = resolve(options.out)
  mkdirSync(out, { recursive: true })
  const file = openSync(join(out, 'history.jsonl'), 'w')
  const events: HistoryEvent[] = []
  const tally = new Tally()
  const startedAt = performance.now()
  const now = (): number => round(performance.now() - startedAt)
  const names = Array.from({ length: options.nodes }, (_, at) => `n${at + 1}`)
  const spares = Array.from({ length: SPARES }, (_, at) => `n${options.nodes + at + 1}`)
  const { workload, seed, command, rate, clients } = options
  const header = {
    workload,
    seed,
    command,
    nodes: names,
    rate,
    clients,
    nemeses: options.nemeses.map(({ kind }) => kind),
  }
  const recorder = new Recorder(header, now, (event) => {
    events.push(event)
    tally.add(event)
    writeSync(file, `${formatEvent(event)}\n`)
  })
  const findings: Finding[] = []
  const watch = new Watch(recorder, findings)
  const stopClients = new AbortController()
  let schedule: ScheduleResult = { faults: [], skipped: {}, idle: {} }
  const preload = preloadFor(options.nemeses, out)
  let cluster: LocalCluster | undefined
  let calm = { okCount: 0, wanted: 0 }
  let recoveredMs: number | undefined
  let snapshotsInstalled = 0
  try {
    say(`seed ${seed}`)
    cluster = await LocalCluster.start({
      dir: join(out, 'nodes'),
      nodes: names,
      spares,
      portFrom: options.portFrom,
      env: (name) => ('missing' in preload ? {} : preload.env(name)),
      onEvent: (event) => watch.see(event),
    })
    const unready = await cluster.becomesReady(signal)
    if (unready !== undefined) throw new Error(`the cluster did not form: ${unready}`)
    say(`${names.length} nodes are ready`)
    const snapshotsBefore = countSnapshots(cluster.logFiles)
    const clientsDone = startClients(options, cluster, recorder, stopClients.signal)

    recorder.note('phase', { phase: 'calm' })
    watch.countElections()
    const calmMs = Math.min(CALM.msMax, Math.max(CALM.msMin, options.timeS * 1_000 * CALM.part))
    await sleep(calmMs, undefined, { signal }).catch(() => {})
    calm = { okCount: tally.okCount, wanted: Math.ceil((calmMs / 1_000) * rate * CALM_OK_PART) }

    recorder.note('phase', { phase: 'faults' })
    schedule = await runSchedule({
      nemeses: options.nemeses,
      world: {
        cluster,
        random: new Random(seed).stream('faults'),
        preload,
        looksAtAges: workload === 'kv',
        conditions: { wrongClocks: 0, leasesMayBeOn: false },
        report: (message) => findings.push({ kind: 'violation', message }),
      },
      durationMs: options.timeS * 1_000 - calmMs,
      signal,
      now,
      note: (what, details) => recorder.note(what, details),
      say,
    })

    recorder.note('phase', { phase: 'heal' })
    say('healing')
    const healingAt = performance.now()
    const missing = await recover(cluster, signal)
    if (missing !== undefined)
      findings.push({
        kind: 'recovery',
        message: `not ready ${READY_LIMIT_MS} ms after the last fault: ${missing}`,
      })
    else recoveredMs = round(performance.now() - healingAt)
    const aftermathAt = now()
    await sleep(AFTERMATH_MS, undefined, { signal }).catch(() => {})
    stopClients.abort()
    await clientsDone
    if (tally.recoveryAfter(aftermathAt) === undefined && !signal.aborted)
      findings.push({
        kind: 'recovery',
        message: `no write succeeded within ${AFTERMATH_MS} ms after the faults`,
      })

    recorder.note('phase', { phase: 'end' })
    const apart = await recordFinals(cluster, recorder, READY_LIMIT_MS, signal)
    if (apart !== undefined) findings.push({ kind: 'recovery', message: apart })
    snapshotsInstalled = countSnapshots(cluster.logFiles) - snapshotsBefore
  } finally {
    stopClients.abort()
    watch.closing = true
    await cluster?.close()
    closeSync(file)
  }
  const checked = judge(events, findings)
  const results = resultsOf({
    options,
    checked,
    tally,
    schedule,
    findings,
    calm,
    elections: watch.elections,
    recoveredMs,
    snapshotsInstalled,
  })
  if (results.exit_code === 0) cluster.deleteData()
  writeFileSync(join(out, 'results.json'), `${JSON.stringify(results, null, 2)}\n`)
  return results
}

function startClients(
  options: RunOptions,
  cluster: LocalCluster,
  recorder: Recorder,
  signal: AbortSignal,
): Promise<unknown> {
  const keys = keysFor(options.workload)
  // Relays in front of the APIs only where they are to be cut: through one, a client cannot tell a dead node from a slow one.
  const throughRelays = options.nemeses.some(({ kind }) => kind === 'client')
  const targets = () =>
    cluster.members.map(({ name, port }) => ({
      name,
      port: throughRelays ? cluster.network.link(CLIENTS, name).address.port : port,
    }))
  const loops = Array.from({ length: options.clients }, (_, id) => {
    const random = new Random(options.seed).stream(`client ${id}`)
    return runClient({
      id,
      rate: options.rate / options.clients,
      workload: workloadOf(options.workload, id, keys, random.stream('operations')),
      random,
      recorder,
      targets,
      stays: id % 2 === 0,
      signal,
    })
  })
  return Promise.all(loops)
}

/** Every fault is healed; whoever is still away comes back, and the configuration is put right. */
async function recover(cluster: LocalCluster, signal: AbortSignal): Promise<string | undefined> {
  for (const node of cluster.members) {
    if (node.process.paused) cluster.resume(node)
    cluster.start(node)
  }
  await reconcile(cluster)
  return cluster.becomesReady(signal)
}

/** What the checker says of the history, added to what the run itself has found. */
function judge(events: readonly HistoryEvent[], findings: Finding[]): Checked {
  const began = performance.now()
  const { verdict, findings: broken, linearizability, counts } = check(historyOf(events))
  for (const { check: promise, message } of broken)
    findings.push({ kind: 'violation', message: `${promise}: ${message}` })
  if (verdict === 'undecided') {
    const keys = linearizability.keys.filter((key) => key.verdict === 'undecided').map(({ key }) => key)
    findings.push({ kind: 'undecided', message: `the search ran out of its budget for ${keys.join(', ')}` })
  }
  const { model, configurations, keys } = linearizability
  return {
    verdict,
    model,
    keys: keys.length,
    configurations,
    ms: round(performance.now() - began),
    ...counts,
  }
}

/** Only where a fault needs it: a node without it is the shipped one to the last system call. */
function preloadFor(nemeses: readonly Nemesis[], out: string): Preload | { readonly missing: string } {
  const isNeeded = nemeses.some(({ groups }) => groups.includes('disk') || groups.includes('clock'))
  return isNeeded ? Preload.build(join(out, 'preload')) : { missing: 'no fault needs it' }
}

/** Turns what happens to the nodes into notes, and what should not have happened into findings. */
class Watch {
  elections = 0
  closing = false
  readonly #recorder: Recorder
  readonly #findings: Finding[]
  #counting = false
  #highestTermLed = 0

  constructor(recorder: Recorder, findings: Finding[]) {
    this.#recorder = recorder
    this.#findings = findings
  }

  countElections(): void {
    this.#counting = true
  }

  see(event: ClusterEvent): void {
    if (this.closing) return
    const { node } = event
    switch (event.kind) {
      case 'view': {
        const { role, term, leader } = event.view
        const { before } = event
        if (before?.role !== role || before.term !== term || before.leader !== leader)
          this.#recorder.note('role', { node, role, term, leader: leader ?? null })
        if (role !== 'leader' || term <= this.#highestTermLed) break
        this.#highestTermLed = term
        if (this.#counting) this.elections++
        break
      }
      case 'ended':
        this.#recorder.note('ended', { node, reason: event.reason })
        if (!event.wanted)
          this.#findings.push({ kind: 'stopped', message: `${node} ended by itself: ${event.reason}` })
        break
      default:
        this.#recorder.note(event.kind, { node })
    }
  }
}
