// The study: one kind of partition, several times, against a cluster of real processes, with clients at every level of
// consistency on both sides. It measures what each level gives. README.md explains how.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodeNames } from '../../src/local/directory/plan.ts'
import { CommandError } from '../exit-codes.ts'
import type { Finding } from '../finding.ts'
import { LocalCluster, READY_LIMIT_MS } from '../local/cluster.ts'
import { ClusterObserver } from '../local/cluster-observer.ts'
import { noteStalls } from '../local/event-loop-stalls.ts'
import { recordFinalReads } from '../local/final-reads.ts'
import { findAlarms } from '../local/node-logs.ts'
import { prepareOut } from '../local/out-dir.ts'
import { RunRecording } from '../local/recording.ts'
import { buildHistory } from '../workload/history.ts'
import { Random } from '../workload/random.ts'
import { setApart } from './distance.ts'
import { type LoadOptions, StudyLoad } from './load.ts'
import { PICTURES, renderMarkdown } from './markdown.ts'
import type { PartitionKind } from './partition.ts'
import { renderPictures } from './pictures.ts'
import { buildStudyResults, type StudyConclusion, type StudyResults, type StudySettings } from './results.ts'
import { playRound } from './run-phases.ts'
import { levelLabel } from './tables.ts'

export interface StudyOptions extends StudySettings {
  readonly cut: PartitionKind
  readonly out: string
  readonly portFrom: number
  /** Ends the study early. */
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

/**
 * Code that runs for the first time is slow. So requests that are not measured are sent first, for this part of the
 * length of the phase `before`.
 */
const WARM_UP = { part: 0.5, msMax: 3_000 }

export async function study(options: StudyOptions): Promise<StudyResults> {
  const out = prepareOut(options.out, ['nodes', ...['study.json', 'study.md', 'answered.svg', 'ages.svg']])
  options.say(`seed ${options.seed}`)
  const { results, requests } = await new Study(options, out).perform()
  writeFileSync(join(out, 'study.json'), `${JSON.stringify(results, null, 2)}\n`)
  writeFileSync(join(out, 'study.md'), `${renderMarkdown(results)}\n${PICTURES}`)
  const pictures = renderPictures(requests, options.phaseMs, (level) => levelLabel(level, results))
  writeFileSync(join(out, 'answered.svg'), pictures.answered)
  writeFileSync(join(out, 'ages.svg'), pictures.ages)
  return results
}

class Study {
  readonly #options: StudyOptions
  readonly #recording: RunRecording
  readonly #observer: ClusterObserver
  readonly #dir: string
  readonly #random: Random
  readonly #findings: Finding[] = []

  constructor(options: StudyOptions, out: string) {
    const { seed, command, timeoutMs, maxStalenessMs, delayMs, leases, cut } = options
    this.#options = options
    this.#dir = join(out, 'nodes')
    this.#random = new Random(seed)
    const settings = { timeoutMs, maxStalenessMs, delayMs, leases, cut }
    const header = { workload: 'study', seed, command, nodes: this.#names, complete: true, ...settings }
    this.#recording = new RunRecording(join(out, 'history.jsonl'), header)
    this.#observer = new ClusterObserver(this.#recording.recorder)
  }

  async perform(): Promise<StudyConclusion> {
    const { recorder } = this.#recording
    const cluster = await LocalCluster.start({
      dir: this.#dir,
      nodes: this.#names,
      spares: [],
      portFrom: this.#options.portFrom,
      tls: false,
      env: () => ({}),
      onEvent: (event) => this.#observer.observe(event),
    })
    const endDistance = await setApart(cluster, this.#options.delayMs)
    const endNotes = noteStalls(recorder)
    try {
      await this.#runRounds(cluster)
    } finally {
      endNotes()
      this.#observer.close()
      await cluster.close()
      await endDistance()
      this.#recording.close()
    }
    for (const alarm of findAlarms(cluster.logFiles)) this.#report('violation', alarm)
    for (const message of this.#observer.unexpectedEnds) this.#report('violation', message)
    if (this.#options.signal.aborted) this.#report('interrupted', 'the study was interrupted')
    this.#options.say('checking')
    const concluded = buildStudyResults(buildHistory(this.#recording.events), this.#options, this.#findings)
    if (concluded.results.exit_code === 0) cluster.deleteData()
    return concluded
  }

  async #runRounds(cluster: LocalCluster): Promise<void> {
    const { rounds, signal } = this.#options
    const { recorder } = this.#recording
    if (!(await this.#awaitReady(cluster, 'the cluster did not form'))) return
    this.#observer.clientsBegin()
    await this.#setLeases(cluster)
    await this.#warmUp(cluster)
    for (let number = 1; number <= rounds && !signal.aborted; number++) {
      const nothing = await playRound({
        cluster,
        recorder,
        number,
        signal,
        say: this.#options.say,
        phaseMs: this.#options.phaseMs,
        cut: this.#options.cut,
        random: this.#random.named(`round ${number}`),
        load: this.#load,
      })
      if (nothing !== undefined) this.#report('proves-nothing', `round ${number}: ${nothing}`)
      if (!(await this.#awaitReady(cluster, `after round ${number} the cluster did not recover`))) return
    }
    recorder.note('phase', { phase: 'end' })
    const apart = await recordFinalReads(cluster, recorder, READY_LIMIT_MS, signal)
    if (apart !== undefined && !signal.aborted) this.#report('recovery', apart)
  }

  async #awaitReady(cluster: LocalCluster, otherwise: string): Promise<boolean> {
    const { signal } = this.#options
    const missing = await cluster.becomesReady(signal)
    if (missing !== undefined && !signal.aborted) this.#report('recovery', `${otherwise}: ${missing}`)
    return missing === undefined
  }

  async #setLeases(cluster: LocalCluster): Promise<void> {
    const on = this.#options.leases
    const [node] = cluster.members
    if (node === undefined) return
    const answer = await cluster.request(node, 'POST', '/v1/cluster/settings', { leases: { on } })
    if (answer.kind !== 'answer' || answer.status !== 200)
      throw new CommandError(`leases could not be switched ${on ? 'on' : 'off'}: ${JSON.stringify(answer)}`)
  }

  async #warmUp(cluster: LocalCluster): Promise<void> {
    const { phaseMs, signal } = this.#options
    const { recorder } = this.#recording
    recorder.note('phase', { phase: 'warm-up' })
    const load = new StudyLoad({
      ...this.#load,
      recorder,
      keys: ['warm-up'],
      name: 'warm-up',
      sides: { minority: cluster.members, majority: cluster.members },
      random: this.#random.named('warm-up'),
    })
    const { promise, resolve: done } = Promise.withResolvers<void>()
    const timer = setTimeout(done, Math.min(WARM_UP.msMax, WARM_UP.part * phaseMs.before))
    signal.addEventListener('abort', () => done())
    await promise
    clearTimeout(timer)
    await load.stop()
  }

  get #load(): Pick<LoadOptions, 'rate' | 'timeoutMs' | 'maxStalenessMs' | 'report'> {
    const { rate, timeoutMs, maxStalenessMs } = this.#options
    return { rate, timeoutMs, maxStalenessMs, report: (message) => this.#report('violation', message) }
  }

  get #names(): string[] {
    return nodeNames(this.#options.nodes)
  }

  #report(kind: Finding['kind'], message: string): void {
    this.#findings.push({ kind, message })
  }
}
