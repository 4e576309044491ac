// From a schedule that breaks a rule to the shortest one that still breaks the same rule. First what cannot matter goes: everything that comes after the
// moment, then halves, quarters, … of operations and faults; then fast-check takes the rest apart, number by number; then the
// cluster's conditions are made as plain as they can be.

import fc from 'fast-check'
import {
  type Config,
  FAULT_KINDS,
  type Fault,
  MOMENTS,
  OP_KINDS,
  type Op,
  type Schedule,
} from './schedule.ts'

export interface Shrunk {
  readonly schedule: Schedule
  /** How often a schedule was tried. */
  readonly tries: number
}

/** `breaks` says whether a schedule breaks the same rule; it is asked until `timeLeft` says no. */
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

/** Leaves out runs of operations and of faults, long ones first. */
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

/** Shorter, calmer, with usual limits, as long as it breaks all the same. */
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
  const { config } = schedule
  const at = fc.nat(config.ms)
  const number = fc.nat(1 << 20)
  const moment = fc.constantFrom(...MOMENTS)
  const waiting = { when: moment, after: number, times: number }
  const op: fc.Arbitrary<Op> = fc.record(
    {
      at,
      kind: fc.constantFrom(...OP_KINDS),
      client: number,
      node: number,
      key: number,
      x: number,
      ...waiting,
    },
    { requiredKeys: ['at', 'kind', 'client', 'node', 'key', 'x'] },
  )
  const struck = { a: number, b: number, ms: fc.nat(1_000_000), x: number }
  const fault: fc.Arbitrary<Fault> = fc.record(
    { at, kind: fc.constantFrom(...FAULT_KINDS), ...struck, ...waiting, until: moment },
    { requiredKeys: ['at', 'kind', 'a', 'b', 'ms', 'x'] },
  )
  const parts = fc.record({
    faults: fc.array(fault, { maxLength: schedule.faults.length }),
    ops: fc.array(op, { maxLength: schedule.ops.length }),
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
