// Plants mutants one after the other, and reports how each was found. A detection counts only if the same schedule, or
// the same tests, find nothing without the bug.

import { type Budget, type Detection, detect, repeat } from './detection.ts'
import type { Mutant } from './mutant.ts'
import { Workbench } from './workbench.ts'

export interface MutantResult {
  readonly mutant: Mutant
  /** Undefined: nothing found the bug. */
  readonly detection: Detection | undefined
  readonly seconds: number
}

/** Runs `jobs` mutants at a time, each in a separate copy. `report` receives each result at once. */
export async function runMutants(
  mutants: readonly Mutant[],
  budget: Budget,
  jobs: number,
  report: (result: MutantResult) => void,
): Promise<void> {
  const queue = [...mutants]
  const benches: Workbench[] = []
  const work = async (bench: Workbench): Promise<void> => {
    for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
      const began = performance.now()
      const detection = await find(bench, mutant, budget)
      report({ mutant, detection, seconds: Math.round((performance.now() - began) / 100) / 10 })
    }
  }
  try {
    while (benches.length < Math.min(jobs, mutants.length)) benches.push(new Workbench())
    // Every job must have ended before a workbench is removed.
    for (const job of await Promise.allSettled(benches.map(work)))
      if (job.status === 'rejected') throw job.reason
  } finally {
    for (const bench of benches) bench.remove()
  }
}

async function find(bench: Workbench, mutant: Mutant, budget: Budget): Promise<Detection | undefined> {
  const unplant = bench.plant(mutant)
  let detection: Detection | undefined
  try {
    detection = await detect(bench.dir, mutant.command, budget)
  } finally {
    unplant()
  }
  if (detection === undefined) return undefined
  const withoutBug = await repeat(bench.dir, mutant.command, detection, budget)
  return withoutBug === undefined ? detection : undefined
}
