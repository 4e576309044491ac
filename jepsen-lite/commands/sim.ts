// `jepsen-lite sim`: searches for a schedule that breaks a rule. A schedule that does is shrunk and written to a file
// for `replay`.

import { availableParallelism } from 'node:os'
import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import { EXIT } from '../exit-codes.ts'
import { RECIPES, type Recipe, StateCoverage } from '../sim/index.ts'
import { coverageTable, summarizeStateCoverage } from './coverage.ts'
import { whole } from './flags.ts'
import { coloured, duration, number, plural } from './format-text.ts'
import { runJobs } from './search-jobs.ts'
import type { SimResult } from './search-run.ts'

const SCHEDULES = 200
const JOBS_MAX = 256
/** The command stops after about this many violations. */
const VIOLATIONS_MAX = 20

const PROGRESS_MS = 200
const ERASE_TO_END = '\u001b[K'

interface SimFlags {
  readonly seed?: number | undefined
  readonly schedules?: number | undefined
  readonly nodes: number
  readonly workload: 'kv' | Recipe
  readonly time?: number | undefined
  readonly jobs?: number | undefined
  readonly out: string
  readonly coverage: boolean
  readonly output: 'text' | 'json'
}

export function add(program: CommandUnknownOpts): void {
  program
    .command('sim')
    .description('search simulated clusters for a schedule of faults that breaks a promise')
    .option('--seed <number>', 'of the first schedule; the next ones count up (default: drawn)', whole())
    .option(
      '--schedules <count>',
      `how many (default: ${SCHEDULES}, or as many as the time allows)`,
      whole(1),
    )
    .option('--nodes <count>', 'voters at the start, 1 to 7', whole(1, 7), 5)
    .addOption(
      new Option('--workload <workload>', 'what clients do: requests of all kinds, or a recipe')
        .choices(['kv', ...RECIPES] as const)
        .default('kv' as const),
    )
    .option('--time <seconds>', 'of wall clock, at most', whole(1))
    .option(
      '--jobs <count>',
      'searches at once (default: one for each core with --time alone, else 1)',
      whole(1, JOBS_MAX),
    )
    .option('--out <dir>', 'where schedules that broke something are written', '.')
    .option('--coverage', 'print what was reached how often as well', false)
    .addOption(
      new Option('-o, --output <output>').choices(['text', 'json'] as const).default('text' as const),
    )
    .action(async (flags) => {
      process.exitCode = await run(flags)
    })
}

/** A search with a given seed or number of schedules must repeat exactly on every machine, so it is one search. */
const defaultJobs = ({ seed, schedules, time }: SimFlags): number =>
  time === undefined || seed !== undefined || schedules !== undefined ? 1 : availableParallelism()

async function run(flags: SimFlags): Promise<number> {
  const { nodes, workload, out, time } = flags
  const seed = flags.seed ?? Math.floor(Math.random() * 2 ** 31)
  const schedulesMax = flags.schedules ?? (time === undefined ? SCHEDULES : Number.POSITIVE_INFINITY)
  const secondsMax = time ?? Number.POSITIVE_INFINITY
  const plan = { nodes, workload, seed, schedulesMax, secondsMax, violationsMax: VIOLATIONS_MAX, out }
  const line = new ProgressLine()
  const result = await runJobs(plan, flags.jobs ?? defaultJobs(flags), (progress) =>
    line.show(({ elapsedMs }) => {
      const virtual = duration(progress.virtualMs)
      const violations = plural(progress.violations, 'violation')
      return `${plural(progress.schedules, 'schedule')}, ${virtual} of virtual time, ${duration(elapsedMs)}; ${violations}`
    }),
  )
  line.end()
  const report = jsonReport(seed, result)
  process.stdout.write(flags.output === 'json' ? `${JSON.stringify(report)}\n` : toText(report, flags))
  return result.details.length > 0 ? EXIT.violation : EXIT.ok
}

function jsonReport(seed: number, result: SimResult) {
  const { schedules, events, virtualMs, wallSeconds, ok, failed, unknown, details, ...rest } = result
  const probes = Object.entries(rest.probes)
  const coverage = new StateCoverage()
  coverage.add(rest.coverage)
  return {
    seed,
    schedules,
    events,
    virtual_seconds: round(virtualMs / 1000),
    wall_seconds: round(wallSeconds),
    operations: { ok, failed, unknown },
    repeated: rest.repeated,
    checked: rest.checked,
    undecided: rest.undecided,
    faults: rest.faults,
    probes: {
      hit: Object.fromEntries(probes.filter(([, count]) => count > 0)),
      never_hit: probes.filter(([, count]) => count === 0).map(([probe]) => probe),
    },
    coverage: summarizeStateCoverage(coverage),
    trace_hash: rest.trace,
    violations: details.length,
    violation_details: details,
  }
}

const round = (value: number): number => Math.round(value * 1000) / 1000

function toText(report: ReturnType<typeof jsonReport>, { nodes, coverage }: SimFlags): string {
  const { operations, probes, coverage: reached } = report
  const faults = Object.entries(report.faults).filter(([, count]) => count > 0)
  const times = faults.reduce((sum, [, count]) => sum + count, 0)
  const lines = [
    `${plural(report.schedules, 'schedule')} of ${plural(nodes, 'node')} from seed ${report.seed}, in ${duration(report.wall_seconds * 1000)}: ${duration(report.virtual_seconds * 1000)} of virtual time`,
    `  requests   ${number(operations.ok)} ok, ${number(operations.failed)} refused, ${number(operations.unknown)} of unknown outcome`,
    `  histories  ${number(report.checked)} checked, ${number(report.undecided)} undecided`,
    `  faults     ${number(times)}, of ${plural(faults.length, 'kind')}`,
    `  coverage   ${number(reached.reached)} of ${number(reached.of)} pairs of an event and a state, ${number(reached.fault_pairs.reached)} of ${number(reached.fault_pairs.of)} pairs of faults${coverage ? '' : ' (--coverage)'}`,
    `  trace      ${report.trace_hash}, ${plural(report.repeated, 'schedule')} run twice`,
  ]
  if (coverage) {
    lines.push('', ...coverageTable(reached), '', 'faults:', ...counted(faults))
    lines.push('probes hit:', ...counted(Object.entries(probes.hit)))
    lines.push(`probes never hit: ${probes.never_hit.join(', ') || 'none'}`)
  }
  lines.push('')
  for (const { seed, detail, file, lab, faults: left, ops } of report.violation_details) {
    lines.push(coloured('red', `VIOLATION (seed ${seed}): ${detail}`))
    if (file !== undefined)
      lines.push(
        `  shrunk to ${plural(left, 'fault')} and ${plural(ops, 'operation')}: jepsen-lite replay ${file}`,
      )
    if (lab !== undefined) lines.push(`  in the lab (quorate lab): ${lab}`)
  }
  const end = report.violations === 0 ? 'no violation' : plural(report.violations, 'violation')
  lines.push(coloured(report.violations === 0 ? 'green' : 'red', end))
  return `${lines.join('\n')}\n`
}

const counted = (counts: readonly (readonly [name: string, count: number])[]): string[] =>
  counts.map(([name, count]) => `  ${number(count).padStart(9)}  ${name}`)

/** One line on a terminal, rewritten a few times a second. */
class ProgressLine {
  readonly #stream = process.stderr
  readonly #began = performance.now()
  #shownAt = performance.now()

  show(text: (time: { readonly elapsedMs: number }) => string): void {
    const now = performance.now()
    if (!this.#stream.isTTY || now - this.#shownAt < PROGRESS_MS) return
    this.#shownAt = now
    this.#stream.write(`\r${text({ elapsedMs: now - this.#began })}${ERASE_TO_END}`)
  }

  end(): void {
    if (this.#stream.isTTY) this.#stream.write(`\r${ERASE_TO_END}`)
  }
}
