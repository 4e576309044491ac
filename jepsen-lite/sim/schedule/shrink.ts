// From a schedule that breaks a rule to the shortest one that breaks the same rule. First it removes what cannot
// matter: everything after the violation, then halves, quarters, … of operations and faults. Then it reduces the rest,
// field by field. Then the cluster's configuration is made as simple as possible.

import type { SimConfig } from './config.ts'
import { expectedFields } from './parse.ts'
import type { Schedule } from './schedule.ts'
import type { Spec } from './shape.ts'

/** `breaks` tells whether a schedule breaks the same rule. It is called until `timeLeft` returns false. */
export async function shrink(
  schedule: Schedule,
  breaks: (schedule: Schedule) => boolean | Promise<boolean>,
  timeLeft: () => boolean,
): Promise<Schedule> {
  const holds = async (candidate: Schedule): Promise<boolean> => {
    if (!timeLeft()) return false
    return await breaks(candidate)
  }
  let best = await thinned(schedule, holds)
  best = await plainer(best, holds)
  best = await reduced(best, holds)
  return await plainer(await thinned(best, holds), holds)
}

type Holds = (candidate: Schedule) => Promise<boolean>

const longestList = ({ ops, faults, recipe }: Schedule): number =>
  Math.max(ops.length, faults.length, recipe?.faults.length ?? 0)

/** undefined: there was nothing to remove. */
function removeParts<Name extends 'ops' | 'faults'>(
  schedule: Schedule,
  name: Name,
  list: Schedule[Name],
): Schedule | undefined {
  return list.length < schedule[name].length ? { ...schedule, [name]: list } : undefined
}

/** Removes runs of operations and of faults, long ones first. */
async function thinned(schedule: Schedule, holds: Holds): Promise<Schedule> {
  let best = schedule
  const without = <T>(list: readonly T[], from: number, count: number): T[] => [
    ...list.slice(0, from),
    ...list.slice(from + count),
  ]
  const bare = { ...best, ops: [] }
  if (await holds(bare)) best = bare
  const lists: readonly ((from: Schedule, at: number, count: number) => Schedule | undefined)[] = [
    (from, at, count) => removeParts(from, 'faults', without(from.faults, at, count)),
    (from, at, count) => removeParts(from, 'ops', without(from.ops, at, count)),
    (from, at, count) => {
      const { recipe } = from
      const faults = without(recipe?.faults ?? [], at, count)
      return recipe && faults.length < recipe.faults.length
        ? { ...from, recipe: { ...recipe, faults } }
        : undefined
    },
  ]
  for (const less of lists) {
    for (let size = longestList(best); size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; ; ) {
        const fewer = less(best, from, size)
        if (fewer === undefined) break
        if (await holds(fewer)) best = fewer
        else from += size
      }
    }
  }
  return best
}

/** Shorter, calmer, with usual limits, as long as it still breaks the rule. */
async function plainer(schedule: Schedule, holds: Holds): Promise<Schedule> {
  let best = schedule
  const last = Math.max(0, ...best.ops.map(({ at }) => at), ...best.faults.map(({ at }) => at))
  const wishes: Partial<SimConfig>[] = [
    { ms: last + 1 },
    { ms: last + 2000 },
    { lost: 0, doubled: 0, reordered: 0, tail: 0 },
    { lost: 0 },
    { doubled: 0 },
    { reordered: 0 },
    { clocks: 0 },
    { jitterMs: 0 },
    { writeJitterMs: 0 },
    { spares: 0 },
    { grow: 0 },
    { leases: 0 },
    { usualLimitsFrom: undefined },
    { clusterVersion: undefined, olderFrom: undefined },
    { olderFrom: undefined },
    { nodes: 3 },
    { clients: 1 },
    { keys: 1 },
  ]
  for (const wish of wishes) {
    const plain = { ...best, config: { ...best.config, ...wish } }
    if (JSON.stringify(plain) !== JSON.stringify(best) && (await holds(plain))) best = plain
  }
  return best
}

/** Removes the optional fields of each operation and fault, and makes the others as plain as the rule allows. */
async function reduced(schedule: Schedule, holds: Holds): Promise<Schedule> {
  let best = schedule
  for (const list of ['faults', 'ops'] as const)
    for (const at of schedule[list].keys()) {
      const becomes = async (name: string, value: unknown): Promise<boolean> => {
        const fields: { [name: string]: unknown } = { ...best[list][at], [name]: value }
        if (value === undefined) delete fields[name]
        const items: readonly unknown[] = best[list]
        // The field may have this value.
        const candidate = { ...best, [list]: items.with(at, fields) } as Schedule
        const isBroken = await holds(candidate)
        if (isBroken) best = candidate
        return isBroken
      }
      for (const [name, value] of Object.entries(best[list][at] ?? {})) {
        const { required, optional } = expectedFields(list, best[list][at] ?? {})
        if (name in optional && (await becomes(name, undefined))) continue
        const spec = required[name] ?? optional[name]
        if (spec !== undefined) await simplify(value, spec, (simpler) => becomes(name, simpler))
      }
    }
  return best
}

/** Tries the plainest value, and for a number then the smallest one by bisection. */
async function simplify(
  value: unknown,
  spec: Spec,
  becomes: (simpler: unknown) => Promise<boolean>,
): Promise<void> {
  const plainest = plainestValue(spec)
  if (JSON.stringify(value) === JSON.stringify(plainest) || (await becomes(plainest))) return
  if (typeof value !== 'number' || typeof plainest !== 'number') return
  for (let [low, high] = [plainest, value]; high - low > 1; ) {
    const middle = Math.floor((low + high) / 2)
    if (await becomes(middle)) high = middle
    else low = middle
  }
}

function plainestValue(spec: Spec): unknown {
  switch (spec.is) {
    case 'natural':
      return spec.min
    case 'number':
    case 'target':
      return 0
    case 'flag':
      return false
    case 'one of':
      return spec.values[0]
    case 'list':
      return spec.values.slice(0, 1)
    case 'places':
      return []
  }
}
