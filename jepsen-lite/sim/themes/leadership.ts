// Two themes about leaders, made of scenarios: a few faults that together bring about a situation in which systems like
// this one have failed, repeated with other details each time. Most of them wait for a trigger (trigger-wait.ts),
// because the critical time is only a few milliseconds.
//
// `leases`: leaders that were replaced and still answer. Their answers are late, or they cannot be heard. Their clock
// is slow, or they apply slowly. They have handed over without knowing it, or to a replica that did not take over. The
// replicas that promised to respect them have forgotten it in a crash. Whenever another client's write is done, a
// client reads at such a leader.
//
// `elections`: one after another. Bare majorities with one common member, taken away from a leader just as it commits;
// votes that are held back until the next election; leaders that come back with uncommitted entries at the end of their
// log, and lead again.

import type { Random } from '../../workload/random.ts'
import {
  allPlaces,
  anyCut,
  dies,
  follower,
  noPlaces,
  plainly,
  some,
  whole,
} from '../faults/fault-builders.ts'
import type { SimFault } from '../faults/fault-kinds.ts'
import { PATIENCE_MS } from '../faults/triggers.ts'
import type { SimConfig } from '../schedule/config.ts'
import type { ScheduledOp } from '../schedule/schedule.ts'
import { PLACES, somePlaces } from '../schedule/shape.ts'
import type { NodeLimits } from '../world/node-limits.ts'

export type LeadershipTheme = 'leases' | 'elections'

export function leadershipConfig(theme: LeadershipTheme, rng: Random, config: SimConfig): SimConfig {
  // Elections are the subject, so there are many of them.
  const heartbeatMs = rng.pick([50, 100])
  const electionMinMs = 10 * heartbeatMs
  const electionMaxMs = electionMinMs * rng.pick([1.1, 1.1, 1.5])
  const usual = {
    ...config,
    ms: 60_000,
    spares: 0,
    grow: 0,
    timeoutMs: rng.pick([300, 1500]),
    clients: 2 * config.nodes + WATCHERS,
    heartbeatMs,
    electionMinMs,
    electionMaxMs,
    limits: roomy(config.limits),
  }
  if (theme === 'elections') return { ...usual, clocks: rng.pick([0, 1]), leases: rng.chance(0.2) ? 1 : 0 }
  return {
    ...usual,
    // Fast enough to elect a leader in the few ms by which a lease may be too long.
    delayMs: rng.pick([0.2, 1]),
    jitterMs: 0.3,
    tail: 0,
    harsh: 0,
    lost: 0,
    doubled: 0,
    reordered: 0,
    writeMs: rng.pick([0.1, 0.5]),
    writeJitterMs: rng.pick([0, 1]),
    clocks: rng.pick([1, 3, 3]),
    leases: 1,
    leaseMs: rng.pick([electionMinMs, electionMinMs, Math.ceil(electionMaxMs)]),
  }
}

/**
 * Refusals for lack of room would keep clients from the tested paths, and so would forwarded proposals that are lost
 * until a term ends.
 */
export const roomy = (limits: NodeLimits): NodeLimits => ({
  ...limits,
  uncommittedEntriesMax: 50_000,
  uncommittedBytesMax: 64 << 20,
  proposedBytesMax: 3 << 20,
  proposalsMax: Math.max(20, limits.proposalsMax),
  readsMax: Math.max(20, limits.readsMax),
})

export function drawScenarios(theme: LeadershipTheme, rng: Random, config: SimConfig): SimFault[] {
  const scenarios = theme === 'leases' ? LEASES : ELECTIONS
  const { electionMaxMs } = config
  const faults: SimFault[] = []
  for (let at = 2000; at < config.ms; at += rng.int(3, 7) * electionMaxMs) {
    const scenario = scenarios[rng.int(0, scenarios.length)]
    if (scenario !== undefined) faults.push(...scenario(rng, config, Math.round(at)))
  }
  return faults.map(whole).sort((a, b) => a.at - b.at)
}

type Scenario = (rng: Random, config: SimConfig, at: number) => SimFault[]

// ---- leases

/** The machine with the fastest clock is elected most often. It should not lead all the time. */
const another: Scenario = (rng, { electionMinMs }, at) => [
  { at: at - electionMinMs, kind: 'transfer', target: 'leader', to: follower(rng) },
]

/** No other machine hears the leader, but it still gets late answers. */
const mute: Scenario = (rng, config, at) => {
  const { electionMinMs, electionMaxMs, heartbeatMs } = config
  const delayMs = rng.int(electionMinMs / 10, electionMinMs)
  const ms = 3 * electionMaxMs
  return [
    ...another(rng, config, at),
    { at, kind: 'late', target: 'leader', senders: allPlaces, delayMs, ms: ms + 2 * delayMs },
    {
      at: at + delayMs + rng.int(0, 3 * heartbeatMs),
      kind: 'half-deaf',
      target: 'leader',
      unheardBy: allPlaces,
      deafTo: noPlaces,
      ...plainly(ms),
    },
  ]
}

/** The leader is cut off in one way or another. */
const cutOff: Scenario = (rng, config, at) => {
  const cut = { at, target: 'leader', ...anyCut(rng, 2 * config.electionMaxMs) } as const
  const direction = rng.int(0, 3)
  return [
    ...another(rng, config, at),
    rng.chance(0.67)
      ? { ...cut, kind: 'isolate', ...(rng.chance(0.5) ? { companion: follower(rng) } : {}) }
      : {
          ...cut,
          kind: 'half-deaf',
          unheardBy: direction === 1 ? noPlaces : allPlaces,
          deafTo: direction === 0 ? noPlaces : allPlaces,
        },
  ]
}

/** The leader has handed over, and receives nothing of what follows. */
const handedOver: Scenario = (rng, { electionMaxMs }, at) => [
  {
    at,
    when: 'hands-over',
    kind: 'half-deaf',
    target: 'subject',
    unheardBy: noPlaces,
    deafTo: allPlaces,
    ...plainly(2 * electionMaxMs),
    stalls: rng.chance(0.5),
  },
  { at, kind: 'transfer', target: 'leader', to: follower(rng) },
]

/**
 * It hands over, gives that up because nothing happens, and trusts its followers again. Its request arrives only then,
 * and it does not hear what follows.
 */
const handedOverInVain: Scenario = (rng, { electionMinMs, electionMaxMs }, at) => {
  const to = follower(rng)
  const delayMs = Math.round((electionMaxMs * rng.int(11, 20)) / 10)
  return [
    { at: at - 1, kind: 'slow-link', from: 'leader', to, delayMs, ms: rng.int(5, electionMinMs) },
    { at, kind: 'transfer', target: 'leader', to },
    {
      at: at + electionMaxMs,
      when: 'candidate',
      kind: 'half-deaf',
      target: 'leader',
      unheardBy: noPlaces,
      deafTo: allPlaces,
      ...plainly(2 * electionMaxMs),
    },
  ]
}

/** The leader applies slowly: others have applied and answered entries that it has not applied. */
const lagging: Scenario = (rng, { electionMinMs, electionMaxMs }, at) => [
  {
    at,
    kind: 'slow-apply',
    target: 'leader',
    ms: rng.int(1, 4) * electionMaxMs,
    entryMs: rng.int(5, electionMinMs / 2),
  },
]

/** The leader is stopped for about as long as its lease lasts. */
const stopped: Scenario = (rng, { leaseMs }, at) => [
  { at, kind: 'pause', target: 'leader', ms: rng.int(leaseMs / 2, 2 * leaseMs) },
]

const setLeases = (at: number, on: boolean, durationMs: number): SimFault => ({
  at,
  kind: 'leases',
  target: 'leader',
  on,
  durationMs: Math.round(durationMs),
})

/**
 * Leases are switched while one replica's disk stalls: it applies entries that only the others' disks hold. The
 * promises of two replicas that cannot be heard run out. Then the one with the slow disk crashes, and comes back among
 * those two.
 */
const forgotten: Scenario = (rng, config, at) => {
  const { electionMinMs, electionMaxMs } = config
  const promiseMs = rng.int(electionMaxMs, 2 * electionMaxMs)
  const ahead = { at: at + 1, when: 'ahead' } as const
  return [
    setLeases(at - electionMinMs / 2, false, electionMinMs / 2),
    { at, kind: 'stall-disk', target: follower(rng), ms: promiseMs + rng.int(20, 60) },
    setLeases(at + 1, true, electionMinMs),
    {
      ...ahead,
      kind: 'shifting-majority',
      target: 'subject',
      without: 0,
      fresh: true,
      avoid: somePlaces(rng),
      ...anyCut(rng, 2 * promiseMs),
    },
    { ...ahead, after: promiseMs, ...dies, target: 'subject', ms: rng.int(5, 20) },
    {
      ...ahead,
      after: promiseMs,
      kind: 'shifting-majority',
      target: 'subject',
      without: 'leader',
      fresh: false,
      avoid: somePlaces(rng),
      ...anyCut(rng, 2 * electionMaxMs),
    },
  ]
}

/** Leases are switched off or shortened. The leader is cut off then, and is the last to apply that. */
const shortened: Scenario = (rng, { electionMinMs, electionMaxMs }, at) => [
  setLeases(at - electionMinMs, true, 3 * electionMinMs),
  {
    at,
    kind: 'slow-apply',
    target: 'leader',
    ms: 2 * electionMaxMs,
    entryMs: Math.round(rng.int(electionMinMs, 3 * electionMinMs)),
  },
  { ...setLeases(at + 1, rng.chance(0.5), electionMinMs / 2), when: 'answered', after: rng.int(0, 10) },
  {
    at: at + 1,
    when: 'reconfigured',
    after: rng.int(1, 40),
    kind: 'half-deaf',
    target: 'leader',
    unheardBy: allPlaces,
    deafTo: rng.pick([noPlaces, allPlaces]),
    ...plainly(3 * electionMaxMs),
  },
  setLeases(at + 3 * electionMaxMs, true, electionMinMs),
]

const LEASES: readonly Scenario[] = [
  mute,
  cutOff,
  cutOff,
  cutOff,
  handedOver,
  handedOverInVain,
  handedOverInVain,
  lagging,
  lagging,
  forgotten,
  forgotten,
  shortened,
  shortened,
  shortened,
  stopped,
]

// ---- elections

/** Bare majorities one after another, each without the previous leader. */
const rotation: Scenario = (rng, { electionMaxMs }, at) =>
  Array.from({ length: 5 }, (_, turn) => ({
    at: at + turn * rng.int(electionMaxMs / 2, 2 * electionMaxMs),
    kind: 'shifting-majority',
    target: follower(rng),
    without: 'leader',
    fresh: rng.chance(0.5),
    avoid: somePlaces(rng),
    ...anyCut(rng, 3 * electionMaxMs),
  }))

/** A bare majority commits. At that trigger all but one of it are cut off from the machines outside of it. */
const takenAway: Scenario = (rng, { electionMaxMs }, at) => [
  {
    at,
    kind: 'shifting-majority',
    target: 'leader',
    without: follower(rng),
    fresh: rng.chance(0.5),
    avoid: somePlaces(rng),
    ...anyCut(rng, 3 * electionMaxMs),
  },
  {
    at: at + 1,
    when: rng.pick(['committed', 'committed', 'elected', 'answered']),
    after: rng.pick([0, 0, rng.int(0, 50)]),
    kind: 'shifting-majority',
    target: follower(rng),
    without: 'leader',
    fresh: false,
    avoid: somePlaces(rng),
    ...anyCut(rng, 3 * electionMaxMs),
  },
]

/** A leader is lost. */
const lost = (rng: Random, at: number, ms: number): SimFault =>
  rng.chance(0.5)
    ? { at, ...dies, target: 'leader', ms }
    : { at, kind: 'isolate', target: 'leader', ...plainly(ms) }

/**
 * An election in which some do not get the vote requests, and the others' votes arrive when the candidate tries again.
 */
const heldBallots: Scenario = (rng, { electionMaxMs, delayMs, jitterMs }, at) => {
  const held = some(rng)
  const candidate = { at, when: 'candidate', kind: 'half-deaf', target: 'subject' } as const
  return [
    lost(rng, at, 2 * electionMaxMs),
    {
      ...candidate,
      until: 'candidate',
      unheardBy: noPlaces,
      deafTo: held,
      ...plainly(4 * electionMaxMs),
      stalls: true,
    },
    {
      ...candidate,
      unheardBy: PLACES.filter((place) => !held.includes(place)),
      deafTo: noPlaces,
      ...plainly(rng.int(5, 60) + delayMs + jitterMs),
    },
  ]
}

/** Answers to a candidate are late. */
const lateBallots: Scenario = (rng, { electionMaxMs }, at) => [
  lost(rng, at, electionMaxMs),
  {
    at,
    when: 'candidate',
    kind: 'late',
    target: 'subject',
    senders: some(rng),
    ms: rng.int(10, 100),
    delayMs: Math.round(rng.int(electionMaxMs / 10, 2 * electionMaxMs)),
  },
]

/**
 * A leader is left with one or two companions, appends entries that no other machine gets, and leads again. Late
 * answers arrive then.
 */
const comeback: Scenario = (rng, { electionMaxMs }, at) => {
  const deposed = { at: at + 1, when: 'deposed', kind: 'transfer', target: 'leader', to: 'subject' } as const
  return [
    {
      at,
      kind: 'half-deaf',
      target: 'leader',
      until: 'elected',
      unheardBy: noPlaces,
      deafTo: some(rng),
      ...plainly(8 * electionMaxMs),
      stalls: true,
    },
    {
      at,
      kind: 'shifting-majority',
      target: follower(rng),
      without: 'leader',
      fresh: rng.chance(0.5),
      avoid: somePlaces(rng),
      ...anyCut(rng, rng.int(electionMaxMs, 3 * electionMaxMs)),
      breaks: false,
    },
    { ...deposed, after: rng.int(1, electionMaxMs) },
    { ...deposed, after: rng.int(electionMaxMs, 3 * electionMaxMs) },
  ]
}

const ELECTIONS: readonly Scenario[] = [
  rotation,
  takenAway,
  takenAway,
  heldBallots,
  lateBallots,
  comeback,
  comeback,
]

/** Elections of the theme `members`, while some replicas count two majorities, and others one. */
export function drawJointElections(
  rng: Random,
  { ms, electionMaxMs, delayMs, jitterMs }: SimConfig,
): SimFault[] {
  const faults: SimFault[] = []
  for (let at = 2000; at < ms; at += rng.int(1, 4) * electionMaxMs)
    faults.push({
      ...lost(rng, at, rng.int(electionMaxMs / 2, 2 * electionMaxMs)),
      when: 'joint',
      after: rng.int(0, 3 * (delayMs + jitterMs) + 5),
    })
  return faults.map(whole)
}

// ---- clients

/** In addition to two for each machine. */
const WATCHERS = 7

/**
 * Writes at a newly elected leader, and at a former leader that does not know that it is deposed. Reads there once a
 * write is done elsewhere.
 */
export function drawWatchers(
  theme: LeadershipTheme,
  rng: Random,
  { ms, nodes, keys }: SimConfig,
): ScheduledOp[] {
  const ops: ScheduledOp[] = []
  const op = (
    at: number,
    who: number,
    what: Pick<ScheduledOp, 'kind' | 'node' | 'when'> & Partial<ScheduledOp>,
  ): void => {
    ops.push({ at, client: 2 * nodes + who, key: rng.int(0, keys), x: 1, times: 60, ...what })
  }
  for (let at = 1000; at < ms; at += PATIENCE_MS) {
    for (const [who, after] of [0, rng.int(1, 10)].entries())
      op(at, who, { kind: 'put', node: 'subject', when: 'elected', after })
    op(at, 2, { kind: theme === 'leases' ? 'lease' : 'get', node: 'stale-leader', when: 'answered' })
    op(at, 3, {
      kind: theme === 'leases' ? 'lease' : 'put',
      node: 'stale-leader',
      when: 'answered',
      after: rng.int(0, 5),
    })
    op(at, 4, { kind: 'put', node: 'stale-leader', when: 'elected', after: rng.int(0, 50) })
    op(at, 5, { kind: 'put', node: 'leader', when: 'answered', after: rng.int(150, 400) })
    // The leader is asked too: it may have applied less than the node that has answered.
    if (theme === 'leases') op(at, 6, { kind: 'lease', node: 'leader', when: 'answered' })
  }
  return ops
}
