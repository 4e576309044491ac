// Scenarios about the state of a replica, beside the faults that are drawn by the dice: a state that lags behind what
// is committed, one that comes from elsewhere, and members that come and go meanwhile. Each brings about a situation in
// which systems like this one have gone wrong, with other details each time.
//
// `behind`: applying takes time on some machines, disks stall, leaders are stopped with a companion that hears nobody
// else; and clients ask every machine how old its state is, all the time. `snapshots` and `members` get a scenario now
// and then.

import type { Dice } from './dice.ts'
import { anyCut, dies, drawAction, everybody, follower, nobody, plainly, whole } from './drawing.ts'
import type { Fault } from './fault-kinds.ts'
import type { Config, Op } from './schedule.ts'
import { PLACES } from './shape.ts'

export type StateTheme = 'behind' | 'snapshots' | 'members'

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

type Scenario = (dice: Dice, config: Config, at: number) => Fault[]

export function drawStateScenarios(theme: StateTheme, dice: Dice, config: Config): Fault[] {
  const scenarios = SCENARIOS[theme]
  const faults: Fault[] = []
  const [from, to] = theme === 'behind' ? [4, 9] : [6, 20]
  for (let at = 3000; at < config.ms; at += dice.int(from, to) * config.electionMaxMs) {
    const scenario = scenarios[dice.int(0, scenarios.length)]
    if (scenario !== undefined) faults.push(...scenario(dice, config, Math.round(at)))
  }
  if (theme === 'members') faults.push(...forgotten(dice, config, config.ms - 5 * config.electionMaxMs))
  return faults.map(whole)
}

// ---- a state that lags

/** One machine applies slowly, an entry at a time. */
const slowly: Scenario = (dice, { electionMaxMs, heartbeatMs }, at) => [
  {
    ...{ at, kind: 'slow-apply', target: dice.chance(0.3) ? 'leader' : follower(dice) },
    ...{ ms: dice.int(2, 8) * electionMaxMs, entryMs: 20 + dice.int(heartbeatMs, 8 * heartbeatMs) },
  },
]

/**
 * Its disk stalls: it acknowledges nothing, so nobody tells it what is committed, while it goes on answering
 * heartbeats.
 */
const stalled: Scenario = (dice, { electionMaxMs }, at) => [
  { at, kind: 'stall-disk', target: follower(dice), ms: dice.int(1, 4) * electionMaxMs },
]

/**
 * A leader and a companion are cut off from the rest. The companion gets the leader's last words long after the others
 * have elected somebody else, and the leader, stopped all that time, takes its answer for one from before.
 */
const companion: Scenario = (dice, { electionMinMs, electionMaxMs, heartbeatMs }, at) => {
  const friend = follower(dice)
  // Long enough for an election, and not for the leader to find that nobody has answered it.
  const delayMs = Math.round(electionMinMs + ((electionMaxMs - electionMinMs) * dice.int(2, 10)) / 10)
  return [
    { at: at - heartbeatMs, kind: 'late', target: friend, senders: everybody, delayMs, ms: 2 * heartbeatMs },
    { at, kind: 'isolate', target: 'leader', companion: friend, ...anyCut(dice, 3 * electionMaxMs) },
    { at, kind: 'pause', target: 'leader', ms: delayMs },
  ]
}

/** Stopped for longer than it waits for a leader; what it was sent meanwhile lies in its sockets. */
const dozing: Scenario = (dice, { electionMaxMs, heartbeatMs, silenceMs }, at) => {
  const longMs = electionMaxMs * (1 + dice.int(1, 10) / 10) + 2 * heartbeatMs
  const ms = silenceMs > 0 ? Math.min(longMs, Math.max(silenceMs - 50, electionMaxMs)) : longMs
  return [{ at, kind: 'pause', target: follower(dice), ms }]
}

/** A page that cannot be read, when a process begins or goes on. */
const unreadable: Scenario = (dice, _, at) => {
  const target = dice.int(0, 5)
  return [
    { at, kind: 'fail-read', target, skip: dice.int(0, 4), ms: 4000 },
    { at: at + 1, ...dies, target, ms: dice.int(5, 200) },
  ]
}

/** A change of the configuration is committed and applied late by whoever is to be elected next. */
const lateChange: Scenario = (dice, config, at) => {
  const { electionMaxMs, heartbeatMs } = config
  const entryMs = 20 + dice.int(heartbeatMs, 20 * heartbeatMs)
  const slow = { at: at - 2 * heartbeatMs, kind: 'slow-apply', ms: 4 * electionMaxMs, entryMs } as const
  const joint = { at, when: 'joint', after: dice.int(0, 2 * heartbeatMs) } as const
  const fault = dice.pick<Fault>(
    { ...joint, ...dies, target: 'leader', ms: electionMaxMs },
    { ...joint, kind: 'isolate', target: 'leader', ...plainly(electionMaxMs) },
    { ...joint, kind: 'transfer', target: 'leader', to: follower(dice) },
  )
  return [
    { ...slow, target: follower(dice) },
    { ...slow, target: follower(dice) },
    askedOfLeader(dice, config, at, dice.pick('demote', 'demote', 'replace', 'promote')),
    fault,
  ]
}

const askedOfLeader = (
  dice: Dice,
  config: Config,
  at: number,
  kind: 'remove' | 'demote' | 'replace' | 'promote',
): Fault => {
  const { evenSmall } = drawAction(kind, { dice, config, longMs: 0 })
  return { at, kind, asked: 'leader', member: dice.int(0, 12), evenSmall }
}

/** Restarts while the configuration is joint: of those who enter it, one after the other. */
const jointRestarts: Scenario = (dice, config, at) => [
  askedOfLeader(dice, config, at, dice.pick('replace', 'demote')),
  {
    ...{ at, when: 'joint', times: 4, after: dice.int(0, 20), ...dies, target: 'subject' },
    ...{ ms: dice.int(5, config.electionMaxMs), point: dice.pick('now', 'now', 'stored') },
  },
]

/**
 * It applies slowly, loses contact until what it needs next is compacted, and is sent a snapshot while entries still
 * wait.
 */
const overtaken: Scenario = (dice, { electionMinMs, electionMaxMs }, at) => {
  const target = dice.int(0, 5)
  const cutAt = at + Math.max(3000, 2 * electionMaxMs)
  return [
    { at, kind: 'slow-apply', target, ms: 20_000, entryMs: dice.int(420, 1500) },
    { at: cutAt, kind: 'isolate', target, ...plainly(dice.int(electionMinMs / 2, electionMaxMs)) },
  ]
}

// ---- a state from elsewhere

/** A deposed leader appends and appends, and is brought back by a snapshot that ends inside of what it has. */
const longTail: Scenario = (dice, { electionMaxMs }, at) => [
  {
    ...{ at, kind: 'isolate', target: 'leader', ...(dice.chance(0.5) ? { companion: follower(dice) } : {}) },
    ...{ ...anyCut(dice, dice.int(electionMaxMs, 2 * electionMaxMs)), breaks: true },
  },
]

/** A fresh disk gets a snapshot, and dies, loses the stream or is sent a bent one, right then. */
const restored: Scenario = (dice, { electionMaxMs, heartbeatMs }, at) => {
  const target = dice.int(0, 5)
  const soon = at + dice.int(0, 4 * heartbeatMs)
  const fault = dice.pick<Fault>(
    { at: soon, ...dies, point: 'installing', target, ms: dice.int(5, 300) },
    { at: soon, kind: 'bend-chunk', target, ms: 4000 },
    { at: soon, kind: 'fail-read', target, skip: dice.int(0, 4), ms: 2000 },
    { at: soon, kind: 'transfer', target: 'leader', to: follower(dice) },
    { at: soon, ...dies, target: 'leader', ms: dice.int(5, electionMaxMs) },
  )
  return [{ at, kind: 'wipe', target }, fault]
}

/**
 * Whoever sends a snapshot hands over in the middle of it, and leads again at once: with a newer one. Nobody else
 * reaches the receiver meanwhile.
 */
const startedAgain: Scenario = (dice, { electionMinMs }, at) => {
  const sender = dice.int(0, 5)
  const receiver = (sender + dice.int(1, 5)) % 5
  const after = dice.int(50, 600)
  const offered = { at, when: 'offered' } as const
  const back = { ...offered, kind: 'transfer', target: 'leader', to: sender } as const
  return [
    { at: at - electionMinMs, kind: 'transfer', target: 'leader', to: sender },
    { at, kind: 'wipe', target: receiver },
    { ...offered, kind: 'slow-link', from: sender, to: receiver, delayMs: dice.int(110, 510), ms: 5000 },
    {
      ...{ ...offered, kind: 'half-deaf', target: receiver, unheardBy: nobody },
      ...{ deafTo: PLACES.filter((place) => place % 7 !== sender), ...plainly(5000) },
    },
    { ...offered, after, kind: 'transfer', target: sender, to: (sender + dice.int(1, 5)) % 5 },
    { ...back, after: after + dice.int(10, 60) },
    { ...back, after: after + dice.int(60, 300) },
  ]
}

/**
 * A leader that is brought back by a snapshot leads again, in the same process, while others need what it has in its
 * log: what it read there before the install is not what stands there now.
 */
const leadsAgain: Scenario = (dice, { electionMaxMs, heartbeatMs }, at) => {
  const awayMs = dice.int(electionMaxMs, 2 * electionMaxMs)
  const other = follower(dice)
  const back = { at: at + 1, when: 'installed', kind: 'transfer', target: 'leader', to: 'subject' } as const
  return [
    { at, kind: 'isolate', target: 'leader', companion: other, ...anyCut(dice, awayMs), breaks: true },
    { ...back, after: dice.int(1, 2 * heartbeatMs) },
    { ...back, after: dice.int(1, electionMaxMs) },
    { at: at + awayMs / 2, kind: 'isolate', target: follower(dice), ...anyCut(dice, awayMs) },
  ]
}

/** A chunk on the way to a fresh disk lacks a row. */
const bent: Scenario = (dice, _, at) => {
  const target = dice.int(0, 5)
  return [
    { at, kind: 'bend-chunk', target, ms: 4000 },
    { at, kind: 'wipe', target },
  ]
}

/**
 * The disk takes its time to make it the state when all of it has arrived: until then readers see what was there
 * before.
 */
const installsSlowly: Scenario = (dice, { writeMs, writeJitterMs, heartbeatMs }, at) => [
  {
    // From before the write that installs it begins.
    ...{ at, when: 'offered', times: dice.int(1, 4), kind: 'slow-disk', target: 'subject', ms: 5000 },
    factor: Math.ceil((heartbeatMs * dice.int(1, 6)) / (2 * (writeMs + writeJitterMs))),
  },
]

// ---- members

/** Removed while nobody can tell it. */
const forgotten: Scenario = (dice, { electionMaxMs }, at) => {
  const target = dice.int(0, 5)
  const ms = 20 * electionMaxMs
  return [
    dice.pick<Fault>(
      { at, ...dies, target, ms },
      { at, kind: 'isolate', target, ...plainly(ms) },
      { at, kind: 'pause', target, ms },
    ),
    {
      ...{ at: at + 2 * electionMaxMs, kind: 'remove', asked: 'leader', member: target },
      evenSmall: dice.chance(0.3),
    },
  ]
}

const SCENARIOS: Readonly<Record<StateTheme, readonly Scenario[]>> = {
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
  snapshots: [
    longTail,
    leadsAgain,
    leadsAgain,
    restored,
    restored,
    bent,
    overtaken,
    startedAgain,
    startedAgain,
    installsSlowly,
    installsSlowly,
  ],
  members: [lateChange, jointRestarts, forgotten, restored],
}

// ---- clients

/**
 * Each machine is asked how old its state is, and asked to write, by turns; and whoever leads no more is asked most.
 * Under leases a leader that applies slowly is asked for what others have applied, and told their clients, before it
 * has.
 */
export function drawAgeWatchers(
  dice: Dice,
  { ms, nodes, spares, electionMinMs, keys, leases }: Config,
): Op[] {
  const machines = nodes + spares
  const ops: Op[] = []
  const stepMs = Math.max(10, electionMinMs / 15)
  for (let time = 1000; time < ms; time += stepMs) {
    const place = dice.int(0, machines)
    const kind = dice.pick('stale', leases === 1 ? 'lease' : 'stale', 'put', 'put', 'get')
    ops.push({
      ...{ at: Math.round(time), kind, client: kind === 'put' ? machines + place : place },
      ...{ node: dice.chance(0.1) ? 'stale-leader' : place, key: dice.int(0, keys), x: dice.int(0, 1000) },
    })
  }
  return ops
}

/** Reads at whoever is about to have another state. */
export function drawInstallWatchers(dice: Dice, { ms, heartbeatMs, clients, keys }: Config): Op[] {
  return Array.from({ length: Math.floor(ms / 1000) }, (_, at) => ({
    ...({ at: at * 1000, when: 'staged', times: 3, node: 'subject' } as const),
    ...{ kind: dice.pick('stale', 'get'), after: dice.int(0, 4 * heartbeatMs), client: dice.int(0, clients) },
    ...{ key: dice.int(0, keys), x: dice.int(0, 1000) },
  }))
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
      ...{ node: dice.chance(0.7) ? 'leader' : 'stale-leader', key: dice.int(0, keys), x: 0 },
    })
  return ops
}
