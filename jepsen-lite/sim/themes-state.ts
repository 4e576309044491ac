// Scenes about the state of a replica, beside the faults that are drawn by the dice: a state that lags behind what is committed, one that comes from
// elsewhere, and members that come and go meanwhile. Each brings about a situation in which systems like this one have gone wrong, with
// other details each time.
//
// `behind`: applying takes time on some machines, disks stall, leaders are stopped with a companion that hears nobody else; and clients ask
// every machine how old its state is, all the time. `snapshots` and `members` get a scene now and then.

import type { Dice } from './dice.ts'
import { type Config, type Fault, FOLLOWER, LEADER, type Op, STALE, SUBJECT } from './schedule.ts'

export type StateTheme = 'behind' | 'snapshots' | 'members'

/** Of `crash`: the moment (faults.ts). */
const STORED = 1
const INSTALLING = 3
const AT_ONCE = 5
/** Of `half-deaf`: what it hears, from all. */
const HEARS = 2
const ALL = 127 << 13
/** Of `isolate`: with its companion; connections break at once. */
const TOGETHER = 1 << 13
const BROKEN = 1 << 11

export function behindConfig(dice: Dice, config: Config): Config {
  const { nodes, spares, limits } = config
  const brief = dice.chance(0.5)
    ? { logTailEntries: dice.pick(0, 1), logBehindEntries: 0, compactEntriesMin: 1 }
    : {}
  return {
    ...config,
    ...{ ms: 60_000, grow: 0, clients: 2 * (nodes + spares), timeoutMs: dice.pick(300, 1000) },
    // An operator's changes are to find their way through, and elections an end.
    ...{ delayMs: dice.pick(0.2, 1, 5), jitterMs: dice.pick(0.3, 1, 10), tail: 0 },
    limits: { ...limits, ...brief },
  }
}

type Scene = (dice: Dice, config: Config, at: number) => Fault[]

export function drawStateScenes(theme: StateTheme, dice: Dice, config: Config): Fault[] {
  const scenes = SCENES[theme]
  const faults: Fault[] = []
  const [from, to] = theme === 'behind' ? [4, 9] : [6, 20]
  for (let at = 3000; at < config.ms; at += dice.int(from, to) * config.electionMaxMs) {
    const scene = scenes[dice.int(0, scenes.length)]
    if (scene !== undefined) faults.push(...scene(dice, config, Math.round(at)))
  }
  if (theme === 'members') faults.push(...forgotten(dice, config, config.ms - 5 * config.electionMaxMs))
  return faults.map((fault) => ({
    ...fault,
    at: Math.max(0, Math.round(fault.at)),
    ms: Math.round(fault.ms),
  }))
}

const follower = (dice: Dice): number => FOLLOWER + 16 * dice.int(0, 4)
const bits = (dice: Dice): number => dice.int(0, 1 << 16)

// ---- a state that lags

/** One machine applies slowly, an entry at a time. */
const slowly: Scene = (dice, { electionMaxMs, heartbeatMs }, at) => [
  {
    ...{ at, kind: 'slow-apply', a: dice.chance(0.3) ? LEADER : follower(dice), b: 0 },
    ...{ ms: dice.int(2, 8) * electionMaxMs, x: dice.int(heartbeatMs, 8 * heartbeatMs) },
  },
]

/** Its disk stalls: it acknowledges nothing, so nobody tells it what is committed, while it goes on answering heartbeats. */
const stalled: Scene = (dice, { electionMaxMs }, at) => [
  { at, kind: 'slow-disk', a: follower(dice), b: 0, ms: dice.int(1, 4) * electionMaxMs, x: 0 },
]

/**
 * A leader and a companion are cut off from the rest. The companion gets the leader's last words long after the others have elected somebody else,
 * and the leader, stopped all that time, takes its answer for one from before.
 */
const companion: Scene = (dice, { electionMinMs, electionMaxMs, heartbeatMs }, at) => {
  const friend = follower(dice)
  // Long enough for an election, and not for the leader to find that nobody has answered it.
  const lateMs = electionMinMs + ((electionMaxMs - electionMinMs) * dice.int(2, 10)) / 10
  const lost = { at, kind: 'isolate', a: LEADER, b: friend, x: bits(dice) | TOGETHER } as const
  return [
    {
      at: at - heartbeatMs,
      kind: 'late',
      a: friend,
      b: 0,
      ms: 2 * heartbeatMs,
      x: (Math.round(lateMs) % 4096) | ALL,
    },
    { ...lost, ms: 3 * electionMaxMs },
    { at, kind: 'pause', a: LEADER, b: 0, ms: lateMs, x: 0 },
  ]
}

/** Stopped for longer than it waits for a leader; what it was sent meanwhile lies in its sockets. */
const dozing: Scene = (dice, { electionMaxMs, heartbeatMs, silenceMs }, at) => {
  const longMs = electionMaxMs * (1 + dice.int(1, 10) / 10) + 2 * heartbeatMs
  const ms = silenceMs > 0 ? Math.min(longMs, Math.max(silenceMs - 50, electionMaxMs)) : longMs
  return [{ at, kind: 'pause', a: follower(dice), b: 0, ms, x: 0 }]
}

/** A page that cannot be read, when a process begins or goes on. */
const unreadable: Scene = (dice, _, at) => {
  const place = dice.int(0, 5)
  return [
    { at, kind: 'fail-read', a: place, b: 0, ms: 4000, x: dice.int(0, 4) },
    { at: at + 1, kind: 'crash', a: place, b: 0, ms: dice.int(5, 200), x: AT_ONCE },
  ]
}

/** A change of the configuration is committed and applied late by whoever is to be elected next. */
const lateChange: Scene = (dice, { electionMaxMs, heartbeatMs }, at) => {
  const slow = dice.int(heartbeatMs, 20 * heartbeatMs)
  const change = dice.pick('demote', 'demote', 'replace', 'promote')
  return [
    { at: at - 2 * heartbeatMs, kind: 'slow-apply', a: follower(dice), b: 0, ms: 4 * electionMaxMs, x: slow },
    { at: at - 2 * heartbeatMs, kind: 'slow-apply', a: follower(dice), b: 0, ms: 4 * electionMaxMs, x: slow },
    { at, kind: change, a: dice.int(0, 12), b: LEADER, ms: 0, x: bits(dice) },
    {
      ...{ at, when: 'joint', after: dice.int(0, 2 * heartbeatMs) },
      ...{
        kind: dice.pick('crash', 'isolate', 'transfer'),
        a: LEADER,
        b: follower(dice),
        ms: electionMaxMs,
        x: AT_ONCE,
      },
    },
  ]
}

/** Restarts while the configuration is joint: of those who enter it, one after the other. */
const jointRestarts: Scene = (dice, { electionMaxMs }, at) => [
  { at, kind: dice.pick('replace', 'demote'), a: dice.int(0, 12), b: LEADER, ms: 0, x: bits(dice) },
  {
    ...{ at, when: 'joint', times: 4, after: dice.int(0, 20), kind: 'crash', a: SUBJECT, b: 0 },
    ...{ ms: dice.int(5, electionMaxMs), x: dice.pick(AT_ONCE, AT_ONCE, STORED) },
  },
]

/** It applies slowly, loses contact until what it needs next is compacted, and is sent a snapshot while entries still wait. */
const overtaken: Scene = (dice, { electionMinMs, electionMaxMs }, at) => {
  const place = dice.int(0, 5)
  const cutAt = at + Math.max(3000, 2 * electionMaxMs)
  return [
    { at, kind: 'slow-apply', a: place, b: 0, ms: 20_000, x: dice.int(400, 1480) },
    { at: cutAt, kind: 'isolate', a: place, b: place, ms: dice.int(electionMinMs / 2, electionMaxMs), x: 0 },
  ]
}

// ---- a state from elsewhere

/** A deposed leader appends and appends, and is brought back by a snapshot that ends inside of what it has. */
const longTail: Scene = (dice, { electionMaxMs }, at) => [
  {
    ...{ at, kind: 'isolate', a: LEADER, b: follower(dice), ms: dice.int(electionMaxMs, 2 * electionMaxMs) },
    x: bits(dice) | BROKEN,
  },
]

/** A fresh disk gets a snapshot, and dies, loses the stream or is sent a bent one, right then. */
const restored: Scene = (dice, { electionMaxMs, heartbeatMs }, at) => {
  const place = dice.int(0, 5)
  const soon = at + dice.int(0, 4 * heartbeatMs)
  const blow = dice.pick<Fault>(
    { at: soon, kind: 'crash', a: place, b: 0, ms: dice.int(5, 300), x: INSTALLING },
    { at: soon, kind: 'bend-chunk', a: place, b: 0, ms: 4000, x: 0 },
    { at: soon, kind: 'fail-read', a: place, b: 0, ms: 2000, x: dice.int(0, 4) },
    { at: soon, kind: 'transfer', a: LEADER, b: follower(dice), ms: 0, x: bits(dice) },
    { at: soon, kind: 'crash', a: LEADER, b: 0, ms: dice.int(5, electionMaxMs), x: AT_ONCE },
  )
  return [{ at, kind: 'wipe', a: place, b: 0, ms: 0, x: 0 }, blow]
}

/** Whoever sends a snapshot hands over in the middle of it, and leads again at once: with a newer one. Nobody else reaches the receiver meanwhile. */
const startedAgain: Scene = (dice, { electionMinMs }, at) => {
  const sender = dice.int(0, 5)
  const receiver = (sender + dice.int(1, 5)) % 5
  const after = dice.int(50, 600)
  const offered = { at, when: 'offered', ms: 5000 } as const
  const back = { ...offered, kind: 'transfer', a: LEADER, b: sender, x: 1 } as const
  return [
    { at: at - electionMinMs, kind: 'transfer', a: LEADER, b: sender, ms: 0, x: 1 },
    { at, kind: 'wipe', a: receiver, b: 0, ms: 0, x: 0 },
    // Odd: to that one only.
    { ...offered, kind: 'slow-link', a: sender, b: receiver, x: dice.int(100, 500) | 1 },
    { ...offered, kind: 'half-deaf', a: receiver, b: 0, x: HEARS | (ALL & ~(1 << (13 + sender))) },
    { ...offered, after, kind: 'transfer', a: sender, b: (sender + dice.int(1, 5)) % 5, x: 1 },
    { ...back, after: after + dice.int(10, 60) },
    { ...back, after: after + dice.int(60, 300) },
  ]
}

/** A chunk on the way to a fresh disk lacks a row. */
const bent: Scene = (dice, _, at) => {
  const place = dice.int(0, 5)
  return [
    { at, kind: 'bend-chunk', a: place, b: 0, ms: 4000, x: 0 },
    { at, kind: 'wipe', a: place, b: 0, ms: 0, x: 0 },
  ]
}

// ---- members

/** Removed while nobody can tell it. */
const forgotten: Scene = (dice, { electionMaxMs }, at) => {
  const place = dice.int(0, 5)
  return [
    {
      ...{ at, kind: dice.pick('crash', 'isolate', 'pause'), a: place, b: place, ms: 20 * electionMaxMs },
      x: AT_ONCE,
    },
    { at: at + 2 * electionMaxMs, kind: 'remove', a: place, b: LEADER, ms: 0, x: bits(dice) },
  ]
}

const SCENES: Readonly<Record<StateTheme, readonly Scene[]>> = {
  behind: [
    slowly,
    slowly,
    stalled,
    companion,
    companion,
    dozing,
    unreadable,
    lateChange,
    overtaken,
    overtaken,
  ],
  snapshots: [longTail, longTail, restored, restored, bent, overtaken, startedAgain, startedAgain],
  members: [lateChange, jointRestarts, forgotten, restored],
}

// ---- clients

/** Each machine is asked how old its state is, and asked to write, by turns; and whoever leads no more is asked most. */
export function drawAgeWatchers(dice: Dice, { ms, nodes, spares, electionMinMs, keys }: Config): Op[] {
  const machines = nodes + spares
  const ops: Op[] = []
  const stepMs = Math.max(10, electionMinMs / 15)
  for (let time = 1000; time < ms; time += stepMs) {
    const place = dice.int(0, machines)
    const kind = dice.pick('stale', 'stale', 'put', 'put', 'get')
    ops.push({
      ...{ at: Math.round(time), kind, client: kind === 'put' ? machines + place : place },
      ...{ node: dice.chance(0.1) ? STALE : place, key: dice.int(0, keys), x: dice.int(0, 1000) },
    })
  }
  return ops
}

/** Of those who write a tail, beside the others: each waits for an answer that does not come. */
export const TAIL_WRITERS = 24

/** Writes at one that leads no more and does not know it, for a tail of its own. */
export function drawTails(dice: Dice, { ms, electionMaxMs, keys, clients }: Config): Op[] {
  const ops: Op[] = []
  const stepMs = Math.max(20, electionMaxMs / 12)
  for (let at = 0; at * stepMs < ms; at++)
    ops.push({
      ...{ at: Math.round(at * stepMs), kind: 'put', client: clients - 1 - (at % TAIL_WRITERS) },
      ...{ node: dice.chance(0.7) ? LEADER : STALE, key: dice.int(0, keys), x: 0 },
    })
  return ops
}
