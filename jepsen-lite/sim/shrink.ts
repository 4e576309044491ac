// From a schedule that breaks a rule to the shortest one that breaks the same rule. First it removes what cannot
// matter: everything after the violation, then halves, quarters, … of operations and faults. Then fast-check reduces
// the rest, number by number. Then the cluster's configuration is made as simple as possible.

import fc from 'fast-check'
import type { SimConfig } from './config.ts'
import { FAULT_KINDS, FAULT_SHAPES, type SimFault, type SimFaultKind } from './fault-kinds.ts'
import { isFault } from './parse.ts'
import { OP_KINDS, RIGHTS_OPS, type Schedule, type ScheduledOp } from './schedule.ts'
import { type FieldShapes, type MachineTarget, PLACES, ROLES, type Spec } from './shape.ts'
import { TRIGGERS } from './trigger-wait.ts'

export interface Shrunk {
  readonly schedule: Schedule
  /** How many schedules were tried. */
  readonly tries: number
}

/** `breaks` tells whether a schedule breaks the same rule. It is called until `timeLeft` returns false. */
export async function shrink(
  schedule: Schedule,
  breaks: (schedule: Schedule) => boolean | Promise<boolean>,
  timeLeft: () => boolean,
): Promise<Shrunk> {
  let tries = 0
  const holds = async (candidate: Schedule): Promise<boolean> => {
    if (!timeLeft()) return false
    tries++
    return await breaks(candidate)
  }
  let best = await thinned(schedule, holds)
  best = await plainer(best, holds)
  best = await takenApart(best, holds, timeLeft)
  best = await plainer(await thinned(best, holds), holds)
  return { schedule: best, tries }
}

type Holds = (candidate: Schedule) => Promise<boolean>

const longestOf = ({ ops, faults, recipe }: Schedule): number =>
  Math.max(ops.length, faults.length, recipe?.faults.length ?? 0)

/** undefined: there was nothing to remove. */
function lessOf<Name extends 'ops' | 'faults'>(
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
    (from, at, count) => lessOf(from, 'faults', without(from.faults, at, count)),
    (from, at, count) => lessOf(from, 'ops', without(from.ops, at, count)),
    (from, at, count) => {
      const { recipe } = from
      const faults = without(recipe?.faults ?? [], at, count)
      return recipe && faults.length < recipe.faults.length
        ? { ...from, recipe: { ...recipe, faults } }
        : undefined
    },
  ]
  for (const less of lists) {
    for (let size = longestOf(best); size >= 1; size = Math.floor(size / 2)) {
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

async function takenApart(schedule: Schedule, holds: Holds, timeLeft: () => boolean): Promise<Schedule> {
  let best = schedule
  const parts = fc.record({
    faults: fc.array(faultWithin(schedule), { maxLength: schedule.faults.length }),
    ops: fc.array(opWithin(schedule), { maxLength: schedule.ops.length }),
  })
  const { faults, ops } = schedule
  await fc.check(
    fc.asyncProperty(parts, async (some) => {
      if (!timeLeft()) return
      const candidate = { ...schedule, ...some }
      if (!(await holds(candidate))) return
      best = candidate
      throw new Error('still broken')
    }),
    { examples: [[{ faults: [...faults], ops: [...ops] }]], numRuns: 1 },
  )
  return best
}

// ---- values of a schedule, for fast-check, which can only shrink what it could have generated

const number = fc.nat(1_000_000_000)
const target: fc.Arbitrary<MachineTarget> = fc.oneof(number, fc.constantFrom(...ROLES))
const waiting = {
  when: fc.constantFrom(...TRIGGERS),
  after: number,
  times: fc.integer({ min: 1, max: 1000 }),
}

function opWithin({ config }: Schedule): fc.Arbitrary<ScheduledOp> {
  const required = {
    at: fc.nat(config.ms),
    kind: fc.constantFrom(...OP_KINDS, ...RIGHTS_OPS),
    client: number,
    node: target,
    key: number,
    x: number,
  }
  return fc.record(
    { ...required, ...waiting },
    { requiredKeys: ['at', 'kind', 'client', 'node', 'key', 'x'] },
  )
}

function faultWithin({ config }: Schedule): fc.Arbitrary<SimFault> {
  return fc.oneof(...FAULT_KINDS.map((kind) => faultOf(kind, fc.nat(config.ms))))
}

function faultOf(kind: SimFaultKind, at: fc.Arbitrary<number>): fc.Arbitrary<SimFault> {
  const shape: FieldShapes = FAULT_SHAPES[kind]
  const model: { [name: string]: fc.Arbitrary<unknown> } = { at, kind: fc.constant(kind), ...waiting }
  const requiredKeys = ['at', 'kind']
  for (const [name, field] of Object.entries(shape)) {
    model[name] = arbitraryOf(field.spec)
    if (!('optional' in field)) requiredKeys.push(name)
  }
  const record: fc.Arbitrary<unknown> = fc.record(model, { requiredKeys })
  return record.filter(isFault)
}

function arbitraryOf(spec: Spec): fc.Arbitrary<unknown> {
  switch (spec.is) {
    case 'natural':
      return fc.integer({ min: spec.min, max: spec.max })
    case 'number':
      return fc.double({ noNaN: true })
    case 'flag':
      return fc.boolean()
    case 'one of':
      return fc.constantFrom(...spec.values)
    case 'list':
      return fc.array(fc.constantFrom(...spec.values), { minLength: 1 })
    case 'target':
      return target
    case 'places':
      return fc.subarray([...PLACES])
  }
}
