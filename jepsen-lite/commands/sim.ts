// `jepsen-lite sim`: searches for a schedule that breaks a rule. A schedule that does is shrunk and written to a file
// for `replay`.

import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import { EXIT, Failure } from '../exit-codes.ts'
import { type Found, judged, Search } from '../sim/index.ts'
import { coverageOf, coverageTable } from './coverage.ts'
import { whole } from './flags.ts'

const SCHEDULES = 200
const SHRINK_MS_MAX = 60_000
/** A search that finds this many is not worth going on with. */
const VIOLATIONS_MAX = 20

interface SimFlags {
  readonly seed?: number | undefined
  readonly schedules?: number | undefined
  readonly nodes: number
  readonly time?: number | undefined
  readonly out: string
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
    .option('--time <seconds>', 'of wall clock, at most', whole(1))
    .option('--out <dir>', 'where schedules that broke something are written', '.')
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

/** An optional peer dependency of the package, which shrinking needs: asked for now, not when a violation is found. */
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
  const search = new Search(flags.nodes)
  const details: Detail[] = []
  const shrunk = new Set<string>()
  const began = performance.now()
  const seconds = (): number => (performance.now() - began) / 1000
  let shrinking = 0
  while (search.schedules < count && seconds() - shrinking < (flags.time ?? Number.POSITIVE_INFINITY)) {
    const found = search.run((seed + search.schedules) % 2 ** 32)
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
  const report = reportOf(seed, search, details, seconds() - shrinking)
  process.stdout.write(flags.output === 'json' ? `${JSON.stringify(report)}\n` : toText(report))
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
  const minimal = shrink(
    schedule,
    (candidate) => judged(candidate).violation?.invariant === invariant,
    () => performance.now() < until,
  ).schedule
  const result = judged(minimal)
  const detail = result.violation?.detail ?? violation.detail
  const file = join(out, `sim-${invariant.toLowerCase()}-${seed}.json`)
  mkdirSync(out, { recursive: true })
  const content = { invariant, detail, trace: result.trace, seed, schedule: minimal }
  writeFileSync(file, `${JSON.stringify(content, null, 1)}\n`)
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

function toText(report: ReturnType<typeof reportOf>): string {
  const { virtual_seconds: virtual, wall_seconds: wall, operations, probes } = report
  const faults = Object.entries(report.faults).filter(([, count]) => count > 0)
  const lines = [
    `seed ${report.seed}: ${report.schedules} schedules, ${report.events} events, ${virtual} virtual seconds in ${wall} s (${Math.round(virtual / Math.max(wall, 0.001))} times real time)`,
    `operations: ${operations.ok} ok, ${operations.failed} refused, ${operations.unknown} unknown`,
    `faults: ${faults.map(([kind, count]) => `${kind} ${count}`).join(', ')}`,
    `probes hit: ${Object.entries(probes.hit)
      .map(([probe, count]) => `${probe} ${count}`)
      .join(', ')}`,
    `probes never hit: ${probes.never_hit.join(', ') || 'none'}`,
    ...coverageTable(report.coverage),
    `trace ${report.trace_hash}; ${report.repeated} repeated, ${report.checked} histories checked, ${report.undecided} undecided`,
    ...report.violation_details.map(
      ({ seed, detail, file, faults: count, ops }) =>
        `VIOLATION (seed ${seed}): ${detail}${file === undefined ? '' : `\n  shrunk to ${count} faults and ${ops} operations: jepsen-lite replay ${file}`}`,
    ),
    report.violations === 0 ? 'no violation' : `${report.violations} violations`,
  ]
  return `${lines.join('\n')}\n`
}
