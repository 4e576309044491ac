// From a schedule that breaks a rule to the shortest one that breaks the same rule. First it removes what cannot
// matter: everything after the violation, then halves, quarters, … of operations and faults. Then fast-check reduces
// the rest, number by number. Then the cluster's configuration is made as simple as possible.

import fc from 'fast-check'
import type { Config } from './config.ts'
import { FAULT_KINDS, FAULT_SHAPES, type Fault, type FaultKind } from './fault-kinds.ts'
import { isFault } from './parse.ts'
import { OP_KINDS, type Op, type Schedule } from './schedule.ts'
import { PLACES, ROLES, type Shape, type Spec, type Target } from './shape.ts'
import { TRIGGERS } from './waiting.ts'

export interface Shrunk {
  readonly schedule: Schedule
  /** How many schedules were tried. */
  readonly tries: number
}

/** `breaks` tells whether a schedule breaks the same rule. It is called until `timeLeft` returns false. */
export function shrink(
  schedule: Schedule,
  breaks: (schedule: Schedule) => boolean,
  timeLeft: () => boolean,
): Shrunk {
  let tries = 0
  const holds = (candidate: Schedule): boolean => {
    if (!timeLeft()) return false
    tries++
    return breaks(candidate)
  }
  let best = thinned(schedule, holds)
  best = plainer(best, holds)
  best = takenApart(best, holds, timeLeft)
  best = plainer(thinned(best, holds), holds)
  return { schedule: best, tries }
}

/** Removes runs of operations and of faults, long ones first. */
function thinned(schedule: Schedule, holds: (candidate: Schedule) => boolean): Schedule {
  let best = schedule
  const without = <T>(list: readonly T[], from: number, count: number): T[] => [
    ...list.slice(0, from),
    ...list.slice(from + count),
  ]
  const bare = { ...best, ops: [] }
  if (holds(bare)) best = bare
  for (const name of ['faults', 'ops'] as const) {
    for (let size = best[name].length; size >= 1; size = Math.floor(size / 2)) {
      for (let from = 0; from < best[name].length; ) {
        const fewer =
          name === 'ops'
            ? { ...best, ops: without(best.ops, from, size) }
            : { ...best, faults: without(best.faults, from, size) }
        if (holds(fewer)) best = fewer
        else from += size
      }
    }
  }
  return best
}

/** Shorter, calmer, with usual limits, as long as it still breaks the rule. */
function plainer(schedule: Schedule, holds: (candidate: Schedule) => boolean): Schedule {
  let best = schedule
  const last = Math.max(0, ...best.ops.map(({ at }) => at), ...best.faults.map(({ at }) => at))
  const wishes: Partial<Config>[] = [
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
    { nodes: 3 },
    { clients: 1 },
    { keys: 1 },
  ]
  for (const wish of wishes) {
    const plain = { ...best, config: { ...best.config, ...wish } }
    if (JSON.stringify(plain) !== JSON.stringify(best) && holds(plain)) best = plain
  }
  return best
}

function takenApart(
  schedule: Schedule,
  holds: (candidate: Schedule) => boolean,
  timeLeft: () => boolean,
): Schedule {
  let best = schedule
  const parts = fc.record({
    faults: fc.array(faultWithin(schedule), { maxLength: schedule.faults.length }),
    ops: fc.array(opWithin(schedule), { maxLength: schedule.ops.length }),
  })
  const { faults, ops } = schedule
  fc.check(
    fc.property(parts, (some) => {
      if (!timeLeft()) return
      const candidate = { ...schedule, ...some }
      if (!holds(candidate)) return
      best = candidate
      throw new Error('still broken')
    }),
    { examples: [[{ faults: [...faults], ops: [...ops] }]], numRuns: 1 },
  )
  return best
}

// ---- values of a schedule, for fast-check, which can only shrink what it could have generated

const number = fc.nat(1_000_000_000)
const target: fc.Arbitrary<Target> = fc.oneof(number, fc.constantFrom(...ROLES))
const waiting = {
  when: fc.constantFrom(...TRIGGERS),
  after: number,
  times: fc.integer({ min: 1, max: 1000 }),
}

function opWithin({ config }: Schedule): fc.Arbitrary<Op> {
  const required = {
    at: fc.nat(config.ms),
    kind: fc.constantFrom(...OP_KINDS),
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

function faultWithin({ config }: Schedule): fc.Arbitrary<Fault> {
  return fc.oneof(...FAULT_KINDS.map((kind) => faultOf(kind, fc.nat(config.ms))))
}

function faultOf(kind: FaultKind, at: fc.Arbitrary<number>): fc.Arbitrary<Fault> {
  const shape: Shape = FAULT_SHAPES[kind]
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
