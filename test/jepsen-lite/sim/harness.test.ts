// The simulator's own defects must not pass for health: an injector that does nothing, a clock that stands still, a
// rule that is not looked at.

import { expect, test } from 'vitest'
import { allPlaces, drawAction, plainly } from '../../../jepsen-lite/sim/faults/fault-builders.ts'
import {
  BUILD_FAULTS,
  FAULT_KINDS,
  type SimFault,
  type SimFaultKind,
} from '../../../jepsen-lite/sim/faults/fault-kinds.ts'
import { judged, runSchedule, type Schedule } from '../../../jepsen-lite/sim/index.ts'
import { Run } from '../../../jepsen-lite/sim/run.ts'
import { SCHEDULE_VERSION } from '../../../jepsen-lite/sim/schedule/schedule.ts'
import { SimCluster } from '../../../jepsen-lite/sim/world/cluster.ts'
import { IO } from '../../../jepsen-lite/sim/world/time.ts'
import { Recorder } from '../../../jepsen-lite/workload/history.ts'
import { Random } from '../../../jepsen-lite/workload/random.ts'
import { calmConfig } from './calm-config.ts'
import { runFaults } from './run-faults.ts'

/** A calm cluster of five on equal clocks. */
function calm(change: Partial<Schedule['config']> = {}): Schedule {
  const members = { nodes: 5, spares: 1, ms: 10_000 }
  const harsh = { harsh: 1, silenceMs: 3000, restartMs: 100, timeoutMs: 2000 }
  return {
    version: SCHEDULE_VERSION,
    seed: 1,
    config: calmConfig({ ...members, ...harsh, ...change }),
    ops: Array.from({ length: 50 }, (_, at) => ({
      ...({ at: 500 + 190 * at, kind: 'put', client: at % 3, node: at % 5, key: at % 4, x: at } as const),
    })),
    faults: [],
  }
}

const LONG = 4000

/** Strong enough to be felt. */
const strongly = { at: 5000, target: 'leader', ms: LONG } as const
const cut = { ...plainly(LONG), breaks: true }
const asked = { at: 5000, asked: 1, member: 3, evenSmall: false } as const

/** Each kind, and what it needs. */
const felt: { readonly [Kind in SimFaultKind]: readonly SimFault[] } = {
  partition: [{ at: 5000, kind: 'partition', side: [0, 1], ...cut }],
  isolate: [{ ...strongly, kind: 'isolate', ...cut }],
  ring: [{ at: 5000, kind: 'ring', ...cut }],
  bridge: [{ ...strongly, kind: 'bridge', half: [0, 1, 2], ...cut }],
  'one-way': [{ at: 5000, kind: 'one-way', from: 'leader', to: 'follower-0', ...cut }],
  deaf: [{ ...strongly, kind: 'deaf', direction: 'out', ...cut }],
  flap: [{ ...strongly, kind: 'flap', periodMs: 220, ...cut }],
  break: [{ ...strongly, kind: 'break' }],
  'break-streams': [
    { at: 3000, kind: 'wipe', target: 3 },
    ...Array.from(
      { length: 200 },
      (_, at): SimFault => ({ at: 3001 + 2 * at, kind: 'break-streams', target: 3 }),
    ),
  ],
  'drop-row': [
    { at: 2999, kind: 'drop-row', target: 3, ms: LONG },
    { at: 3000, kind: 'wipe', target: 3 },
  ],
  lossy: [{ at: 5000, kind: 'lossy', perMille: 100, ms: LONG }],
  message: [{ at: 0, kind: 'message', from: 0, to: 1, number: 20, fate: 'lost', delayMs: 1 }],
  'slow-link': [{ at: 5000, kind: 'slow-link', from: 'leader', delayMs: 100, ms: LONG }],
  late: [{ ...strongly, kind: 'late', senders: allPlaces, delayMs: 300 }],
  'half-deaf': [{ ...strongly, kind: 'half-deaf', unheardBy: allPlaces, deafTo: [], ...cut }],
  'shifting-majority': [
    { ...strongly, kind: 'shifting-majority', without: 2, fresh: true, avoid: [], ...cut },
  ],
  crash: [{ ...strongly, kind: 'crash', point: 'writing', skip: 1, inFlight: 'torn', silent: false }],
  'crash-many': [
    { at: 5000, kind: 'crash-many', places: allPlaces, inFlight: ['kept'], silent: false, ms: LONG },
  ],
  storm: [{ ...strongly, kind: 'storm', times: 3, inFlight: ['lost', 'kept'] }],
  stop: [{ ...strongly, kind: 'stop' }],
  pause: [{ ...strongly, kind: 'pause' }],
  'slow-apply': [{ ...strongly, kind: 'slow-apply', entryMs: 30 }],
  wipe: [{ ...strongly, kind: 'wipe' }],
  'slow-disk': [{ ...strongly, kind: 'slow-disk', factor: 9 }],
  'stall-disk': [{ ...strongly, kind: 'stall-disk' }],
  'fail-sync': [{ ...strongly, kind: 'fail-sync', inFlight: 'kept' }],
  'fail-read': [
    { at: 5000, kind: 'crash', target: 3, point: 'now', skip: 0, inFlight: 'lost', silent: true, ms: 100 },
    { at: 5001, kind: 'fail-read', target: 3, skip: 3, ms: LONG },
  ],
  'full-disk': [{ ...strongly, kind: 'full-disk' }],
  'roll-back': [{ at: 4000, kind: 'roll-back', target: 'follower-0', ms: LONG }],
  'bit-flip': [{ ...strongly, kind: 'bit-flip', row: 7, bit: 7 }],
  heal: [
    { ...strongly, kind: 'isolate', target: 2, ...cut },
    { at: 6000, kind: 'heal', fault: 'isolate', target: 2 },
  ],
  skew: [{ ...strongly, kind: 'skew', perMille: 1500 }],
  'compact-log': [{ ...strongly, kind: 'compact-log' }],
  jump: [{ ...strongly, kind: 'jump', forwardMs: 8 }],
  join: [{ at: 5000, kind: 'join', target: 5 }],
  remove: [{ ...asked, kind: 'remove' }],
  'remove-many': [{ at: 5000, kind: 'remove-many', asked: 'leader', places: [2, 3] }],
  replace: [{ ...asked, kind: 'replace' }],
  demote: [{ ...asked, kind: 'demote' }],
  promote: [
    { ...asked, kind: 'demote', at: 3000 },
    { ...asked, kind: 'promote', at: 8000 },
  ],
  transfer: [{ ...strongly, kind: 'transfer', to: 3 }],
  leases: [{ ...strongly, kind: 'leases', on: true, durationMs: 250 }],
  build: [{ ...strongly, kind: 'build', older: true, inFlight: 'kept' }],
  raise: [{ ...strongly, kind: 'raise' }],
}

/** `npm run test:long` also runs the liveness phase after each fault. Random schedules run it each time. */
const runKind = process.env.QUORATE_LONG === '1' ? runSchedule : runFaults

test.each(FAULT_KINDS)('%s takes effect and is counted', (kind) => {
  const { faults: counted, violation } = runKind({
    ...calm(
      kind === 'jump' || kind === 'skew'
        ? { clocks: 2 }
        : BUILD_FAULTS.includes(kind)
          ? { clusterVersion: 1 }
          : {},
    ),
    faults: felt[kind],
  })
  expect(violation).toBeUndefined()
  expect(counted[kind]).toBeGreaterThan(0)
})

test('a raise of the cluster version takes a revision that no client made', () => {
  const raise: SimFault = { at: 0, when: 'elected', kind: 'raise', target: 0 }
  const schedule = { ...calm({ nodes: 3, clusterVersion: 1 }), faults: [raise] }
  expect(judged(schedule).violation).toBeUndefined()
})

test('faults that nobody can feel are not counted', () => {
  // Nothing is left to strike: all machines are down, and stay so until the end.
  const down: SimFault = {
    ...{ at: 1000, kind: 'crash-many', places: allPlaces, inFlight: ['lost'], silent: false, ms: 30_000 },
  }
  const schedule = calm({ spares: 0 })
  const rng = new Random(1)
  // These need nobody who feels them.
  const kinds = FAULT_KINDS.filter((kind) => kind !== 'bit-flip' && kind !== 'jump' && kind !== 'join')
  const faults = kinds.map((kind, at) => ({
    ...{ at: 2000 + 200 * at, ...drawAction(kind, { rng, config: schedule.config, longMs: 100 }) },
  }))
  const counted = Object.entries(runKind({ ...schedule, faults: [down, ...faults], ops: [] }).faults)
  expect(counted.filter(([, count]) => count > 0)).toEqual([['crash-many', 1]])
})

test.each([
  ['newer', 'older', { olderFrom: 0 }, { older: false }],
  ['older', 'newer', { olderFrom: 6 }, { older: true }],
] as const)(
  'a replica of the %s build joins a cluster of the %s one',
  (_joins, _founded, config, { older }) => {
    const build: SimFault = { at: 4000, kind: 'build', target: 5, older, inFlight: 'lost', ms: 100 }
    const { faults: counted, violation } = runFaults({
      ...calm({ clusterVersion: 1, ...config }),
      faults: [build, { at: 5000, kind: 'join', target: 5 }],
    })
    expect(violation).toBeUndefined()
    expect(counted).toMatchObject({ build: 1, join: 1 })
  },
)

test('every clock moves on', () => {
  const { config } = calm()
  const cluster = clusterOf(config)
  cluster.runUntil(2000)
  const before = cluster.machines.map(({ clock }) => clock.at(cluster.time.now))
  cluster.runUntil(3000)
  const moved = cluster.machines.map(({ clock }, place) => clock.at(cluster.time.now) - (before[place] ?? 0))
  for (const ms of moved) expect(ms).toBeCloseTo(1000)
})

test('a node that is stopped for good falls silent: all its peers hang up', () => {
  const { config } = calm({ spares: 0 })
  const cluster = clusterOf(config)
  cluster.runUntil(2000)
  const stopped = cluster.machines[1]
  const peers = cluster.network.endsAt(1).map(({ other }) => other)
  expect(peers.map(({ closed }) => closed)).toEqual(peers.map(() => false))
  stopped?.process?.pause()
  cluster.runUntil(2000 + 2 * config.silenceMs)
  expect(peers.map(({ closed }) => closed)).toEqual(peers.map(() => true))
})

test('a timer whose time a clock jumps over fires at the jump, and no other one', () => {
  const { config } = calm({ clocks: 2 })
  const run = new Run({
    ...calm({ clocks: 2 }),
    ops: [],
    faults: [{ ...strongly, kind: 'jump', target: 0, forwardMs: 500 }],
  })
  const { cluster } = run
  cluster.runUntil(4_900)
  const { time, machines } = cluster
  const [clock] = machines.map(({ process }) => process?.clock)
  const fired: [string, number][] = []
  clock?.after(300, () => fired.push(['jumped over', time.now]))
  clock?.after(1_000, () => fired.push(['later', time.now]))
  cluster.runUntil(config.ms)
  expect(fired[0]?.[0]).toBe('jumped over')
  expect(fired[0]?.[1]).toBeCloseTo(5_000)
  expect(fired[1]?.[1]).toBeGreaterThan(5_350)
  expect(fired[1]?.[1]).toBeLessThan(5_450)
})

test('a node whose clock stands still is found', () => {
  // It leads, is cut off, and never notices that its time is over.
  const schedule = calm({ leases: 1 })
  const frozen = { at: 4000, kind: 'isolate', target: 'leader', ...plainly(6000), stalls: true } as const
  const reads = Array.from({ length: 60 }, (_, at) => ({
    ...({ at: 4000 + 100 * at, kind: 'lease', client: 5, node: at % 5, key: at % 4, x: 1 } as const),
  }))
  const { config } = { ...schedule, config: { ...schedule.config, clients: 6 } }
  const played = {
    ...schedule,
    config,
    faults: [frozen],
    ops: [...schedule.ops, ...reads].sort((a, b) => a.at - b.at),
  }
  expect(runSchedule(played).violation).toBeUndefined()
  expect(
    runSchedule(played, undefined, (cluster) => {
      cluster.time.push(3900, IO, undefined, () =>
        cluster.leader?.machine.clock.setRate(cluster.time.now, 1e-9),
      )
    }).violation,
  ).toMatchObject({ invariant: 'READ-4' })
})

function clusterOf(config: Schedule['config']): SimCluster {
  const cluster = new SimCluster(
    1,
    config,
    (now) => new Recorder({ workload: 'kv', command: '' }, now, () => {}),
  )
  cluster.found()
  return cluster
}

test('a machine that is wiped more often than a thousand times gets replica IDs of its own', () => {
  const faults = Array.from({ length: 1054 }, (_, at): SimFault => {
    const change = { asked: 'leader', member: 'leader', evenSmall: true, deletedAfterMs: 50 } as const
    return { at, kind: 'replace', ...change }
  })
  expect(runSchedule({ ...calm({ ms: 2000 }), ops: [], faults }).violation).toBeUndefined()
})
