// What becomes of the mutants that the tests let live: some are known to change nothing (equivalent.json), some do not
// pass the type check, which is a part of `npm test`, and some are found by the simulator.

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Edit, Mutant } from '../jepsen-lite/mutants/mutant.ts'
import { study } from '../jepsen-lite/mutants/study.ts'
import { Workbench } from '../jepsen-lite/mutants/workbench.ts'
import type { StrykerMutant } from './stryker.ts'

/** A mutant that no test killed, as its place in the source says it. */
export interface Survivor {
  readonly file: string
  readonly line: number
  readonly mutator: string
  /** What stood there, and what stands there now. */
  readonly original: string
  readonly replacement: string
  /** The source line where it begins, without its indentation: with `original` it finds an equivalent one again. */
  readonly context: string
  readonly edit: Edit
}

export interface Equivalent {
  readonly file: string
  readonly context: string
  readonly original: string
  readonly replacement: string
  /** Why no behaviour that anybody relies on changes. */
  readonly reason: string
}

export function survivorOf(file: string, source: string, mutant: StrykerMutant): Survivor {
  const lines = source.split('\n')
  const offset = ({ line, column }: { readonly line: number; readonly column: number }): number =>
    lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0) + column - 1
  const [from, to] = [offset(mutant.location.start), offset(mutant.location.end)]
  return {
    file,
    line: mutant.location.start.line,
    mutator: mutant.mutatorName,
    original: source.slice(from, to),
    replacement: mutant.replacement,
    context: (lines[mutant.location.start.line - 1] ?? '').trim(),
    // The whole file is what certainly occurs once.
    edit: { file, find: source, replace: source.slice(0, from) + mutant.replacement + source.slice(to) },
  }
}

export function equivalents(): readonly Equivalent[] {
  return JSON.parse(readFileSync(join(import.meta.dirname, 'equivalent.json'), 'utf8'))
}

export const isThe = (survivor: Survivor, known: Equivalent): boolean =>
  known.file === survivor.file &&
  known.context === survivor.context &&
  known.original === survivor.original &&
  known.replacement === survivor.replacement

/** Those that the compiler refuses. */
export function refusedByTypes(survivors: readonly Survivor[]): ReadonlySet<Survivor> {
  const refused = new Set<Survivor>()
  const bench = new Workbench(true)
  try {
    const compiles = (): boolean => {
      const tsc = join(bench.dir, 'node_modules/typescript/bin/tsc')
      const args = [tsc, '-p', join(bench.dir, 'tsconfig.json')]
      return spawnSync(process.execPath, args, { stdio: 'ignore' }).status === 0
    }
    if (!compiles()) throw new Error('the type check fails without a mutant')
    for (const survivor of survivors) {
      const restore = bench.plant([survivor.edit])
      if (!compiles()) refused.add(survivor)
      restore()
    }
  } finally {
    bench.remove()
  }
  return refused
}

/** Those in whose presence the simulator sees a rule broken within `seconds` for each. */
export async function foundBySimulator(
  survivors: readonly Survivor[],
  seconds: number,
  jobs: number,
): Promise<ReadonlySet<Survivor>> {
  const mutants = new Map<string, Survivor>()
  const planted = survivors.map((survivor, at): Mutant => {
    const id = `S${at + 1}`
    mutants.set(id, survivor)
    const title = `${survivor.file}:${survivor.line} ${survivor.replacement}`
    return { id, title, why: survivor.mutator, layers: ['sim'], edits: [survivor.edit] }
  })
  const budget = { schedules: 100_000, searches: 1, seconds, shrinkSeconds: 0, seed: 1 }
  const found = new Set<Survivor>()
  await study(planted, ['sim'], budget, jobs, ({ id, title, caught }) => {
    const survivor = mutants.get(id)
    if (caught !== undefined && survivor !== undefined) found.add(survivor)
    console.error(`${caught === undefined ? 'not found' : `found by ${caught.by}`}: ${title}`)
  })
  return found
}
