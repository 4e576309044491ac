// `jepsen-lite mutants`: plants known bugs, each in a copy of the sources, and shows which layer catches it.

import { availableParallelism } from 'node:os'
import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import { EXIT, Failure } from '../exit-codes.ts'
import type { Layer, Mutant } from '../mutants/mutant.ts'
import type { MutantResult } from '../mutants/study.ts'
import { list, whole } from './flags.ts'

const DEFAULTS = { schedules: 1000, searches: 3, time: 120, shrinkTime: 10, seed: 1 }

export function add(program: CommandUnknownOpts): void {
  program
    .command('mutants')
    .description('plant known bugs in a copy of the sources, and see which layer catches each')
    .option('--only <ids>', 'these, joined by commas: M01,M20,K1 (default: all)', list)
    .option(
      '--layers <names>',
      'only these, joined by commas: sim, unit, power (default: all); others’ mutants are left out',
      list,
    )
    .option('--schedules <count>', 'of the simulator in one search, at most', whole(1), DEFAULTS.schedules)
    .option('--searches <count>', 'from different seeds, where they are quick', whole(1), DEFAULTS.searches)
    .option('--time <seconds>', 'for the searches of one mutant, at most', whole(1), DEFAULTS.time)
    .option('--shrink-time <seconds>', 'for shrinking one schedule, at most', whole(), DEFAULTS.shrinkTime)
    .option('--seed <number>', 'of the first schedule', whole(), DEFAULTS.seed)
    .option('--jobs <count>', 'mutants at a time (default: as many as there are cores)', whole(1))
    .addOption(
      new Option('-o, --output <output>').choices(['text', 'json'] as const).default('text' as const),
    )
    .action(async ({ only, layers, schedules, searches, time, shrinkTime, seed, jobs, output }) => {
      const { MUTANTS } = await import('../mutants/catalogue/index.ts')
      const { LAYERS } = await import('../mutants/mutant.ts')
      const { medianOf, study } = await import('../mutants/study.ts')
      const budget = { schedules, searches, seconds: time, shrinkSeconds: shrinkTime, seed }
      const chosen = chooseLayers(layers, LAYERS)
      const row = (result: MutantResult): Row => rowOf(result, medianOf)
      const mutants = choose(only, MUTANTS).filter((mutant) =>
        mutant.layers.some((layer) => chosen.includes(layer)),
      )
      const results = await study(mutants, chosen, budget, jobs ?? availableParallelism(), (result) => {
        if (output === 'text') process.stdout.write(`${textOf(row(result))}\n`)
      })
      const rows = results.map(row)
      const report = summaryOf(rows, medianOf)
      process.stdout.write(
        output === 'json' ? `${JSON.stringify({ ...report, mutants: rows })}\n` : `\n${summaryText(report)}`,
      )
      process.exitCode = report.not_caught.length > 0 ? EXIT.violation : EXIT.ok
    })
}

function choose(only: readonly string[] | undefined, all: readonly Mutant[]): readonly Mutant[] {
  if (only === undefined) return all
  return only.map((id) => {
    const mutant = all.find((candidate) => candidate.id === id)
    if (mutant === undefined) throw new Failure(`there is no mutant ${id}`)
    return mutant
  })
}

function chooseLayers(names: readonly string[] | undefined, all: readonly Layer[]): readonly Layer[] {
  if (names === undefined) return all
  const unknown = names.find((name) => !all.some((layer) => layer === name))
  if (unknown !== undefined) throw new Failure(`there is no layer ${unknown}; there are ${all.join(', ')}`)
  return all.filter((layer) => names.includes(layer))
}

interface Row {
  readonly id: string
  readonly title: string
  readonly caught_by: Layer | null
  /** The rule or the test. */
  readonly by: string | null
  readonly detail: string | null
  /** Median over the searches; null where another layer caught it. */
  readonly schedules: number | null
  /** One per search; null if the search found nothing. */
  readonly searches: readonly (number | null)[]
  readonly shrunk_length: number | null
  readonly missed_by: readonly Layer[]
  readonly seconds: number
}

type Median = (counts: readonly (number | null)[]) => number | null

function rowOf({ id, title, caught, missedBy, seconds }: MutantResult, median: Median): Row {
  return {
    ...{
      id,
      title,
      caught_by: caught?.layer ?? null,
      by: caught?.by ?? null,
      detail: caught?.detail ?? null,
    },
    schedules: median(caught?.schedules ?? []),
    searches: caught?.schedules ?? [],
    ...{ shrunk_length: caught?.length ?? null, missed_by: missedBy, seconds },
  }
}

const textOf = ({ id, title, caught_by, by, schedules, shrunk_length, missed_by, seconds }: Row): string =>
  [
    id.padEnd(5),
    (caught_by ?? 'NOT CAUGHT').padEnd(11),
    (schedules === null ? '' : `${schedules} schedules`).padEnd(15),
    (shrunk_length === null ? '' : `shrunk to ${shrunk_length}`).padEnd(14),
    `${seconds} s`.padEnd(9),
    `${title}${by === null ? '' : ` [${by}]`}${missed_by.length === 0 ? '' : ` (missed by ${missed_by.join(', ')})`}`,
  ].join(' ')

function summaryOf(rows: readonly Row[], median: Median) {
  const inSim = rows.filter(({ caught_by }) => caught_by === 'sim')
  return {
    planted: rows.length,
    caught: rows.filter(({ caught_by }) => caught_by !== null).length,
    not_caught: rows.filter(({ caught_by }) => caught_by === null).map(({ id }) => id),
    by_simulation: inSim.length,
    median_schedules: median(inSim.map(({ schedules }) => schedules)),
    median_shrunk_length: median(inSim.map(({ shrunk_length }) => shrunk_length)),
  }
}

const summaryText = (report: ReturnType<typeof summaryOf>): string =>
  `${report.caught} of ${report.planted} caught, ${report.by_simulation} of them by simulation, in ${report.median_schedules ?? '–'} schedules (median), shrunk to ${report.median_shrunk_length ?? '–'} operations and faults (median)\n` +
  (report.not_caught.length === 0 ? '' : `not caught: ${report.not_caught.join(', ')}\n`)
