// Plants mutants and reports which layer caught each. A catch counts only if the same test of the code without the bug
// finds nothing.

import { type Budget, type Catch, runLayer } from './layers.ts'
import type { Layer, Mutant } from './mutant.ts'
import { Workbench } from './workbench.ts'

export interface MutantResult {
  readonly id: string
  readonly title: string
  readonly caught: Catch | undefined
  /** Layers that ran and saw nothing. */
  readonly missedBy: readonly Layer[]
  readonly seconds: number
}

/**
 * Runs `jobs` mutants at a time, each in a separate copy. The results are returned in the order of the mutants; each
 * is told as soon as it is known.
 */
export async function study(
  mutants: readonly Mutant[],
  layers: readonly Layer[],
  budget: Budget,
  jobs: number,
  told: (result: MutantResult) => void,
): Promise<MutantResult[]> {
  const withTests = mutants.some(({ layers: all }) => all.some((layer) => layer !== 'sim'))
  const results = new Map<Mutant, MutantResult>()
  const control = new Control(budget)
  const waiting = [...mutants]
  const work = async (bench: Workbench): Promise<void> => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const result = await tried(mutant, layers, bench, budget, control)
      results.set(mutant, result)
      told(result)
    }
  }
  const benches: Workbench[] = []
  try {
    while (benches.length < Math.min(jobs, mutants.length)) benches.push(new Workbench(withTests))
    // A workbench is removed only when no job uses it any more.
    for (const job of await Promise.allSettled(benches.map(work)))
      if (job.status === 'rejected') throw job.reason
  } finally {
    for (const bench of benches) bench.remove()
  }
  return mutants.flatMap((mutant) => results.get(mutant) ?? [])
}

async function tried(
  mutant: Mutant,
  layers: readonly Layer[],
  bench: Workbench,
  budget: Budget,
  control: Control,
): Promise<MutantResult> {
  const began = performance.now()
  const missedBy: Layer[] = []
  let caught: Catch | undefined
  for (const layer of mutant.layers) {
    if (!layers.includes(layer)) continue
    const restore = bench.plant(mutant.edits)
    try {
      caught = await runLayer(layer, bench.dir, mutant, budget)
      // The test may have failed for another reason, usually because the machine was busy. With the bug it fails again.
      if (caught?.layer === 'unit') caught = await runLayer(layer, bench.dir, mutant, budget)
    } finally {
      restore()
    }
    if (caught !== undefined && (await control.isClean(bench, mutant, caught))) break
    caught = undefined
    missedBy.push(layer)
  }
  const seconds = Math.round((performance.now() - began) / 100) / 10
  return { id: mutant.id, title: mutant.title, caught, missedBy, seconds }
}

/** Runs again without the bug. What is found then too is not the mutant's doing. */
class Control {
  readonly #budget: Budget
  readonly #known = new Map<string, boolean>()

  constructor(budget: Budget) {
    this.#budget = budget
  }

  async isClean(bench: Workbench, mutant: Mutant, { layer, seed, rare: guide }: Catch): Promise<boolean> {
    const what = JSON.stringify([layer, seed, guide, layer === 'unit' ? mutant.tests : undefined])
    const known = this.#known.get(what)
    if (known !== undefined) return known
    const seeds = { seed: seed ?? this.#budget.seed, schedules: 1, searches: 1, shrinkSeconds: 0, guide }
    const found = await runLayer(layer, bench.dir, mutant, { ...this.#budget, ...seeds })
    this.#known.set(what, found === undefined)
    return found === undefined
  }
}

/** Schedules until caught: the median over the searches. A search that found nothing counts as the longest. */
export function medianOf(counts: readonly (number | null)[]): number | null {
  const sorted = counts.map((count) => count ?? Number.POSITIVE_INFINITY).sort((a, b) => a - b)
  const middle = sorted[Math.floor((sorted.length - 1) / 2)]
  return middle === undefined || middle === Number.POSITIVE_INFINITY ? null : middle
}
