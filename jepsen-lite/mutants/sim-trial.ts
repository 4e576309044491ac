// Runs in a separate process, in the copy with the bug: searches until a schedule breaks a rule, and shrinks that one.
// Started by `layers.ts`.
//
// Prints one JSON document per line; the last one counts. So the finding is known even if the parent stops waiting
// while a schedule is being shrunk; and if this process dies or hangs, the schedule in which it did is known.

import { judged, type Rare, runSchedule, Search } from '../sim/index.ts'
import { shrink } from '../sim/shrink.ts'

export interface TrialOptions {
  readonly seed: number
  /** Each search begins at another seed. */
  readonly searches: number
  readonly schedules: number
  /** Wall-clock limit for all searches. The first one is always begun. */
  readonly ms: number
  readonly shrinkMs: number
  /** Input for the schedules, in addition to their seeds. Each is then run twice. */
  readonly guide?: Rare
}

export interface TrialResult {
  /** How many schedules each search needed; null: it found nothing. */
  readonly schedules: readonly (number | null)[]
  readonly first:
    | {
        readonly seed: number
        readonly rare: Rare
        readonly rule: string
        readonly detail: string
        readonly length: number | null
      }
    | undefined
  /** The schedule that is being run, while nothing is found. */
  readonly underWay?: { readonly seed: number; readonly rare: Rare }
}

const NODES = 5
/** Keeps the seeds of different searches apart. */
const SEEDS_APART = 1_000_003

async function trial({ seed, searches, schedules, ms, shrinkMs, guide }: TrialOptions): Promise<void> {
  const until = performance.now() + ms
  const counts: (number | null)[] = []
  let first: Omit<NonNullable<TrialResult['first']>, 'length'> | undefined
  let found: ReturnType<Search['run']>
  for (let at = 0; at < searches && (at === 0 || performance.now() < until); at++) {
    const search = new Search(NODES)
    let hit: ReturnType<Search['run']>
    while (hit === undefined && search.schedules < schedules && performance.now() < until) {
      const one = {
        seed: seed + at * SEEDS_APART + search.schedules,
        rare: guide ?? search.coverage.rarest(search.schedules),
      }
      if (first === undefined) tell({ schedules: counts, first, underWay: one })
      hit = search.run(one.seed, one.rare, guide !== undefined)
    }
    // A later search that only ran out of time is ignored.
    if (hit !== undefined || at === 0 || search.schedules === schedules) {
      counts.push(hit === undefined ? null : search.schedules)
    }
    if (hit === undefined && at === 0) break
    found ??= hit
    if (first === undefined && found !== undefined) {
      const { invariant: rule, detail } = found.violation
      first = { seed: found.seed, rare: found.rare, rule, detail }
      tell({ schedules: counts, first: { ...first, length: null } })
    }
  }
  if (first === undefined || found === undefined || shrinkMs === 0) {
    tell({ schedules: counts, first: first && { ...first, length: null } })
    return
  }
  tell({ schedules: counts, first: { ...first, length: null } })
  const { rule } = first
  const run = rule.startsWith('CHECK-') ? judged : runSchedule
  const shrunkUntil = performance.now() + shrinkMs
  const { schedule } = await shrink(
    found.schedule,
    (candidate) => run(candidate).violation?.invariant === rule,
    () => performance.now() < shrunkUntil,
  )
  const { ops, faults } = schedule
  tell({ schedules: counts, first: { ...first, length: ops.length + faults.length } })
}

const tell = (result: TrialResult): void => void process.stdout.write(`${JSON.stringify(result)}\n`)

const [, , options] = process.argv
await trial(JSON.parse(options ?? ''))
