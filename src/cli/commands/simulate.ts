// kv simulate FILE: runs a scenario of the user in simulated clusters, with faults, until a run fails.

import { randomInt } from 'node:crypto'
import { resolve } from 'node:path'
import { Command } from '@commander-js/extra-typings'
import type {
  Scenario,
  SeedFailure,
  SeedProgress,
  SeedSearchResult,
} from '../../../jepsen-lite/testing/scenario.ts'
import { shellWord } from '../../bytes/shell-word.ts'
import { Failure, failureMessage } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { parsePositive, parseSeed, parseText } from '../flags/flag-values.ts'
import { type GlobalFlags, outputFormat } from '../flags/global-flags.ts'
import { sayFailure } from '../terminal/failure.ts'
import { io, userPath, withCurrentIo } from '../terminal/io.ts'
import { allWritten, printJson, printLines, say } from '../terminal/output.ts'
import { ProgressDisplay } from '../terminal/progress.ts'

const SEEDS = 100
const SEED_LIMIT = 2 ** 31
/** The file of the scenario does not load: no run can begin. */
const NOT_LOADED = 3
const PLACES_MAX = 3

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('simulate'), [
    'kv simulate ./scenario.ts',
    'kv simulate ./scenario.ts --seeds 1000 -o json',
    "kv simulate ./scenario.ts --seed 4 --schedule '120 crash leader for 500'",
  ])
    .description('run a scenario of your service in simulated clusters, until a run fails')
    .argument('<file>', 'a module whose default export is the body of simulate', parseText)
    .option('--seeds <count>', `how many (default: ${SEEDS}, or 1 with --schedule)`, parsePositive)
    .option('--seed <number>', 'the first one; the next ones count up (default: drawn)', parseSeed)
    .option('--schedule <text>', 'the faults of each run; otherwise each seed draws its own')
    .option('--report <file>', 'where to write an HTML page about a run that fails', parseText)
    .action(async (file, options) => {
      const exitCode = await simulate(flags(), file, options).then(() => EXIT.ok, sayFailure)
      await allWritten()
      // Modules of the user may hold timers and connections, which would keep this process alive.
      io().exit(exitCode)
    })

interface SimulateFlags {
  readonly report?: string | undefined
  readonly seeds?: number | undefined
  readonly seed?: number | undefined
  readonly schedule?: string | undefined
}

async function simulate(global: GlobalFlags, file: string, options: SimulateFlags): Promise<void> {
  const { calledFrames, readSchedule, searchScenario } = await import(
    '../../../jepsen-lite/testing/scenario.ts'
  )
  const { schedule: text, seeds = text === undefined ? SEEDS : 1 } = options
  const { seed = randomInt(SEED_LIMIT) } = options
  const schedule = text === undefined ? undefined : parsed(() => readSchedule(text))
  const scenario = await load(file, options)
  const display = new ProgressDisplay()
  let isFailed = false
  const plan = { seed, seeds, schedule }
  const result = await searchScenario(scenario, plan, (progress) => {
    const { failed } = progress
    if (failed !== undefined && !isFailed) {
      isFailed = true
      display.clear()
      // A user who interrupts the shrinking has this one.
      say(`seed ${failed.seed} failed: ${commandOf(file, failed)}`)
    }
    display.show(() => describeProgress(progress, seeds))
  }).catch(notLoaded(file, calledFrames))
  display.clear()
  const { failure, missing, processes } = result
  if (failure === undefined && missing.length > 0) {
    const known = processes.length === 0 ? 'none' : processes.join(', ')
    throw new Failure(EXIT.usage, `--schedule: there is no process ${missing.join(', ')}; there are ${known}`)
  }
  const { seconds } = display
  if (!(await printJson(outputFormat(global), resultJson(plan, result, seconds))))
    await printLines(describeResult(file, plan, result, seconds))
  if (failure !== undefined) throw new Failure(EXIT.failed, '')
}

async function load(file: string, { report }: SimulateFlags): Promise<Scenario> {
  const { calledFrames, loadScenario } = await import('../../../jepsen-lite/testing/scenario.ts')
  // A module may end the process. Node.js ends one that waits for nothing, with the exit code 0.
  const ends = withCurrentIo(() => {
    say(`error: cannot load ${file}: it ends the process, or waits for something that cannot happen`)
    process.exitCode = NOT_LOADED
  })
  process.once('exit', ends)
  const { body, options } = await loadScenario(resolve(userPath(file)))
    .catch(notLoaded(file, calledFrames))
    .finally(() => process.off('exit', ends))
  return { body, options: report === undefined ? options : { ...options, report: userPath(report) } }
}

function parsed<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new Failure(EXIT.usage, failureMessage(error))
  }
}

/** Fails with the places in the user's modules. */
const notLoaded =
  (file: string, framesOf: (error: Error) => readonly string[]) =>
  (error: unknown): never => {
    const places = error instanceof Error ? [...syntaxPlace(error), ...framesOf(error)] : []
    const lines = places.slice(0, PLACES_MAX).map((place) => `    ${place}`)
    throw new Failure(NOT_LOADED, `cannot load ${file}: ${failureMessage(error)}`, lines)
  }

/** The line of a syntax error. The stack of one in TypeScript begins with it. */
const syntaxPlace = ({ stack = '' }: Error): readonly string[] => {
  const [line = ''] = stack.split('\n')
  return /^(file:\/)?\/.*:\d+$/.test(line) ? [`at ${line}`] : []
}

const commandOf = (file: string, { seed, schedule }: SeedFailure): string =>
  `${PROGRAM} simulate ${shellWord(file)} --seed ${seed} --schedule ${shellWord(schedule.text)}`

function describeProgress({ runs, passed, failed }: SeedProgress, seeds: number): string {
  if (failed === undefined) return `${passed} of ${seeds} seeds`
  return `seed ${failed.seed} failed; ${faultCount(failed)} left after ${runs - passed} runs`
}

function describeResult(
  file: string,
  { seed, seeds }: { readonly seed: number; readonly seeds: number },
  { runs, passed, virtualMs, faults, failure }: SeedSearchResult,
  seconds: number,
): string {
  const virtual = `${(virtualMs / 1_000).toFixed(0)} s of virtual time`
  const spent = `${countOf(runs, 'run')} in ${seconds.toFixed(1)} s, ${virtual}, ${countOf(faults, 'fault')}`
  if (failure === undefined)
    return `${seeds === 1 ? `seed ${seed}` : `${seeds} seeds from ${seed} on`} passed: ${spent}`
  const { first, shrunk, shrinkRuns } = failure
  const isShrunk = shrunk.schedule.text !== first.schedule.text
  return [
    shrunk.error.message,
    '',
    `seed ${shrunk.seed} failed, after ${passed} that passed: ${spent}`,
    ...(isShrunk ? [`shrunk from ${faultCount(first)} to ${faultCount(shrunk)} in ${shrinkRuns} runs`] : []),
    `again: ${commandOf(file, shrunk)}`,
  ].join('\n')
}

const faultCount = ({ schedule: { faults } }: SeedFailure): string => countOf(faults.length, 'fault')

const countOf = (count: number, noun: string): string => (count === 1 ? `1 ${noun}` : `${count} ${noun}s`)

function resultJson(
  { seed, seeds }: { readonly seed: number; readonly seeds: number },
  { runs, passed, virtualMs, events, faults, processes, failure }: SeedSearchResult,
  seconds: number,
): object {
  return {
    ok: failure === undefined,
    seed,
    seeds,
    passed,
    runs,
    events,
    faults,
    virtual_ms: virtualMs,
    seconds: Math.round(seconds * 1_000) / 1_000,
    processes,
    failure: failure === undefined ? null : failureJson(failure),
  }
}

const failureJson = ({ first, shrunk, shrinkRuns }: NonNullable<SeedSearchResult['failure']>): object => ({
  seed: shrunk.seed,
  schedule: shrunk.schedule.text,
  code: shrunk.error.code,
  message: shrunk.error.message,
  report: shrunk.error.report ?? null,
  drawn_schedule: first.schedule.text,
  shrink_runs: shrinkRuns,
})
