// Runs the command of a mutant in the copy, in separate processes: a bug that hangs or crashes affects only those.

import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Rare } from '../sim/index.ts'
import type { MutantCommand } from './mutant.ts'
import type { SearchOptions, SearchReport } from './sim-search.ts'

export interface Budget {
  /** Schedules of one search. */
  readonly schedules: number
  readonly seconds: number
}

export interface Detection {
  /** The broken rule, the failed test, CRASH or HANG. */
  readonly by: string
  readonly detail: string
  /** The schedule that found it, if the simulator did. */
  readonly schedule: { readonly number: number; readonly seed: number; readonly rare: Rare } | undefined
}

/** Extra time before a process counts as hanging, because the machine may be busy. */
const GRACE_MS = 60_000
const VITEST_MS_MAX = 300_000

export const detect = (
  dir: string,
  command: MutantCommand,
  budget: Budget,
): Promise<Detection | undefined> =>
  command.kind === 'sim' ? searchFor(dir, { ...budget, seed: command.seed }) : runTests(dir, command.files)

/**
 * Repeats a detection, in a copy without the bug. What is found there too is no work of the bug. A schedule and its
 * coverage guide are the same as in the detection.
 */
export const repeat = (
  dir: string,
  command: MutantCommand,
  { schedule }: Detection,
  budget: Budget,
): Promise<Detection | undefined> =>
  schedule === undefined
    ? detect(dir, command, budget)
    : searchFor(dir, { ...budget, seed: schedule.seed, rare: schedule.rare, schedules: 1 })

async function searchFor(
  dir: string,
  { seconds, ...search }: Omit<SearchOptions, 'ms'> & { readonly seconds: number },
): Promise<Detection | undefined> {
  const options: SearchOptions = { ...search, ms: seconds * 1000 }
  const args = [join(dir, 'jepsen-lite/mutants/sim-search.ts'), JSON.stringify(options)]
  const { out, err, isComplete } = await run(dir, args, options.ms + GRACE_MS)
  // Text after the last line end is incomplete.
  const line = out.split('\n').at(-2)
  const report: SearchReport | null | undefined = line === undefined ? undefined : JSON.parse(line)
  if (report === null) return undefined
  if (report === undefined) return { by: 'CRASH', detail: err, schedule: undefined }
  const { schedule: number, seed, rare, violation } = report
  const schedule = { number, seed, rare }
  if (violation !== null) return { by: violation.rule, detail: violation.detail, schedule }
  return isComplete
    ? { by: 'CRASH', detail: err, schedule }
    : { by: 'HANG', detail: 'a schedule does not end', schedule }
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

async function runTests(dir: string, files: readonly string[]): Promise<Detection | undefined> {
  const [failed] = await failedTests(dir, files, '--bail=1')
  return failed && { by: failed.name, detail: failed.detail, schedule: undefined }
}

export interface FailedTest {
  /** Full name of the test, or HANG. */
  readonly name: string
  readonly detail: string
}

export async function failedTests(
  dir: string,
  files: readonly string[],
  ...flags: readonly string[]
): Promise<readonly FailedTest[]> {
  const output = join(dir, 'test-report.json')
  rmSync(output, { force: true })
  const vitest = 'node_modules/vitest/vitest.mjs'
  const args = [vitest, 'run', ...files, ...flags, '--reporter=json', `--outputFile=${output}`]
  const { err, isComplete } = await run(dir, args, VITEST_MS_MAX)
  if (!isComplete) return [{ name: 'HANG', detail: 'the tests do not end' }]
  let report: TestReport
  try {
    report = JSON.parse(readFileSync(output, 'utf8'))
  } catch (error) {
    throw new Error(`the tests did not run: ${err}`, { cause: error })
  }
  return report.testResults.flatMap(({ message, assertionResults }) => {
    const failed = assertionResults.filter(({ status }) => status === 'failed')
    if (failed.length === 0 && message) return [{ name: 'a file of tests', detail: message }]
    return failed.map(({ fullName, failureMessages }) => ({
      name: fullName,
      detail: failureMessages[0] ?? '',
    }))
  })
}

/** `isComplete`: the process ended by itself within its time. */
function run(
  cwd: string,
  args: readonly string[],
  msMax: number,
): Promise<{ readonly out: string; readonly err: string; readonly isComplete: boolean }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd,
      env: { ...process.env, QUORATE_RUNS_PERCENT: '10', NODE_OPTIONS: '' },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A separate process group, so that test workers end with it.
      detached: true,
    })
    let out = ''
    let err = ''
    let isComplete = true
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
      isComplete = false
      kill()
    }, msMax)
    // Before the directory in which it works is removed.
    process.prependOnceListener('exit', kill)
    child.on('error', reject)
    child.on('close', () => {
      clearTimeout(timer)
      process.off('exit', kill)
      resolve({ out, err, isComplete })
    })
  })
}
