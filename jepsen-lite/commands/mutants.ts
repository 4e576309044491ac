// `jepsen-lite mutants`: plants known bugs, each in a copy of the sources, and shows how each is found.

import { availableParallelism } from 'node:os'
import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import { CommandError, EXIT } from '../exit-codes.ts'
import type { Mutant } from '../mutants/mutant.ts'
import type { MutantResult } from '../mutants/run.ts'
import { list, whole } from './flags.ts'

const DEFAULTS = { schedules: 1000, time: 120 }

export function add(program: CommandUnknownOpts): void {
  program
    .command('mutants')
    .description('plant known bugs in a copy of the sources, and check that each is found')
    .option('--only <names>', 'these, joined by commas (default: all)', list)
    .option('--schedules <count>', 'limit of one search of the simulator', whole(1), DEFAULTS.schedules)
    .option('--time <seconds>', 'limit of one search of the simulator', whole(1), DEFAULTS.time)
    .option('--jobs <count>', 'mutants at a time (default: as many as there are cores)', whole(1))
    .option('--record <name>', 'store the uncommitted changes of src/ as the patch of this mutant')
    .addOption(
      new Option('-o, --output <output>').choices(['text', 'json'] as const).default('text' as const),
    )
    .action(async ({ only, schedules, time, jobs, record, output }) => {
      const { readMutants, recordPatch } = await import('../mutants/mutant.ts')
      const { runMutants } = await import('../mutants/run.ts')
      const all = readMutants()
      if (record !== undefined) return recordPatch(byName(record, all))
      const mutants = only?.map((name) => byName(name, all)) ?? all
      const rows: Row[] = []
      await runMutants(mutants, { schedules, seconds: time }, jobs ?? availableParallelism(), (result) => {
        const row = mutantRow(result)
        rows.push(row)
        if (output === 'text') process.stdout.write(`${formatRow(row)}\n`)
      })
      const missed = rows.filter(({ caught }) => !caught).map(({ id }) => id)
      const report = { planted: rows.length, caught: rows.length - missed.length, not_caught: missed }
      process.stdout.write(
        output === 'json'
          ? `${JSON.stringify({ ...report, mutants: rows })}\n`
          : `\n${report.caught} of ${report.planted} caught${missed.map((id) => `\nnot caught: ${id}`).join('')}\n`,
      )
      process.exitCode = missed.length > 0 ? EXIT.violation : EXIT.ok
    })
}

function byName(name: string, all: readonly Mutant[]): Mutant {
  const mutant = all.find(({ id }) => id === name)
  if (mutant === undefined)
    throw new CommandError(`there is no mutant ${name}; there are ${all.map(({ id }) => id).join(', ')}`)
  return mutant
}

interface Row {
  readonly id: string
  readonly bug: string
  readonly rules: readonly string[]
  readonly caught: boolean
  /** The broken rule or the failed test. */
  readonly by: string | null
  readonly detail: string | null
  /** Schedules until it was found; null if no simulator found it. */
  readonly schedules: number | null
  readonly seconds: number
}

const mutantRow = ({ mutant: { id, bug, rules }, detection, seconds }: MutantResult): Row => ({
  id,
  bug,
  rules,
  caught: detection !== undefined,
  by: detection?.by ?? null,
  detail: detection?.detail ?? null,
  schedules: detection?.schedule?.number ?? null,
  seconds,
})

const formatRow = ({ id, caught, by, schedules, seconds }: Row): string =>
  [
    (caught ? 'caught' : 'NOT CAUGHT').padEnd(10),
    id.padEnd(40),
    (schedules === null ? '' : `${schedules} schedules`).padEnd(14),
    `${seconds} s`.padEnd(7),
    by ?? '',
  ].join(' ')
