// Scenarios about the state of a replica, in addition to the random faults: a state that lags behind what is committed,
// one that comes from another replica, and concurrent changes of members. Each brings about a situation in which
// systems like this one have failed, with other details each time.
//
// `behind`: applying takes time on some machines, disks stall, leaders are stopped with a companion that hears no other
// machine; and clients keep asking every machine how old its state is. `snapshots` and `members` get a scenario now and
// then.

import type { Random } from '../../workload/random.ts'
import {
  allPlaces,
  anyCut,
  dies,
  drawAction,
  follower,
  noPlaces,
  plainly,
  whole,
} from '../faults/fault-builders.ts'
import type { SimFault } from '../faults/fault-kinds.ts'
import type { SimConfig } from '../schedule/config.ts'
import type { ScheduledOp } from '../schedule/schedule.ts'
import { PLACES } from '../schedule/shape.ts'

type StateTheme = 'behind' | 'snapshots' | 'members'

export function behindConfig(rng: Random, config: SimConfig): SimConfig {
  const { nodes, spares, limits } = config
  const brief = rng.chance(0.5)
    ? { logTailEntries: rng.pick([0, 1]), logBehindEntries: 0, compactEntriesMin: 1 }
    : {}
  return {
    ...config,
    ms: 60_000,
    grow: 0,
    clients: 2 * (nodes + spares),
    timeoutMs: rng.pick([300, 1000]),
    // Fast enough that an operator's changes succeed and elections end.
    delayMs: rng.pick([0.2, 1, 5]),
    jitterMs: rng.pick([0.3, 1, 10]),
    tail: 0,
    limits: { ...limits, ...brief },
  }
}

type Scenario = (rng: Random, config: SimConfig, at: number) => SimFault[]

export function drawStateScenarios(theme: StateTheme, rng: Random, config: SimConfig): SimFault[] {
  const scenarios = SCENARIOS[theme]
  const faults: SimFault[] = []
  const [from, to] = theme === 'behind' ? [4, 9] : [6, 20]
  for (let at = 3000; at < config.ms; at += rng.int(from, to) * config.electionMaxMs) {
    const scenario = scenarios[rng.int(0, scenarios.length)]
    if (scenario !== undefined) faults.push(...scenario(rng, config, Math.round(at)))
  }
  if (theme === 'members') faults.push(...forgotten(rng, config, config.ms - 5 * config.electionMaxMs))
  return faults.map(whole)
}

// ---- a state that lags

/** One machine applies slowly, one entry at a time. */
const slowly: Scenario = (rng, { electionMaxMs, heartbeatMs }, at) => [
  {
    at,
    kind: 'slow-apply',
    target: rng.chance(0.3) ? 'leader' : follower(rng),
    ms: rng.int(2, 8) * electionMaxMs,
    entryMs: 20 + rng.int(heartbeatMs, 8 * heartbeatMs),
  },
]

/**
 * Its disk stalls. It acknowledges nothing, so it does not learn what is committed, while it keeps answering
 * heartbeats.
 */
const stalled: Scenario = (rng, { electionMaxMs }, at) => [
  { at, kind: 'stall-disk', target: follower(rng), ms: rng.int(1, 4) * electionMaxMs },
]

/**
 * A leader and a companion are cut off from the rest. The companion gets the leader's last messages long after the
 * others have elected another leader. The old leader was stopped all that time, and takes the companion's answer for an
 * earlier one.
 */
const companion: Scenario = (rng, { electionMinMs, electionMaxMs, heartbeatMs }, at) => {
  const friend = follower(rng)
  // Long enough for an election, but too short for the leader to find that it has no answers.
  const delayMs = Math.round(electionMinMs + ((electionMaxMs - electionMinMs) * rng.int(2, 10)) / 10)
  return [
    { at: at - heartbeatMs, kind: 'late', target: friend, senders: allPlaces, delayMs, ms: 2 * heartbeatMs },
    { at, kind: 'isolate', target: 'leader', companion: friend, ...anyCut(rng, 3 * electionMaxMs) },
    { at, kind: 'pause', target: 'leader', ms: delayMs },
  ]
}

/** Stopped for longer than it waits for a leader. Messages of that time lie in its sockets. */
const dozing: Scenario = (rng, { electionMaxMs, heartbeatMs, silenceMs }, at) => {
  const longMs = electionMaxMs * (1 + rng.int(1, 10) / 10) + 2 * heartbeatMs
  const ms = silenceMs > 0 ? Math.min(longMs, Math.max(silenceMs - 50, electionMaxMs)) : longMs
  return [{ at, kind: 'pause', target: follower(rng), ms }]
}

/** A page that cannot be read when a process begins or continues. */
const unreadable: Scenario = (rng, _, at) => {
  const target = rng.int(0, 5)
  return [
    { at, kind: 'fail-read', target, skip: rng.int(0, 4), ms: 4000 },
    { at: at + 1, ...dies, target, ms: rng.int(5, 200) },
  ]
}

/** The replica that will be elected next applies a committed change of the configuration late. */
const lateChange: Scenario = (rng, config, at) => {
  const { electionMaxMs, heartbeatMs } = config
  const entryMs = 20 + rng.int(heartbeatMs, 20 * heartbeatMs)
  const slow = { at: at - 2 * heartbeatMs, kind: 'slow-apply', ms: 4 * electionMaxMs, entryMs } as const
  const joint = { at, when: 'joint', after: rng.int(0, 2 * heartbeatMs) } as const
  const fault = rng.pick<SimFault>([
    { ...joint, ...dies, target: 'leader', ms: electionMaxMs },
    { ...joint, kind: 'isolate', target: 'leader', ...plainly(electionMaxMs) },
    { ...joint, kind: 'transfer', target: 'leader', to: follower(rng) },
  ])
  return [
    { ...slow, target: follower(rng) },
    { ...slow, target: follower(rng) },
    askedOfLeader(rng, config, at, rng.pick(['demote', 'demote', 'replace', 'promote'])),
    fault,
  ]
}

const askedOfLeader = (
  rng: Random,
  config: SimConfig,
  at: number,
  kind: 'remove' | 'demote' | 'replace' | 'promote',
): SimFault => {
  const { evenSmall } = drawAction(kind, { rng, config, longMs: 0 })
  return { at, kind, asked: 'leader', member: rng.int(0, 12), evenSmall }
}

/** Restarts during the joint configuration: of the machines that enter it, one after another. */
const jointRestarts: Scenario = (rng, config, at) => [
  askedOfLeader(rng, config, at, rng.pick(['replace', 'demote'])),
  {
    at,
    when: 'joint',
    times: 4,
    after: rng.int(0, 20),
    ...dies,
    target: 'subject',
    ms: rng.int(5, config.electionMaxMs),
    point: rng.pick(['now', 'now', 'stored']),
  },
]

/**
 * It applies slowly, and loses contact until its next entry is compacted. Then it receives a snapshot while entries
 * still wait.
 */
const overtaken: Scenario = (rng, { electionMinMs, electionMaxMs }, at) => {
  const target = rng.int(0, 5)
  const cutAt = at + Math.max(3000, 2 * electionMaxMs)
  return [
    { at, kind: 'slow-apply', target, ms: 20_000, entryMs: rng.int(420, 1500) },
    { at: cutAt, kind: 'isolate', target, ...plainly(rng.int(electionMinMs / 2, electionMaxMs)) },
  ]
}

// ---- a state from elsewhere

/** A deposed leader appends many entries, and is brought back by a snapshot that ends among them. */
const longTail: Scenario = (rng, { electionMaxMs }, at) => [
  {
    at,
    kind: 'isolate',
    target: 'leader',
    ...(rng.chance(0.5) ? { companion: follower(rng) } : {}),
    ...anyCut(rng, rng.int(electionMaxMs, 2 * electionMaxMs)),
    breaks: true,
  },
]

/** A new disk gets a snapshot; then it dies, loses the stream or receives a snapshot without one of its rows. */
const restored: Scenario = (rng, { electionMaxMs, heartbeatMs }, at) => {
  const target = rng.int(0, 5)
  const soon = at + rng.int(0, 4 * heartbeatMs)
  const fault = rng.pick<SimFault>([
    { at: soon, ...dies, point: 'installing', target, ms: rng.int(5, 300) },
    { at: soon, kind: 'drop-row', target, ms: 4000 },
    { at: soon, kind: 'fail-read', target, skip: rng.int(0, 4), ms: 2000 },
    { at: soon, kind: 'transfer', target: 'leader', to: follower(rng) },
    { at: soon, ...dies, target: 'leader', ms: rng.int(5, electionMaxMs) },
  ])
  return [{ at, kind: 'wipe', target }, fault]
}

/**
 * The sender of a snapshot hands over in the middle of it, and leads again at once, with a newer one. Until then no
 * other machine reaches the receiver.
 */
const startedAgain: Scenario = (rng, { electionMinMs }, at) => {
  const sender = rng.int(0, 5)
  const receiver = (sender + rng.int(1, 5)) % 5
  const after = rng.int(50, 600)
  const offered = { at, when: 'offered' } as const
  const back = { ...offered, kind: 'transfer', target: 'leader', to: sender } as const
  return [
    { at: at - electionMinMs, kind: 'transfer', target: 'leader', to: sender },
    { at, kind: 'wipe', target: receiver },
    { ...offered, kind: 'slow-link', from: sender, to: receiver, delayMs: rng.int(110, 510), ms: 5000 },
    {
      ...offered,
      kind: 'half-deaf',
      target: receiver,
      unheardBy: noPlaces,
      deafTo: PLACES.filter((place) => place % 7 !== sender),
      ...plainly(5000),
    },
    { ...offered, after, kind: 'transfer', target: sender, to: (sender + rng.int(1, 5)) % 5 },
    { ...back, after: after + rng.int(10, 60) },
    { ...back, after: after + rng.int(60, 300) },
  ]
}

/**
 * A leader that was brought back by a snapshot leads again, in the same process, while others need entries of its log.
 * What it read there before the install is no longer valid.
 */
const leadsAgain: Scenario = (rng, { electionMaxMs, heartbeatMs }, at) => {
  const awayMs = rng.int(electionMaxMs, 2 * electionMaxMs)
  const other = follower(rng)
  const back = { at: at + 1, when: 'installed', kind: 'transfer', target: 'leader', to: 'subject' } as const
  return [
    { at, kind: 'isolate', target: 'leader', companion: other, ...anyCut(rng, awayMs), breaks: true },
    { ...back, after: rng.int(1, 2 * heartbeatMs) },
    { ...back, after: rng.int(1, electionMaxMs) },
    { at: at + awayMs / 2, kind: 'isolate', target: follower(rng), ...anyCut(rng, awayMs) },
  ]
}

/** A chunk on the way to a fresh disk lacks a row. */
const dropsRow: Scenario = (rng, _, at) => {
  const target = rng.int(0, 5)
  return [
    { at, kind: 'drop-row', target, ms: 4000 },
    { at, kind: 'wipe', target },
  ]
}

/** The disk is slow to install the snapshot after all of it has arrived. Until then readers see the old state. */
const installsSlowly: Scenario = (rng, { writeMs, writeJitterMs, heartbeatMs }, at) => [
  {
    // Starts before the write that installs it begins.
    at,
    when: 'offered',
    times: rng.int(1, 4),
    kind: 'slow-disk',
    target: 'subject',
    ms: 5000,
    factor: Math.ceil((heartbeatMs * rng.int(1, 6)) / (2 * (writeMs + writeJitterMs))),
  },
]

// ---- members

/** A replica that is removed while no message reaches it. */
const forgotten: Scenario = (rng, { electionMaxMs }, at) => {
  const target = rng.int(0, 5)
  const ms = 20 * electionMaxMs
  return [
    rng.pick<SimFault>([
      { at, ...dies, target, ms },
      { at, kind: 'isolate', target, ...plainly(ms) },
      { at, kind: 'pause', target, ms },
    ]),
    {
      at: at + 2 * electionMaxMs,
      kind: 'remove',
      asked: 'leader',
      member: target,
      evenSmall: rng.chance(0.3),
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
    dropsRow,
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
 * Each machine in turn is asked how old its state is, and to write; former leaders are asked most. With leases, a
 * leader that applies slowly is asked for data that it has not applied, and that other nodes have already shown to
 * their clients.
 */
export function drawAgeWatchers(
  rng: Random,
  { ms, nodes, spares, electionMinMs, keys, leases }: SimConfig,
): ScheduledOp[] {
  const machines = nodes + spares
  const ops: ScheduledOp[] = []
  const stepMs = Math.max(10, electionMinMs / 15)
  for (let time = 1000; time < ms; time += stepMs) {
    const place = rng.int(0, machines)
    const kind = rng.pick<ScheduledOp['kind']>([
      'stale',
      leases === 1 ? 'lease' : 'stale',
      'put',
      'put',
      'get',
    ])
    ops.push({
      at: Math.round(time),
      kind,
      client: kind === 'put' ? machines + place : place,
      node: rng.chance(0.1) ? 'stale-leader' : place,
      key: rng.int(0, keys),
      x: rng.int(0, 1000),
    })
  }
  return ops
}

/** Reads at a machine that is about to get another state. */
export function drawInstallWatchers(
  rng: Random,
  { ms, heartbeatMs, clients, keys }: SimConfig,
): ScheduledOp[] {
  return Array.from({ length: Math.floor(ms / 1000) }, (_, at) => ({
    ...({ at: at * 1000, when: 'staged', times: 3, node: 'subject' } as const),
    kind: rng.pick(['stale', 'get']),
    after: rng.int(0, 4 * heartbeatMs),
    client: rng.int(0, clients),
    key: rng.int(0, keys),
    x: rng.int(0, 1000),
  }))
}

/**
 * Clients that write the uncommitted entries, in addition to the others: each waits for an answer that does not come.
 */
export const TAIL_WRITERS = 24

/** Writes at a former leader that does not know that it is deposed, for uncommitted entries at the end of its log. */
export function drawTails(rng: Random, { ms, electionMaxMs, keys, clients }: SimConfig): ScheduledOp[] {
  const ops: ScheduledOp[] = []
  const stepMs = Math.max(20, electionMaxMs / 12)
  for (let at = 0; at * stepMs < ms; at++)
    ops.push({
      at: Math.round(at * stepMs),
      kind: 'put',
      client: clients - 1 - (at % TAIL_WRITERS),
      node: rng.chance(0.7) ? 'leader' : 'stale-leader',
      key: rng.int(0, keys),
      x: 0,
    })
  return ops
}
