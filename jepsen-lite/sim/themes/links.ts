// Scenarios about connections. They break while something important is in flight, one of a pair or both, for messages
// or for snapshots, and come back within milliseconds. Apart from that, no messages are lost, doubled or overtaken: the
// guarantees of the links are tested.

import type { Random } from '../../workload/random.ts'
import { allPlaces, dies, follower, whole } from '../faults/fault-builders.ts'
import type { SimFault } from '../faults/fault-kinds.ts'
import type { SimConfig } from '../schedule/config.ts'
import type { ScheduledOp } from '../schedule/schedule.ts'

/** Each sends one request at a time. Some wait for lost ones while others continue. */
const WRITERS = 24

export function linksConfig(rng: Random, config: SimConfig): SimConfig {
  const { limits } = config
  return {
    ...config,
    ms: 40_000,
    grow: 0,
    clients: WRITERS,
    keys: rng.pick([8, 20]),
    harsh: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    silenceMs: 3000,
    leases: 0,
    clocks: rng.pick([0, 1]),
    delayMs: rng.pick([0.2, 1, 5, 20]),
    jitterMs: rng.pick([0.3, 1, 10]),
    tail: 0,
    // Snapshots of several chunks, and frequent ones.
    limits: {
      ...limits,
      logTailEntries: rng.pick([0, 1, 50]),
      logBehindEntries: rng.pick([0, 10, 50]),
      compactEntriesMin: 1,
      chunkRows: rng.pick([1, 2]),
    },
  }
}

type Scenario = (rng: Random, config: SimConfig, at: number) => SimFault[]

export function drawLinkScenarios(rng: Random, config: SimConfig): SimFault[] {
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
  const faults: SimFault[] = []
  for (let at = 3000; at < config.ms - 4000; at += rng.int(3, 6) * config.electionMaxMs) {
    const scenario = scenarios[rng.int(0, scenarios.length)]
    if (scenario !== undefined) faults.push(...scenario(rng, config, Math.round(at)))
  }
  return faults.map(whole)
}

/** Forwarded proposals are lost with the connection, and more is requested while the connection is made again. */
const reconnects: Scenario = (rng, { delayMs }, at) => [
  {
    at,
    when: 'forwarded',
    times: rng.int(1, 6),
    after: rng.int(0, 2 + 2 * delayMs),
    kind: 'break',
    target: 'subject',
    peer: 'other',
  },
]

/**
 * A machine receives a snapshot. Its connection breaks on the way, or when all of it has arrived and the end is still
 * to be reported.
 */
const brokenSnapshot: Scenario = (rng, { electionMaxMs }, at) => {
  const target = rng.int(0, 5)
  const when = rng.pick(['offered', 'staged'])
  const breaks = { at, when, times: rng.int(1, 3), after: when === 'staged' ? 0 : rng.ms(0, 60) } as const
  const away: SimFault = rng.chance(0.5)
    ? { at, ...dies, target, ms: rng.int(1, 3) * electionMaxMs }
    : { at, kind: 'wipe', target }
  return [
    away,
    { ...breaks, kind: 'break-streams', target: 'subject' },
    ...(rng.chance(0.5) ? [{ ...breaks, kind: 'break', target: 'subject', peer: 'other' } as const] : []),
  ]
}

/**
 * A leader writes with one companion. The companion dies and comes back to a new leader, which truncates those entries.
 * While its slow disk does this, the old leader reaches it: the old leader still leads in its own view, and reaches no
 * other machine.
 */
const cutOffTail: Scenario = (rng, { electionMinMs, writeMs, writeJitterMs, delayMs }, at) => {
  const companion = rng.int(0, 5)
  const downMs = rng.int(1, 30)
  const others = allPlaces.filter((place) => place !== companion)
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
      ...elected,
      kind: 'half-deaf',
      target: 'stale-leader',
      unheardBy: others,
      deafTo: others,
      ms: electionMinMs,
      ...cut,
      breaks: false,
    },
    {
      ...elected,
      kind: 'slow-link',
      from: 'stale-leader',
      to: companion,
      delayMs: rng.int(10, 150),
      ms: 1000,
    },
    {
      // The companion starts with a fast disk, which becomes slow afterwards.
      ...elected,
      after: 1 + downMs + rng.int(0, 3 * writeMs + 4 * delayMs),
      kind: 'slow-disk',
      target: companion,
      factor: Math.ceil(rng.int(50, 200) / (writeMs + writeJitterMs)),
      ms: 1000,
    },
    { ...elected, after: 1, ...dies, silent: false, target: companion, ms: downMs },
  ]
}

const flaps: Scenario = (rng, { electionMaxMs }, at) => [
  {
    at,
    kind: 'flap',
    target: follower(rng),
    peer: 'leader',
    periodMs: rng.int(20, 300),
    ms: electionMaxMs,
    stalls: rng.chance(0.5),
    refuses: rng.chance(0.5),
    breaks: rng.chance(0.5),
  },
]

/**
 * A machine that has just forwarded something dies and is back at once, again and again. Its new requests then have the
 * same numbers as those of its previous process, in the same term.
 */
const comesBack: Scenario = (rng, { delayMs }, at) => [
  {
    at,
    when: 'forwarded',
    times: rng.int(2, 8),
    after: rng.int(0, 3 + 2 * delayMs),
    ...dies,
    silent: rng.chance(0.5),
    target: 'subject',
    ms: rng.int(1, 30),
  },
]

/**
 * Around each scenario every machine is asked to write, one write after another; and each new process as soon as it
 * begins.
 */
export function drawLinkWriters(rng: Random, config: SimConfig, faults: readonly SimFault[]): ScheduledOp[] {
  const ops: ScheduledOp[] = []
  const busy = new Set(faults.map(({ at }) => at))
  for (const at of busy) {
    const place = rng.int(0, config.nodes)
    for (const after of [0, rng.int(1, 10), rng.int(1, 50)]) {
      ops.push({
        at,
        kind: 'put',
        client: rng.int(0, WRITERS),
        node: 'subject',
        when: 'started',
        times: 8,
        after,
        key: rng.int(0, config.keys),
        x: rng.int(0, 1000),
      })
    }
    for (let time = at; time < at + 400; time += rng.int(1, 6)) {
      ops.push({
        at: time,
        kind: 'put',
        client: rng.int(0, WRITERS),
        x: rng.int(0, 1000),
        node: rng.chance(0.4) ? 'leader' : place,
        key: rng.int(0, config.keys),
      })
    }
  }
  return ops
}
