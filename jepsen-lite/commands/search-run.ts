// One search of the simulator from beginning to end: its schedules, and the violations that it shrinks and writes.
// `jepsen-lite sim` runs one search in its own thread, or several in worker threads (search-jobs.ts). So a plan and a
// result are plain data.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { breakingMoment } from '../lab/index.ts'
import { judgedAny, RecipeSearch } from '../recipes/index.ts'
import type { CoverageCounts } from '../sim/coverage.ts'
import { type FoundViolation, formatScheduleFile, type Recipe, Search, shrink } from '../sim/index.ts'
import { labAddress } from './lab-address.ts'

const SHRINK_MS_MAX = 60_000
const SEEDS = 2 ** 32

export interface SearchPlan {
  readonly nodes: number
  readonly workload: 'kv' | Recipe
  /** Seed of the first schedule, and the distance from one seed to the next. */
  readonly seed: number
  readonly step: number
  readonly schedulesMax: number
  /** Limit of wall-clock time without shrinking. */
  readonly secondsMax: number
  readonly violationsMax: number
  /** Directory for the schedules with a violation. */
  readonly out: string
}

interface ViolationDetail {
  readonly seed: number
  readonly invariant: string
  readonly detail: string
  readonly file: string | undefined
  /** The address of its run in the lab, shortly before the violation. */
  readonly lab?: string | undefined
  readonly faults: number
  readonly ops: number
}

export interface SearchProgress {
  readonly schedules: number
  readonly virtualMs: number
  readonly violations: number
}

export interface SimResult {
  readonly schedules: number
  readonly events: number
  readonly virtualMs: number
  /** Duration of the simulation, without shrinking. */
  readonly wallSeconds: number
  readonly ok: number
  readonly failed: number
  readonly unknown: number
  readonly repeated: number
  readonly checked: number
  readonly undecided: number
  readonly trace: string
  readonly faults: Readonly<Record<string, number>>
  readonly probes: Readonly<Record<string, number>>
  readonly coverage: CoverageCounts
  readonly details: readonly ViolationDetail[]
}

export type SearchMessage = { readonly progress: SearchProgress } | { readonly result: SimResult }

/** Calls `onProgress` after each schedule. */
export async function runSearch(
  plan: SearchPlan,
  onProgress: (progress: SearchProgress) => void,
): Promise<SimResult> {
  const { workload, nodes } = plan
  const search = workload === 'kv' ? new Search(nodes) : new RecipeSearch(nodes, workload)
  const details: ViolationDetail[] = []
  const shrunk = new Set<string>()
  const began = performance.now()
  const seconds = (): number => (performance.now() - began) / 1000
  let shrinking = 0
  while (search.schedules < plan.schedulesMax && seconds() - shrinking < plan.secondsMax) {
    const seed = (plan.seed + search.schedules * plan.step) % SEEDS
    const found = search instanceof RecipeSearch ? await search.runRecipe(seed) : search.run(seed)
    if (found !== undefined) {
      const { invariant, detail } = found.violation
      if (shrunk.has(invariant))
        details.push({ ...scheduleSize(found), seed, invariant, detail, file: undefined })
      else {
        const before = seconds()
        shrunk.add(invariant)
        details.push(await shrinkAndWrite(found, plan.out))
        shrinking += seconds() - before
      }
    }
    onProgress({ schedules: search.schedules, virtualMs: search.virtualMs, violations: details.length })
    if (details.length >= plan.violationsMax) break
  }
  const { schedules, events, virtualMs, ok, failed, unknown, repeated, checked, undecided, trace } = search
  return {
    schedules,
    events,
    virtualMs,
    wallSeconds: seconds() - shrinking,
    ok,
    failed,
    unknown,
    repeated,
    checked,
    undecided,
    trace,
    ...search.probeCoverage,
    coverage: search.coverage.counts,
    details,
  }
}

const scheduleSize = ({ schedule }: Pick<FoundViolation, 'schedule'>): { faults: number; ops: number } => ({
  faults: schedule.faults.length,
  ops: schedule.ops.length,
})

async function shrinkAndWrite(
  { seed, schedule, violation }: FoundViolation,
  out: string,
): Promise<ViolationDetail> {
  const { invariant } = violation
  const until = performance.now() + SHRINK_MS_MAX
  const minimal = await shrink(
    schedule,
    async (candidate) => (await judgedAny(candidate)).violation?.invariant === invariant,
    () => performance.now() < until,
  )
  const result = await judgedAny(minimal)
  const detail = result.violation?.detail ?? violation.detail
  const file = join(out, `sim-${invariant.toLowerCase()}-${seed}.json`)
  mkdirSync(out, { recursive: true })
  const at = breakingMoment(result, minimal.config)
  const content = { invariant, detail, trace: result.trace, seed, at, schedule: minimal }
  writeFileSync(file, formatScheduleFile(content))
  const { address } = labAddress(minimal, at)
  return { ...scheduleSize({ schedule: minimal }), seed, invariant, detail, file, lab: address }
}
