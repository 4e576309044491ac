// Makes schedules from seeds, by swarm testing: each seed first draws *which* faults and requests exist, how strong
// they are, and how small the limits are; then when they happen. A run with everything at once hides more than it
// shows.

import { Random } from '../../workload/random.ts'
import { NOTHING_RARE, type Rare } from '../coverage.ts'
import { anyCut, drawAction, follower, plainly, whole } from '../faults/fault-builders.ts'
import { type FaultAction, type SimFault, type SimFaultKind, USUAL_FAULTS } from '../faults/fault-kinds.ts'
import type { Trigger } from '../faults/trigger-wait.ts'
import { buildsConfig, drawBuilds } from '../themes/builds.ts'
import {
  drawJointElections,
  drawScenarios,
  drawWatchers,
  type LeadershipTheme,
  leadershipConfig,
} from '../themes/leadership.ts'
import { drawLinkScenarios, drawLinkWriters, linksConfig } from '../themes/links.ts'
import { drawOverload, drawOverloadWriters, overloadConfig } from '../themes/overload.ts'
import { drawRemovals, drawRemovalWriters, removalsConfig } from '../themes/removals.ts'
import { drawRights } from '../themes/rights.ts'
import {
  behindConfig,
  drawAgeWatchers,
  drawInstallWatchers,
  drawStateScenarios,
  drawTails,
  TAIL_WRITERS,
} from '../themes/state.ts'
import { drawStore } from '../themes/store.ts'
import { drawTriggered, triggeredConfig } from '../themes/triggered.ts'
import { drawLimits } from '../world/node-limits.ts'
import type { SimConfig } from './config.ts'
import { DRAW } from './random-purposes.ts'
import {
  OP_KINDS,
  type OpKind,
  SCHEDULE_VERSION,
  type Schedule,
  type ScheduledOp,
  STORE_OPS,
} from './schedule.ts'
import type { DrawContext } from './shape.ts'

/** Draws of one part of a schedule; each part has a stream of its own. */
type Part = (number: number) => Random

/** The main subject of a run, and what it puts in place of the usual faults, or adds to the usual operations. */
interface Theme {
  /** How often it is drawn. */
  readonly weight: number
  readonly config: (rng: Random, config: SimConfig) => SimConfig
  readonly faults: (part: Part, config: SimConfig) => SimFault[]
  readonly ops: (part: Part, config: SimConfig, faults: readonly SimFault[]) => ScheduledOp[]
}

const leadership = (name: LeadershipTheme): Theme => ({
  weight: 2,
  config: (rng, config) => leadershipConfig(name, rng, config),
  faults: (part, config) => drawScenarios(name, part(4), config),
  ops: (part, config) => drawWatchers(name, part(5), config),
})

const THEMES = {
  anything: {
    weight: 3,
    config: (_, config) => config,
    faults: (part, config) => drawFaults(part(2), config, 'anything'),
    ops: () => [],
  },
  /**
   * Leaders are cut off while clients at every node keep reading and writing, because leases, read indexes, bounds on
   * age and diverging logs can go wrong there.
   */
  deposed: {
    weight: 2,
    config: deposedConfig,
    faults: (part, config) => drawFaults(part(2), config, 'deposed'),
    ops: (part, config, faults) => drawWatch(part(3), config, faults),
  },
  /** Logs of a few entries, and disks that die under installs. */
  snapshots: {
    weight: 1,
    config: snapshotsConfig,
    faults: (part, config) => [
      ...drawFaults(part(2), config, 'snapshots'),
      ...drawStateScenarios('snapshots', part(6), config),
    ],
    ops: (part, config) => [...drawTails(part(8), config), ...drawInstallWatchers(part(15), config)],
  },
  /** Many changes of the membership, while leaders are cut off and die. */
  members: {
    weight: 1,
    config: (_, config) => ({ ...config, ms: 60_000, spares: 2 }),
    faults: (part, config) => [
      ...drawFaults(part(2), config, 'members'),
      ...drawStateScenarios('members', part(6), config),
      ...drawJointElections(part(9), config),
    ],
    ops: () => [],
  },
  leases: leadership('leases'),
  elections: leadership('elections'),
  behind: {
    weight: 2,
    config: behindConfig,
    faults: (part, config) => drawStateScenarios('behind', part(6), config),
    ops: (part, config) => drawAgeWatchers(part(7), config),
  },
  links: {
    weight: 3,
    config: linksConfig,
    faults: (part, config) => drawLinkScenarios(part(16), config),
    ops: (part, config, faults) => drawLinkWriters(part(11), config, faults),
  },
  removals: {
    weight: 3,
    config: removalsConfig,
    faults: (part, config) => drawRemovals(part(13), config),
    ops: (part, config) => drawRemovalWriters(part(14), config),
  },
  /** `drawTriggered` makes its faults and operations together. */
  triggered: { weight: 3, config: triggeredConfig, faults: () => [], ops: () => [] },
  overload: {
    weight: 2,
    config: overloadConfig,
    faults: (part, config) => drawOverload(part(20), config),
    ops: (part, config) => drawOverloadWriters(part(21), config),
  },
} as const satisfies { readonly [name: string]: Theme }
type ThemeName = keyof typeof THEMES
const THEME_NAMES = (Object.keys(THEMES) as ThemeName[]).flatMap((name) =>
  Array<ThemeName>(THEMES[name].weight).fill(name),
)

/** `rare`: what a search has seen least, for the theme that uses it. The same arguments give the same schedule. */
export function generate(seed: number, nodes = 5, rare: Rare = NOTHING_RARE): Schedule {
  // A separate stream for each part of the schedule.
  const taken = new Set<number>()
  const part = (entity: number): Random => {
    if (taken.has(entity)) throw new RangeError(`two parts of a schedule draw the numbers of part ${entity}`)
    taken.add(entity)
    return new Random(seed, DRAW.swarm, entity)
  }
  const rng = part(0)
  const name = rng.pick(THEME_NAMES)
  const theme: Theme = THEMES[name]
  const themedConfig = theme.config(rng, drawConfig(rng, nodes))
  // Operators set limits for each node, and change them one node after the other.
  const unequal = part(22)
  const limitedConfig = unequal.chance(0.2)
    ? { ...themedConfig, usualLimitsFrom: unequal.int(1, nodes + 1) }
    : themedConfig
  const config = buildsConfig(part(24), limitedConfig)
  const triggered = name === 'triggered' ? drawTriggered(part(12), config, rare) : undefined
  const faults = [
    ...theme.faults(part, config),
    ...(triggered?.faults ?? []).map(whole),
    ...drawBuilds(part(25), config),
  ]
  faults.sort((a, b) => a.at - b.at)
  // A full store refuses the writes that show which leader was overtaken.
  const isAboutLeaders = name === 'leases' || name === 'elections'
  const ops = drawOps(part(1), config).filter((op) => !isAboutLeaders || op.kind !== 'settings')
  ops.push(...theme.ops(part, config, faults))
  ops.push(...drawLists(part(10), config))
  if (!isAboutLeaders) ops.push(...drawSessions(part(17), config))
  ops.push(...drawStore(part(19), config))
  ops.push(...drawRights(part(23), config))
  ops.push(...(triggered?.ops ?? []))
  ops.sort((a, b) => a.at - b.at)
  return { version: SCHEDULE_VERSION, seed, config, ops, faults }
}

function deposedConfig(rng: Random, config: SimConfig): SimConfig {
  return {
    ...config,
    ms: 60_000,
    // Two for each machine: one reads, one writes.
    clients: 2 * (config.nodes + config.spares),
    timeoutMs: 300,
    electionMaxMs: config.electionMinMs * rng.pick([1.1, 1.5]),
    clocks: rng.pick([0, 1]),
    leases: rng.chance(0.6) ? 1 : 0,
    leaseMs: config.electionMinMs * rng.pick([1, 1, 3]),
  }
}

function snapshotsConfig(rng: Random, config: SimConfig): SimConfig {
  return {
    ...config,
    ms: 60_000,
    // Enough for several chunks.
    keys: rng.pick([8, 20]),
    clients: config.clients + TAIL_WRITERS,
    timeoutMs: rng.pick([300, 1000]),
    limits: {
      ...config.limits,
      logTailEntries: rng.pick([0, 1]),
      logBehindEntries: rng.pick([0, 10]),
      compactEntriesMin: 1,
      chunkRows: rng.pick([1, 2]),
    },
  }
}

const LEADER_FAULTS: readonly SimFaultKind[] = ['isolate', 'crash', 'pause', 'deaf', 'transfer', 'partition']

/**
 * After each fault of a leader, clients at all machines read and write in turn until long after the fault's end. Around
 * the end of a lease, or the next election, all of them send many requests at once.
 */
function drawWatch(rng: Random, config: SimConfig, faults: readonly SimFault[]): ScheduledOp[] {
  const ops: ScheduledOp[] = []
  const { electionMinMs, electionMaxMs } = config
  let quietAt = 0
  for (const fault of faults) {
    const { at, kind } = fault
    if (!LEADER_FAULTS.includes(kind) || !('target' in fault && fault.target === 'leader')) continue
    if (at < quietAt) continue
    quietAt = at + 3 * electionMaxMs
    const stepMs = Math.max(8, electionMinMs / 40)
    for (let time = at; time < quietAt; time += stepMs) ops.push(drawRequest(rng, config, time))
    ops.push(...crowd(rng, config, at, kind))
  }
  return ops.filter(({ at }) => at < config.ms)
}

function drawRequest(rng: Random, config: SimConfig, time: number): ScheduledOp {
  const machines = config.nodes + config.spares
  const place = rng.int(0, machines)
  const reads = rng.chance(0.6)
  return {
    at: Math.round(time),
    kind: reads ? rng.pick(['lease', 'lease', 'get', 'stale']) : 'put',
    client: reads ? place : machines + place,
    node: place,
    key: rng.int(0, config.keys),
    x: rng.int(0, 1000),
  }
}

function crowd(
  rng: Random,
  { nodes, spares, leases, leaseMs, heartbeatMs, keys }: SimConfig,
  at: number,
  kind: SimFaultKind,
): ScheduledOp[] {
  const [from, to] =
    leases === 0
      ? [20, 4 * heartbeatMs]
      : kind === 'transfer'
        ? [1, leaseMs]
        : [0.85 * leaseMs, 1.3 * leaseMs]
  const ops: ScheduledOp[] = []
  for (let time = at + from; time < at + to; time += (to - from) / 40)
    for (let place = 0; place < nodes + spares; place++)
      ops.push({
        at: Math.round(time),
        kind: leases === 1 ? 'lease' : rng.pick(['get', 'stale']),
        client: place,
        node: place,
        key: rng.int(0, keys),
        x: 1,
      })
  return ops
}

function drawConfig(rng: Random, nodes: number): SimConfig {
  const heartbeatMs = rng.pick([50, 100, 150, 200, 250, 300])
  const electionMinMs = heartbeatMs * rng.pick([5, 10, 10, 12])
  const fast = rng.chance(0.5)
  const harsh = rng.chance(0.3)
  const clocks = rng.pick([0, 1, 1, 2])
  return {
    nodes,
    spares: rng.pick([0, 1, 2]),
    grow: rng.chance(0.15) ? 1 : 0,
    ms: 1000 * rng.pick([rng.int(60, 120), rng.int(60, 120), rng.int(120, 300), rng.int(300, 600)]),
    heartbeatMs,
    electionMinMs,
    electionMaxMs: electionMinMs * rng.pick([1.5, 2, 2]),
    commitDelayMs: rng.pick([0, 5, heartbeatMs]),
    delayMs: fast ? 0.2 : rng.pick([1, 5, 20]),
    jitterMs: fast ? 0.3 : rng.pick([1, 10, 50]),
    tail: rng.pick([0, 0, 200, 1000]),
    harsh: harsh ? 1 : 0,
    lost: harsh ? rng.pick([0, 5, 30, 100]) : 0,
    doubled: harsh ? rng.pick([0, 20, 100, 300]) : 0,
    reordered: harsh && rng.chance(0.7) ? 1 : 0,
    silenceMs: rng.pick([0, 3000, 3000]),
    writeMs: rng.pick([0.1, 0.5, 2, 8]),
    writeJitterMs: rng.pick([0, 1, 10, 40]),
    readMs: rng.pick([0.01, 0.1, 2]),
    shortDisks: 1,
    clocks,
    leases: clocks !== 2 && rng.chance(0.4) ? 1 : 0,
    leaseMs: electionMinMs * rng.pick([0.5, 1, 1, 4]),
    restartMs: rng.pick([50, 300, 1000, 3000]),
    limits: drawLimits(rng, harsh),
    keys: rng.pick([1, 3, 8, 20]),
    clients: rng.pick([2, 4, 8]),
    timeoutMs: rng.pick([300, 1000, 2000, 5000]),
  }
}

const USUAL_MS = 90_000
const usualMs = (ms: number, config: SimConfig): number => (ms * Math.max(USUAL_MS, config.ms)) / USUAL_MS

/** Kinds that are drawn apart. */
const OF_THEIR_OWN: readonly OpKind[] = ['session', 'slot', 'slot-again', 'batch', ...STORE_OPS]

/** In some runs: clients with a session, which have several requests in flight and repeat them at other machines. */
function drawSessions(rng: Random, config: SimConfig): ScheduledOp[] {
  const { ms, clients, keys, nodes, spares } = config
  if (rng.chance(0.6)) return []
  const ops: ScheduledOp[] = []
  const meanMs = usualMs(rng.pick([1000, 3000]), config)
  const kinds: readonly OpKind[] = [
    ...Array<OpKind>(6).fill('slot'),
    'slot-again',
    'slot-again',
    'batch',
    'session',
  ]
  for (let at = 500; at < ms; at += rng.ms(1, 2 * meanMs)) {
    const client = rng.int(0, clients)
    const burst = rng.chance(0.3) ? rng.int(2, 8) : 1
    for (let count = 0; count < burst; count++)
      ops.push({
        at: at + rng.ms(0, 20),
        kind: kinds[rng.int(0, kinds.length)] ?? 'slot',
        client,
        node: rng.chance(0.4) ? 'leader' : rng.int(0, nodes + spares),
        key: rng.int(0, keys),
        x: rng.int(0, 1000),
      })
  }
  return ops
}

const PLAIN: readonly OpKind[] = ['put', 'put', 'put', 'get', 'get']

function drawOps(rng: Random, config: SimConfig): ScheduledOp[] {
  const kinds = [...PLAIN, ...OP_KINDS.filter((kind) => !OF_THEIR_OWN.includes(kind) && rng.chance(0.6))]
  // A long run does not have more events: it has longer periods without requests and faults.
  const perSecond = (rng.pick([0.7, 2, 4]) * USUAL_MS) / Math.max(USUAL_MS, config.ms)
  const ops: ScheduledOp[] = []
  const sticky = rng.chance(0.3)
  for (let at = 300; at < config.ms; ) {
    const burst = rng.chance(0.15) ? rng.int(2, 15) : 1
    for (let count = 0; count < burst; count++) {
      const client = rng.int(0, config.clients)
      const anywhere = rng.chance(0.3) ? 'leader' : rng.int(0, config.nodes + config.spares)
      ops.push({
        at: at + rng.ms(0, 40),
        kind: kinds[rng.int(0, kinds.length)] ?? 'put',
        client,
        node: sticky ? client : anywhere,
        key: rng.int(0, config.keys),
        x: rng.int(0, 1000),
      })
    }
    at += Math.round((burst * 2000 * rng.int(1, 100)) / 100 / perSecond)
  }
  return ops
}

/** How many lists wait for a write in a run. */
const LISTS = 25

/** Lists right after writes: the new rows are in memory, and the old ones are on the disk. */
function drawLists(rng: Random, { ms, clients, keys }: SimConfig): ScheduledOp[] {
  return Array.from({ length: LISTS }, () => ({
    ...({ at: rng.int(0, ms), kind: 'range', client: rng.int(0, clients), node: 'subject' } as const),
    key: rng.int(0, keys),
    x: rng.int(0, 1000),
    when: rng.pick<Trigger>(['answered', 'ahead']),
    times: rng.int(1, 4),
  }))
}

/**
 * How often a kind is drawn; 1 if it is not listed. Faults that hit the weak points of other systems come more often.
 */
const WEIGHTS: Partial<Record<SimFaultKind, number>> = {
  crash: 6,
  isolate: 4,
  partition: 3,
  'slow-disk': 2,
  'stall-disk': 1,
  'break-streams': 4,
  'drop-row': 2,
  wipe: 2,
  pause: 2,
  transfer: 2,
  replace: 2,
  join: 3,
  remove: 2,
  'crash-many': 2,
  'roll-back': 4,
}

const DEPOSED: Partial<Record<SimFaultKind, number>> = {
  isolate: 6,
  crash: 3,
  pause: 2,
  deaf: 2,
  transfer: 2,
  'slow-link': 3,
  'one-way': 2,
  'slow-disk': 1,
  'stall-disk': 1,
  'roll-back': 2,
  storm: 2,
  leases: 1,
  break: 1,
}
const MEMBERS: Partial<Record<SimFaultKind, number>> = {
  replace: 5,
  join: 4,
  remove: 4,
  demote: 4,
  promote: 2,
  wipe: 1,
  transfer: 3,
  isolate: 5,
  partition: 3,
  bridge: 1,
  crash: 5,
  'crash-many': 1,
  stop: 1,
  'slow-disk': 1,
  'stall-disk': 1,
}
const SNAPSHOTS: Partial<Record<SimFaultKind, number>> = {
  crash: 6,
  isolate: 3,
  'break-streams': 5,
  wipe: 4,
  'slow-disk': 2,
  'stall-disk': 1,
  pause: 2,
  'crash-many': 1,
  replace: 2,
  join: 2,
  transfer: 2,
  leases: 1,
  'fail-sync': 1,
  'full-disk': 1,
  'roll-back': 3,
}

const FAULT_WEIGHTS = { anything: WEIGHTS, deposed: DEPOSED, snapshots: SNAPSHOTS, members: MEMBERS }

function drawKinds(rng: Random, config: SimConfig, theme: keyof typeof FAULT_WEIGHTS): SimFaultKind[] {
  const share = theme === 'anything' ? rng.pick([0.15, 0.35, 0.7]) : 0.7
  const weights: Partial<Record<SimFaultKind, number>> = FAULT_WEIGHTS[theme]
  return USUAL_FAULTS.filter((kind) => {
    // Only few runs allow this kind, so those runs use it with any theme.
    if (kind === 'lossy') return config.harsh === 1 && rng.chance(0.7)
    if (kind === 'jump') return config.clocks === 2 && rng.chance(0.7)
    return rng.chance(share) && (theme === 'anything' || weights[kind] !== undefined)
  }).flatMap((kind) => Array.from({ length: weights[kind] ?? 1 }, () => kind))
}

function drawFaults(rng: Random, config: SimConfig, theme: keyof typeof FAULT_WEIGHTS): SimFault[] {
  const kinds = drawKinds(rng, config, theme)
  if (kinds.length === 0) return []
  const meanMs =
    theme === 'deposed'
      ? 4 * config.electionMaxMs
      : theme === 'members'
        ? config.electionMaxMs / 2
        : usualMs(rng.pick([700, 2000, 6000]), config)
  const longMs = rng.pick([500, 3000, 10_000])
  const drawing = { rng, config, longMs }
  const faults: SimFault[] = []
  for (let at = 1000; at < config.ms; at += rng.ms(20, 4 * meanMs)) {
    const kind = kinds[rng.int(0, kinds.length)] ?? 'crash'
    if (theme === 'deposed') faults.push(...drawDeposed(kind, drawing, at))
    else faults.push(drawFault(kind, drawing, at))
  }
  return faults.sort((a, b) => a.at - b.at)
}

/** A snapshot takes a few milliseconds. */
function drawFault(kind: SimFaultKind, drawing: DrawContext, at: number): SimFault {
  const { rng } = drawing
  const action = drawAction(kind, drawing)
  if ((action.kind !== 'break-streams' && action.kind !== 'drop-row') || rng.chance(0.2))
    return { at, ...action }
  return { at, when: 'offered', after: rng.ms(0, 50), ...action, target: 'subject' }
}

/** Most of them strike the current leader. */
function drawDeposed(kind: SimFaultKind, drawing: DrawContext, at: number): SimFault[] {
  const { rng, config, longMs } = drawing
  if (kind === 'slow-link' || kind === 'one-way') {
    // Between the leader and one follower, more often towards the leader, because late answers might extend a lease
    // wrongly.
    const [from, to] = rng.chance(0.7)
      ? [follower(rng), 'leader' as const]
      : (['leader', follower(rng)] as const)
    const ms = rng.ms(5, 2 * longMs)
    return kind === 'slow-link'
      ? [{ at, kind, from, to, delayMs: rng.int(10, 1010), ms }]
      : [{ at, kind, from, to, ...anyCut(rng, ms) }]
  }
  const drawn = drawAction(kind, drawing)
  const faults: SimFault[] = [{ at, ...(rng.chance(0.7) ? atLeader(drawn) : drawn) }]
  // An answer that was sent before the leader was cut off arrives much later.
  if (kind === 'isolate' && rng.chance(0.3))
    faults.push({
      at: at - rng.int(1, 3 * config.heartbeatMs),
      kind: 'slow-link',
      from: follower(rng),
      to: 'leader',
      delayMs: rng.int(400, 1000),
      ms: Math.round(2 * config.electionMaxMs),
    })
  // The old leader does not hear from the next one.
  if (kind === 'transfer' && rng.chance(0.6))
    faults.push({ at: at + rng.int(1, 8), kind: 'isolate', target: 'leader', ...plainly(longMs) })
  return faults
}

const atLeader = (action: FaultAction): FaultAction =>
  'target' in action ? { ...action, target: 'leader' } : action
