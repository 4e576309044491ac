// `jepsen-lite sim`: searches for a schedule that breaks a rule. A schedule that does is shrunk and written to a file
// for `replay`.

import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import { EXIT, Failure } from '../exit-codes.ts'
import { judgedAny, RecipeSearch } from '../recipes/index.ts'
import { type Found, formatScheduleFile, RECIPES, type Recipe, Search } from '../sim/index.ts'
import { coverageOf, coverageTable } from './coverage.ts'
import { whole } from './flags.ts'
import { coloured, duration, number, plural } from './format-text.ts'

const SCHEDULES = 200
const SHRINK_MS_MAX = 60_000
/** A search stops when it has found this many violations. */
const VIOLATIONS_MAX = 20

const PROGRESS_MS = 200
const ERASE_TO_END = '\u001b[K'

interface SimFlags {
  readonly seed?: number | undefined
  readonly schedules?: number | undefined
  readonly nodes: number
  readonly workload: 'kv' | Recipe
  readonly time?: number | undefined
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
    .option('--out <dir>', 'where schedules that broke something are written', '.')
    .option('--coverage', 'print what was reached how often as well', false)
    .addOption(
      new Option('-o, --output <output>').choices(['text', 'json'] as const).default('text' as const),
    )
    .action(async (flags) => {
      process.exitCode = await run(flags)
    })
}

interface Detail {
  readonly seed: number
  readonly invariant: string
  readonly detail: string
  readonly file: string | undefined
  readonly faults: number
  readonly ops: number
}

/**
 * Shrinking needs an optional peer dependency of the package. Its absence is reported now, not when a violation is
 * found.
 */
function requireFastCheck(): void {
  try {
    createRequire(import.meta.url).resolve('fast-check')
  } catch {
    throw new Failure('jepsen-lite sim needs the package fast-check: npm install --save-dev fast-check')
  }
}

async function run(flags: SimFlags): Promise<number> {
  requireFastCheck()
  const seed = flags.seed ?? Math.floor(Math.random() * 2 ** 31)
  const count = flags.schedules ?? (flags.time === undefined ? SCHEDULES : Number.POSITIVE_INFINITY)
  const { workload } = flags
  const search = workload === 'kv' ? new Search(flags.nodes) : new RecipeSearch(flags.nodes, workload)
  const details: Detail[] = []
  const shrunk = new Set<string>()
  const began = performance.now()
  const seconds = (): number => (performance.now() - began) / 1000
  const progress = new ProgressLine()
  let shrinking = 0
  while (search.schedules < count && seconds() - shrinking < (flags.time ?? Number.POSITIVE_INFINITY)) {
    const next = (seed + search.schedules) % 2 ** 32
    const found = search instanceof RecipeSearch ? await search.runRecipe(next) : search.run(next)
    progress.show(() => {
      const virtual = duration(search.virtualMs)
      const violations = plural(details.length, 'violation')
      return `${plural(search.schedules, 'schedule')}, ${virtual} of virtual time, ${duration(seconds() * 1000)}; ${violations}`
    })
    if (found === undefined) continue
    const { invariant, detail } = found.violation
    if (shrunk.has(invariant))
      details.push({ ...sizeOf(found), seed: found.seed, invariant, detail, file: undefined })
    else {
      const before = seconds()
      shrunk.add(invariant)
      details.push(await shrinkAndWrite(found, flags.out))
      shrinking += seconds() - before
    }
    if (details.length >= VIOLATIONS_MAX) break
  }
  progress.end()
  const report = reportOf(seed, search, details, seconds() - shrinking)
  process.stdout.write(flags.output === 'json' ? `${JSON.stringify(report)}\n` : toText(report, flags))
  return details.length > 0 ? EXIT.violation : EXIT.ok
}

const sizeOf = ({ schedule }: Found): { faults: number; ops: number } => ({
  faults: schedule.faults.length,
  ops: schedule.ops.length,
})

async function shrinkAndWrite({ seed, schedule, violation }: Found, out: string): Promise<Detail> {
  const { shrink } = await import('../sim/shrink.ts')
  const { invariant } = violation
  const until = performance.now() + SHRINK_MS_MAX
  const { schedule: minimal } = await shrink(
    schedule,
    async (candidate) => (await judgedAny(candidate)).violation?.invariant === invariant,
    () => performance.now() < until,
  )
  const result = await judgedAny(minimal)
  const detail = result.violation?.detail ?? violation.detail
  const file = join(out, `sim-${invariant.toLowerCase()}-${seed}.json`)
  mkdirSync(out, { recursive: true })
  const content = { invariant, detail, trace: result.trace, seed, schedule: minimal }
  writeFileSync(file, formatScheduleFile(content))
  return { seed, invariant, detail, file, faults: minimal.faults.length, ops: minimal.ops.length }
}

function reportOf(seed: number, search: Search, details: readonly Detail[], wallSeconds: number) {
  const {
    schedules,
    events,
    virtualMs,
    probeCoverage,
    trace,
    repeated,
    checked,
    undecided,
    ok,
    failed,
    unknown,
  } = search
  const probes = Object.entries(probeCoverage.probes)
  return {
    seed,
    schedules,
    events,
    virtual_seconds: round(virtualMs / 1000),
    wall_seconds: round(wallSeconds),
    operations: { ok, failed, unknown },
    repeated,
    checked,
    undecided,
    faults: probeCoverage.faults,
    probes: {
      hit: Object.fromEntries(probes.filter(([, count]) => count > 0)),
      never_hit: probes.filter(([, count]) => count === 0).map(([probe]) => probe),
    },
    coverage: coverageOf(search.coverage),
    trace_hash: trace,
    violations: details.length,
    violation_details: details,
  }
}

const round = (value: number): number => Math.round(value * 1000) / 1000

function toText(report: ReturnType<typeof reportOf>, { nodes, coverage }: SimFlags): string {
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
  for (const { seed, detail, file, faults: left, ops } of report.violation_details) {
    lines.push(coloured('red', `VIOLATION (seed ${seed}): ${detail}`))
    if (file !== undefined)
      lines.push(
        `  shrunk to ${plural(left, 'fault')} and ${plural(ops, 'operation')}: jepsen-lite replay ${file}`,
      )
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
  #shownAt = performance.now()

  show(text: () => string): void {
    if (!this.#stream.isTTY || performance.now() - this.#shownAt < PROGRESS_MS) return
    this.#shownAt = performance.now()
    this.#stream.write(`\r${text()}${ERASE_TO_END}`)
  }

  end(): void {
    if (this.#stream.isTTY) this.#stream.write(`\r${ERASE_TO_END}`)
  }
}
