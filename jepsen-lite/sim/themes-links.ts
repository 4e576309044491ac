// Scenarios about connections: they break while something is on its way that matters, one of a pair or both, for
// messages or for snapshots, and come back within milliseconds. Messages are not lost, doubled or overtaken otherwise:
// what the links promise is what is looked at.

import { dies, everybody, follower, whole } from './drawing.ts'
import type { Fault } from './fault-kinds.ts'
import type { Rng } from './rng.ts'
import type { Config, Op } from './schedule.ts'

/** Each asks for one thing at a time: some wait for what was lost while others go on. */
const WRITERS = 24

export function linksConfig(rng: Rng, config: Config): Config {
  const { limits } = config
  return {
    ...config,
    ...{ ms: 40_000, grow: 0, clients: WRITERS, keys: rng.pick(8, 20) },
    ...{ harsh: 0, lost: 0, doubled: 0, reordered: 0, silenceMs: 3000, leases: 0, clocks: rng.pick(0, 1) },
    ...{ delayMs: rng.pick(0.2, 1, 5, 20), jitterMs: rng.pick(0.3, 1, 10), tail: 0 },
    // Snapshots of several chunks, and often.
    limits: {
      ...limits,
      ...{ logTailEntries: rng.pick(0, 1, 50), logBehindEntries: rng.pick(0, 10, 50) },
      ...{ compactEntriesMin: 1, chunkRows: rng.pick(1, 2) },
    },
  }
}

type Scenario = (rng: Rng, config: Config, at: number) => Fault[]

export function drawLinkScenarios(rng: Rng, config: Config): Fault[] {
  const scenarios: readonly Scenario[] = [
    reconnects,
    reconnects,
    brokenSnapshot,
    brokenSnapshot,
    cutOffTail,
    cutOffTail,
    cutOffTail,
    flaps,
    comesBack,
    comesBack,
  ]
  const faults: Fault[] = []
  for (let at = 3000; at < config.ms - 4000; at += rng.int(3, 6) * config.electionMaxMs) {
    const scenario = scenarios[rng.int(0, scenarios.length)]
    if (scenario !== undefined) faults.push(...scenario(rng, config, Math.round(at)))
  }
  return faults.map(whole)
}

/** What was just forwarded is lost with the connection, and more is asked for while that is being made again. */
const reconnects: Scenario = (rng, { delayMs }, at) => [
  {
    ...{ at, when: 'forwarded', times: rng.int(1, 6), after: rng.int(0, 2 + 2 * delayMs) },
    ...{ kind: 'break', target: 'subject', peer: 'other' },
  },
]

/**
 * A machine is given a snapshot, whose connection breaks on the way, or when all of it has arrived and only that is to
 * be told.
 */
const brokenSnapshot: Scenario = (rng, { electionMaxMs }, at) => {
  const target = rng.int(0, 5)
  const when = rng.pick('offered', 'staged')
  const breaks = { at, when, times: rng.int(1, 3), after: when === 'staged' ? 0 : rng.ms(0, 60) } as const
  const away: Fault = rng.chance(0.5)
    ? { at, ...dies, target, ms: rng.int(1, 3) * electionMaxMs }
    : { at, kind: 'wipe', target }
  return [
    away,
    { ...breaks, kind: 'break-streams', target: 'subject' },
    ...(rng.chance(0.5) ? [{ ...breaks, kind: 'break', target: 'subject', peer: 'other' } as const] : []),
  ]
}

/**
 * A leader writes with one companion, which dies and comes back to a new leader, who takes those entries away again;
 * while its slow disk does so the old leader, which acts as one still and reaches nobody else, gets to it.
 */
const cutOffTail: Scenario = (rng, { electionMinMs, writeMs, writeJitterMs, delayMs }, at) => {
  const companion = rng.int(0, 5)
  const downMs = rng.int(1, 30)
  const others = everybody.filter((place) => place !== companion)
  const elected = { at, when: 'elected' } as const
  const cut = { stalls: false, refuses: true } as const
  return [
    {
      at,
      kind: 'isolate',
      target: 'leader',
      companion,
      ms: rng.int(150, 150 + electionMinMs),
      ...cut,
      breaks: true,
    },
    {
      ...{ ...elected, kind: 'half-deaf', target: 'stale-leader', unheardBy: others, deafTo: others },
      ...{ ms: electionMinMs, ...cut, breaks: false },
    },
    {
      ...{ ...elected, kind: 'slow-link', from: 'stale-leader', to: companion },
      ...{ delayMs: rng.int(10, 150), ms: 1000 },
    },
    {
      // It begins quickly, and then writes slowly.
      ...{ ...elected, after: 1 + downMs + rng.int(0, 3 * writeMs + 4 * delayMs), kind: 'slow-disk' },
      ...{ target: companion, factor: Math.ceil(rng.int(50, 200) / (writeMs + writeJitterMs)), ms: 1000 },
    },
    { ...elected, after: 1, ...dies, silent: false, target: companion, ms: downMs },
  ]
}

const flaps: Scenario = (rng, { electionMaxMs }, at) => [
  {
    ...{ at, kind: 'flap', target: follower(rng), peer: 'leader', periodMs: rng.int(20, 300) },
    ...{ ms: electionMaxMs, stalls: rng.chance(0.5), refuses: rng.chance(0.5), breaks: rng.chance(0.5) },
  },
]

/**
 * Whoever has just forwarded something dies and is back at once, again and again: what it asks for then has the numbers
 * of what its process before has asked for, in the same term.
 */
const comesBack: Scenario = (rng, { delayMs }, at) => [
  {
    ...{ at, when: 'forwarded', times: rng.int(2, 8), after: rng.int(0, 3 + 2 * delayMs) },
    ...{ ...dies, silent: rng.chance(0.5), target: 'subject', ms: rng.int(1, 30) },
  },
]

/**
 * Every machine is asked to write, one write after the other, around each scenario; and whoever begins, as soon as it
 * does.
 */
export function drawLinkWriters(rng: Rng, config: Config, faults: readonly Fault[]): Op[] {
  const ops: Op[] = []
  const busy = new Set(faults.map(({ at }) => at))
  for (const at of busy) {
    const place = rng.int(0, config.nodes)
    for (const after of [0, rng.int(1, 10), rng.int(1, 50)]) {
      ops.push({
        ...{
          at,
          kind: 'put',
          client: rng.int(0, WRITERS),
          node: 'subject',
          when: 'started',
          times: 8,
          after,
        },
        ...{ key: rng.int(0, config.keys), x: rng.int(0, 1000) },
      })
    }
    for (let time = at; time < at + 400; time += rng.int(1, 6)) {
      ops.push({
        ...{ at: time, kind: 'put', client: rng.int(0, WRITERS), x: rng.int(0, 1000) },
        ...{ node: rng.chance(0.4) ? 'leader' : place, key: rng.int(0, config.keys) },
      })
    }
  }
  return ops
}
