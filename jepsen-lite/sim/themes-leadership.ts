// Two themes about leaders, made of scenes: a few faults that together bring about a situation in which systems like this one have gone wrong,
// over and over, with other details each time. Most of them wait for a moment (`Moment`), because what matters lasts a few milliseconds.
//
// `leases`: leaders that somebody has followed, and that still answer. Their answers come late, they cannot be heard, their clock is slow,
// they have handed over and do not know it, those who promised to respect them have forgotten it in a crash; and whenever somebody else's
// write is done, a client reads there.
//
// `elections`: one after the other. Bare majorities that have one member in common, taken away from a leader in the moment in which it commits;
// ballots that are held back until the next election; leaders that come back with a long tail of their own, and lead again.

import type { Dice } from './dice.ts'
import { PATIENCE_MS } from './moments.ts'
import { type Config, type Fault, FOLLOWER, LEADER, type Op, OTHER, STALE, SUBJECT } from './schedule.ts'

export type LeadershipTheme = 'leases' | 'elections'

/** Everybody, as `half-deaf` and `late` choose. */
const ALL = 127 << 13
/** Of `half-deaf`: what it says, what it hears; and whether that waits instead of vanishing. */
const SAYS = 1
const HEARS = 2
const HELD = 1 << 10
/** Of `crash`: at once; what was being written is lost. */
const AT_ONCE = 5

export function leadershipConfig(theme: LeadershipTheme, dice: Dice, config: Config): Config {
  // Elections are what it is about: many of them.
  const heartbeatMs = dice.pick(50, 100)
  const electionMinMs = 10 * heartbeatMs
  const electionMaxMs = electionMinMs * dice.pick(1.1, 1.1, 1.5)
  const usual = {
    ...config,
    ...{
      ms: 60_000,
      spares: 0,
      grow: 0,
      timeoutMs: dice.pick(300, 1500),
      clients: 2 * config.nodes + WATCHERS,
    },
    ...{ heartbeatMs, electionMinMs, electionMaxMs },
    limits: { ...config.limits, uncommittedEntriesMax: 50_000 },
  }
  if (theme === 'elections') return { ...usual, clocks: dice.pick(0, 1), leases: dice.chance(0.2) ? 1 : 0 }
  return {
    ...usual,
    // Fast enough to elect somebody in the few ms by which a lease may be too long.
    ...{ delayMs: dice.pick(0.2, 1), jitterMs: 0.3, tail: 0, harsh: 0, lost: 0, doubled: 0, reordered: 0 },
    ...{ writeMs: dice.pick(0.1, 0.5), writeJitterMs: dice.pick(0, 1), clocks: dice.pick(1, 3, 3) },
    ...{ leases: 1, leaseMs: dice.pick(electionMinMs, electionMinMs, Math.ceil(electionMaxMs)) },
  }
}

export function drawScenes(theme: LeadershipTheme, dice: Dice, config: Config): Fault[] {
  const scenes = theme === 'leases' ? LEASES : ELECTIONS
  const { electionMaxMs } = config
  const faults: Fault[] = []
  for (let at = 2000; at < config.ms; at += dice.int(3, 7) * electionMaxMs) {
    const scene = scenes[dice.int(0, scenes.length)]
    if (scene !== undefined) faults.push(...scene(dice, config, Math.round(at)))
  }
  return faults.map(whole).sort((a, b) => a.at - b.at)
}

/** All numbers of a schedule are natural. */
function whole(fault: Fault): Fault {
  const { at, ms, after } = fault
  const rounded = { ...fault, at: Math.round(at), ms: Math.round(ms) }
  return after === undefined ? rounded : { ...rounded, after: Math.round(after) }
}

type Scene = (dice: Dice, config: Config, at: number) => Fault[]

const follower = (dice: Dice): number => FOLLOWER + 16 * dice.int(0, 4)
const bits = (dice: Dice): number => dice.int(0, 1 << 20)
/** Some of the machines, as `half-deaf` and `late` choose. */
const some = (dice: Dice): number => dice.int(1, 128) << 13

// ---- leases

/** Whoever has the fastest clock is elected most often; it is not to lead all the time. */
const another: Scene = (dice, { electionMinMs }, at) => [
  { at: at - electionMinMs, kind: 'transfer', a: LEADER, b: follower(dice), ms: 0, x: 1 },
]

/** Nobody hears the leader any more, which still gets answers, late ones. */
const mute: Scene = (dice, config, at) => {
  const { electionMinMs, electionMaxMs, heartbeatMs } = config
  const lateMs = dice.int(electionMinMs / 10, electionMinMs)
  const ms = 3 * electionMaxMs
  return [
    ...another(dice, config, at),
    { at, kind: 'late', a: LEADER, b: 0, ms: ms + 2 * lateMs, x: (lateMs % 4096) | ALL },
    { at: at + lateMs + dice.int(0, 3 * heartbeatMs), kind: 'half-deaf', a: LEADER, b: 0, ms, x: SAYS | ALL },
  ]
}

/** It is cut off in one way or another. */
const cutOff: Scene = (dice, config, at) => [
  ...another(dice, config, at),
  {
    ...{ at, kind: dice.pick('isolate', 'isolate', 'half-deaf'), a: LEADER, b: follower(dice) },
    ...{ ms: 2 * config.electionMaxMs, x: dice.int(1, 4) | ALL | (dice.int(0, 8) << 10) },
  },
]

/** It has handed over, and hears nothing of what comes of that. */
const handedOver: Scene = (dice, { electionMaxMs }, at) => [
  {
    ...{ at, when: 'hands-over', kind: 'half-deaf', a: SUBJECT, b: OTHER, ms: 2 * electionMaxMs },
    x: HEARS | ALL | (dice.int(0, 2) << 10),
  },
  { at, kind: 'transfer', a: LEADER, b: follower(dice), ms: 0, x: bits(dice) },
]

/** It is stopped for about as long as its lease lasts. */
const stopped: Scene = (dice, { leaseMs }, at) => [
  { at, kind: 'pause', a: LEADER, b: 0, ms: dice.int(leaseMs / 2, 2 * leaseMs), x: 0 },
]

/**
 * Leases are switched, while one replica's disk stalls: it applies what the others' disks hold. Of two that cannot be heard the promises run
 * out; then the one that was ahead of its disk crashes, and comes back among those two.
 */
const forgotten: Scene = (dice, config, at) => {
  const { electionMinMs, electionMaxMs } = config
  const promiseMs = dice.int(electionMaxMs, 2 * electionMaxMs)
  const setting = (from: number, x: number): Fault => ({
    at: from,
    kind: 'leases',
    a: LEADER,
    b: 0,
    ms: 0,
    x,
  })
  const ahead = { at: at + 1, when: 'ahead', ms: 2 * electionMaxMs } as const
  return [
    setting(at - electionMinMs / 2, 3),
    { at, kind: 'slow-disk', a: follower(dice), b: 0, ms: promiseMs + dice.int(20, 60), x: 0 },
    setting(at + 1, dice.pick(4, 8)),
    { ...ahead, kind: 'witness', a: SUBJECT, b: 0, x: bits(dice) | 1, ms: 2 * promiseMs },
    { ...ahead, after: promiseMs, kind: 'crash', a: SUBJECT, b: 0, ms: dice.int(5, 20), x: AT_ONCE },
    { ...ahead, after: promiseMs, kind: 'witness', a: SUBJECT, b: LEADER, x: bits(dice) & ~1 },
  ]
}

/** Leases are switched off, and the leader, which then is cut off, is the last one to apply that. */
const switchedOff: Scene = (dice, { electionMinMs, electionMaxMs }, at) => {
  const setting = { kind: 'leases', a: LEADER, b: 0, ms: 0 } as const
  return [
    { ...setting, at: at - electionMinMs, x: 13 },
    {
      ...{ at, kind: 'slow-apply', a: LEADER, b: 0, ms: 2 * electionMaxMs },
      x: dice.int(electionMinMs, 1.6 * electionMinMs) % 1500,
    },
    { ...setting, at: at + 1, when: 'answered', after: dice.int(0, 10), x: 3 },
    {
      ...{ at: at + 1, when: 'reconfigured', kind: 'half-deaf', a: LEADER, b: 0 },
      ...{ after: dice.int(1, 40), ms: 3 * electionMaxMs, x: dice.pick(SAYS, 3) | ALL },
    },
    { ...setting, at: at + 3 * electionMaxMs, x: 4 },
  ]
}

const LEASES: readonly Scene[] = [
  mute,
  cutOff,
  cutOff,
  cutOff,
  handedOver,
  forgotten,
  forgotten,
  switchedOff,
  switchedOff,
  stopped,
]

// ---- elections

/** Bare majorities one after the other, each without the leader of the one before. */
const rotation: Scene = (dice, { electionMaxMs }, at) => {
  const faults: Fault[] = []
  for (let turn = 0; turn < 5; turn++)
    faults.push({
      at: at + turn * dice.int(electionMaxMs / 2, 2 * electionMaxMs),
      ...{ kind: 'witness', a: follower(dice), b: LEADER, ms: 3 * electionMaxMs, x: bits(dice) },
    })
  return faults
}

/** A bare majority commits, and at that moment all but one of it are cut off from those who were not there. */
const takenAway: Scene = (dice, { electionMaxMs }, at) => [
  { at, kind: 'witness', a: LEADER, b: follower(dice), ms: 3 * electionMaxMs, x: bits(dice) },
  {
    ...{ at: at + 1, when: dice.pick('committed', 'committed', 'elected', 'answered') },
    after: dice.pick(0, 0, dice.int(0, 50)),
    ...{ kind: 'witness', a: follower(dice), b: LEADER, ms: 3 * electionMaxMs, x: bits(dice) & ~1 },
  },
]

/** An election in which some get no ballot, and those of the others arrive when the candidate tries again. */
const heldBallots: Scene = (dice, { electionMaxMs, delayMs, jitterMs }, at) => {
  const held = some(dice)
  return [
    {
      at,
      kind: dice.pick('crash', 'isolate'),
      a: LEADER,
      b: follower(dice),
      ms: 2 * electionMaxMs,
      x: AT_ONCE,
    },
    {
      ...{ at, when: 'candidate', until: 'candidate', kind: 'half-deaf', a: SUBJECT, b: 0 },
      ...{ ms: 4 * electionMaxMs, x: HEARS | HELD | held },
    },
    {
      ...{ at, when: 'candidate', kind: 'half-deaf', a: SUBJECT, b: 0 },
      ...{ ms: dice.int(5, 60) + delayMs + jitterMs, x: SAYS | (ALL & ~held) },
    },
  ]
}

/** Answers to a candidate are late. */
const lateBallots: Scene = (dice, { electionMaxMs }, at) => [
  { at, kind: dice.pick('crash', 'isolate'), a: LEADER, b: follower(dice), ms: electionMaxMs, x: AT_ONCE },
  {
    ...{ at, when: 'candidate', kind: 'late', a: SUBJECT, b: 0, ms: dice.int(10, 100) },
    x: (dice.int(electionMaxMs / 10, 2 * electionMaxMs) % 4096) | some(dice),
  },
]

/** A leader is left with a companion or two, appends what nobody else gets, and leads again; what it was answered meanwhile arrives then. */
const comeback: Scene = (dice, { electionMaxMs }, at) => {
  const deposed = {
    at: at + 1,
    when: 'deposed',
    kind: 'transfer',
    a: LEADER,
    b: SUBJECT,
    ms: 0,
    x: 1,
  } as const
  return [
    {
      ...{ at, kind: 'half-deaf', a: LEADER, b: 0, until: 'elected' },
      ...{ ms: 8 * electionMaxMs, x: HEARS | HELD | some(dice) },
    },
    {
      ...{ at, kind: 'witness', a: follower(dice), b: LEADER },
      ...{ ms: dice.int(electionMaxMs, 3 * electionMaxMs), x: bits(dice) & ~(1 << 11) },
    },
    { ...deposed, after: dice.int(1, electionMaxMs) },
    { ...deposed, after: dice.int(electionMaxMs, 3 * electionMaxMs) },
  ]
}

const ELECTIONS: readonly Scene[] = [
  rotation,
  takenAway,
  takenAway,
  heldBallots,
  lateBallots,
  comeback,
  comeback,
]

/** For whoever changes the membership: elections while some replicas count by two majorities, and others by one. */
export function drawJointElections(dice: Dice, { ms, electionMaxMs, delayMs, jitterMs }: Config): Fault[] {
  const faults: Fault[] = []
  for (let at = 2000; at < ms; at += dice.int(1, 4) * electionMaxMs)
    faults.push({
      ...{ at, when: 'joint', after: dice.int(0, 3 * (delayMs + jitterMs) + 5) },
      ...{ kind: dice.pick('crash', 'isolate', 'isolate'), a: LEADER, b: follower(dice) },
      ...{ ms: dice.int(electionMaxMs / 2, 2 * electionMaxMs), x: AT_ONCE | (dice.int(0, 2) << 10) },
    })
  return faults.map(whole)
}

// ---- clients

/** Beside two for each machine. */
const WATCHERS = 6

/** Writes at whoever was just elected, and at whoever leads no more and does not know it; and reads there once a write is done elsewhere. */
export function drawWatchers(theme: LeadershipTheme, dice: Dice, { ms, nodes, keys }: Config): Op[] {
  const ops: Op[] = []
  const op = (at: number, who: number, what: Pick<Op, 'kind' | 'node' | 'when'> & Partial<Op>): void => {
    ops.push({ at, client: 2 * nodes + who, key: dice.int(0, keys), x: 1, times: 60, ...what })
  }
  for (let at = 1000; at < ms; at += PATIENCE_MS) {
    for (const [who, after] of [0, dice.int(1, 10)].entries())
      op(at, who, { kind: 'put', node: SUBJECT, when: 'elected', after })
    op(at, 2, { kind: theme === 'leases' ? 'lease' : 'get', node: STALE, when: 'answered' })
    op(at, 3, {
      kind: theme === 'leases' ? 'lease' : 'put',
      node: STALE,
      when: 'answered',
      after: dice.int(0, 5),
    })
    op(at, 4, { kind: 'put', node: STALE, when: 'elected', after: dice.int(0, 50) })
    op(at, 5, { kind: 'put', node: LEADER, when: 'answered', after: dice.int(150, 400) })
  }
  return ops
}
