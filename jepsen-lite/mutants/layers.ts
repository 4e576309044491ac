// The layers that may see a bug. Each runs in separate processes in the copy, so that a mutant that hangs or crashes
// affects only those.

import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { assertNever } from '../../src/raft/index.ts'
import type { Rare } from '../sim/index.ts'
import type { Layer, Mutant } from './mutant.ts'
import type { TrialOptions, TrialResult } from './sim-trial.ts'

export interface Budget {
  /** Schedules in a search. */
  readonly schedules: number
  /** Number of searches from different seeds; one if a search takes long. */
  readonly searches: number
  readonly seconds: number
  readonly shrinkSeconds: number
  readonly seed: number
  /** Input for the first schedule, in addition to the seed. */
  readonly guide?: Rare | undefined
}

export interface Catch {
  readonly layer: Layer
  /** The broken rule, or the failed test. */
  readonly by: string
  readonly detail: string
  /** Schedules of each search, if the simulator found it. */
  readonly schedules: readonly (number | null)[]
  /** Number of operations and faults of the shrunk schedule. */
  readonly length: number | null
  /** Seed of the schedule that found it. */
  readonly seed: number | undefined
  /** Together with the seed it determines that schedule. */
  readonly rare?: Rare
}

/** Extra time after the time limit, because the machine may be busy. */
const PATIENCE_MS = 60_000
const UNIT_MS_MAX = 300_000
const POWER = [
  '--states',
  '150',
  '--damaged',
  '0',
  '--sessions',
  '2',
  '--time',
  '90',
  '--seed',
  '1',
  '-o',
  'json',
]
const POWER_MS_MAX = 400_000

export function runLayer(
  layer: Layer,
  dir: string,
  { tests }: Mutant,
  budget: Budget,
): Promise<Catch | undefined> {
  switch (layer) {
    case 'sim':
      return simulated(dir, budget)
    case 'unit':
      return tested(dir, tests ?? [])
    case 'power':
      return cut(dir)
    default:
      return assertNever(layer)
  }
}

async function simulated(dir: string, budget: Budget): Promise<Catch | undefined> {
  const { seed, searches, schedules, seconds, shrinkSeconds, guide } = budget
  const options: TrialOptions = {
    seed,
    searches,
    schedules,
    ms: seconds * 1000,
    shrinkMs: shrinkSeconds * 1000,
    ...(guide === undefined ? {} : { guide }),
  }
  const args = [join(dir, 'jepsen-lite/mutants/sim-trial.ts'), JSON.stringify(options)]
  const { out, err, ended } = await run(dir, args, options.ms + options.shrinkMs + PATIENCE_MS)
  // Text after the last line end is incomplete.
  const told = out.split('\n').at(-2)
  const result: TrialResult | undefined = told === undefined ? undefined : JSON.parse(told)
  if (result?.first !== undefined) {
    const { rule: by, detail, length, seed: found, rare } = result.first
    return { layer: 'sim', by, detail, schedules: result.schedules, length, seed: found, rare }
  }
  const underWay = result?.underWay
  if (result !== undefined && underWay === undefined) return undefined
  return {
    ...{ layer: 'sim', schedules: [], length: null, seed: underWay?.seed },
    ...(underWay && { rare: underWay.rare }),
    ...(ended
      ? { by: 'CRASH', detail: err }
      : { by: 'HANGS', detail: 'a schedule does not come to its end' }),
  }
}

interface TestReport {
  readonly testResults: readonly {
    readonly message?: string
    readonly assertionResults: readonly {
      readonly status: string
      readonly fullName: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

async function tested(dir: string, tests: readonly string[]): Promise<Catch | undefined> {
  const file = join(dir, 'test-report.json')
  rmSync(file, { force: true })
  const args = [
    'node_modules/vitest/vitest.mjs',
    'run',
    ...tests,
    '--bail=1',
    '--reporter=json',
    `--outputFile=${file}`,
  ]
  const { err, ended } = await run(dir, args, UNIT_MS_MAX)
  const caught = { layer: 'unit', schedules: [], length: null, seed: undefined } as const
  if (!ended) return { ...caught, by: 'HANGS', detail: 'the tests do not come to their end' }
  let report: TestReport
  try {
    report = JSON.parse(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new Error(`the tests did not run: ${err}`, { cause: error })
  }
  const failed = report.testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .find(({ status }) => status === 'failed')
  if (failed !== undefined) return { ...caught, by: failed.fullName, detail: failed.failureMessages[0] ?? '' }
  const broken = report.testResults.find(({ message }) => message !== undefined && message !== '')
  if (broken !== undefined) return { ...caught, by: 'a file of tests', detail: broken.message ?? '' }
  return undefined
}

async function cut(dir: string): Promise<Catch | undefined> {
  const { out, err, ended } = await run(dir, ['bin/jepsen-lite.js', 'power', ...POWER], POWER_MS_MAX)
  const caught = { layer: 'power', schedules: [], length: null, seed: undefined } as const
  if (!ended) return { ...caught, by: 'HANGS', detail: 'no end' }
  let report: {
    readonly skipped?: string
    readonly violations: number
    readonly violation_details: readonly unknown[]
  }
  try {
    report = JSON.parse(out)
  } catch (error) {
    throw new Error(`the power cuts did not run: ${err}`, { cause: error })
  }
  if (report.skipped !== undefined) throw new Error(`the power cuts were skipped because ${report.skipped}`)
  if (report.violations === 0) return undefined
  return { ...caught, by: `${report.violations} states`, detail: JSON.stringify(report.violation_details[0]) }
}

/** `ended`: the process ended before it was killed for taking too long. */
function run(
  cwd: string,
  args: readonly string[],
  msMax: number,
): Promise<{ readonly out: string; readonly err: string; readonly ended: boolean }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd,
      env: { ...process.env, QUORATE_RUNS_PERCENT: '10', NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A separate process group, so that everything it started, such as test workers, ends with it.
      detached: true,
    })
    let out = ''
    let err = ''
    let ended = true
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text))
    const kill = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      } catch {
        // The process has ended.
      }
    }
    const timer = setTimeout(() => {
      ended = false
      kill()
    }, msMax)
    // Before the directory in which it works is removed.
    process.prependOnceListener('exit', kill)
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      process.off('exit', kill)
      resolve({ out, err, ended })
    })
  })
}
