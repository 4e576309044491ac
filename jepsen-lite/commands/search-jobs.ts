// Several searches of the simulator at once, each in a worker thread, and their results as one. Worker i takes the
// seeds `seed + i`, `seed + i + jobs`, … The searches do not know each other's coverage, so every one of them repeats
// exactly.

import { Worker } from 'node:worker_threads'
import { siblingModule } from '../../src/local/child-module.ts'
import { StateCoverage, Trace } from '../sim/index.ts'
import {
  runSearch,
  type SearchMessage,
  type SearchPlan,
  type SearchProgress,
  type SimResult,
} from './search-run.ts'

const PROGRAM = siblingModule(import.meta, 'search-worker')

export type JobsPlan = Omit<SearchPlan, 'step'>

/** One search runs in this thread. */
export async function runJobs(
  plan: JobsPlan,
  jobs: number,
  onProgress: (progress: SearchProgress) => void,
): Promise<SimResult> {
  if (jobs === 1) return await runSearch({ ...plan, step: 1 }, onProgress)
  const progress = new Map<number, SearchProgress>()
  const results = splitPlan(plan, jobs).map((part, at) =>
    runWorker(part, (ofPart) => {
      progress.set(at, ofPart)
      onProgress(progressOfAll([...progress.values()]))
    }),
  )
  return merged(await Promise.all(results))
}

export function splitPlan(plan: JobsPlan, jobs: number): SearchPlan[] {
  const { seed, schedulesMax, violationsMax } = plan
  return Array.from({ length: Math.min(jobs, schedulesMax) }, (_, at) => ({
    ...plan,
    seed: seed + at,
    step: jobs,
    schedulesMax: Math.ceil((schedulesMax - at) / jobs),
    violationsMax: Math.ceil(violationsMax / jobs),
  }))
}

function runWorker(plan: SearchPlan, onProgress: (progress: SearchProgress) => void): Promise<SimResult> {
  const worker = new Worker(PROGRAM, { workerData: plan })
  return new Promise((resolve, reject) => {
    worker.on('message', (message: SearchMessage) => {
      if ('result' in message) resolve(message.result)
      else onProgress(message.progress)
    })
    worker.on('error', reject)
    worker.on('exit', () => reject(new Error('a search ended without a result')))
  })
}

const progressOfAll = (parts: readonly SearchProgress[]): SearchProgress => ({
  schedules: sum(parts.map(({ schedules }) => schedules)),
  virtualMs: sum(parts.map(({ virtualMs }) => virtualMs)),
  violations: sum(parts.map(({ violations }) => violations)),
})

/** The trace is the hash of all traces, in the order of the workers. */
export function merged(results: readonly SimResult[]): SimResult {
  const total = (value: (result: SimResult) => number): number => sum(results.map(value))
  const trace = new Trace()
  const coverage = new StateCoverage()
  for (const result of results) {
    trace.text(result.trace)
    coverage.add(result.coverage)
  }
  return {
    schedules: total(({ schedules }) => schedules),
    events: total(({ events }) => events),
    virtualMs: total(({ virtualMs }) => virtualMs),
    wallSeconds: Math.max(...results.map(({ wallSeconds }) => wallSeconds)),
    ok: total(({ ok }) => ok),
    failed: total(({ failed }) => failed),
    unknown: total(({ unknown }) => unknown),
    repeated: total(({ repeated }) => repeated),
    checked: total(({ checked }) => checked),
    undecided: total(({ undecided }) => undecided),
    trace: trace.value,
    faults: sumOfCounts(results.map(({ faults }) => faults)),
    probes: sumOfCounts(results.map(({ probes }) => probes)),
    coverage: coverage.counts,
    details: results.flatMap(({ details }) => details),
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)

function sumOfCounts(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total: Record<string, number> = {}
  for (const counts of all)
    for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count
  return total
}
