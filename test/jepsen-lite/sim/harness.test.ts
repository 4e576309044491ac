// The simulator's own defects must not pass for health: an injector that does nothing, a clock that stands still, a rule that is not looked at.

import { expect, test } from 'vitest'
import { Recorder } from '../../../jepsen-lite/history.ts'
import { Cluster } from '../../../jepsen-lite/sim/cluster.ts'
import { generate, runSchedule, type Schedule } from '../../../jepsen-lite/sim/index.ts'
import { FAULT_KINDS, type Fault } from '../../../jepsen-lite/sim/schedule.ts'
import { IO } from '../../../jepsen-lite/sim/time.ts'

/** A calm cluster of five on equal clocks. */
function calm(change: Partial<Schedule['config']> = {}): Schedule {
  const { config } = generate(1)
  return {
    version: 1,
    seed: 1,
    config: {
      ...config,
      ...{
        nodes: 5,
        spares: 1,
        grow: 0,
        ms: 12_000,
        heartbeatMs: 50,
        electionMinMs: 500,
        electionMaxMs: 1000,
      },
      ...{
        delayMs: 0.2,
        jitterMs: 0.3,
        tail: 0,
        harsh: 1,
        lost: 0,
        doubled: 0,
        reordered: 0,
        silenceMs: 3000,
      },
      ...{ clocks: 0, leases: 0, restartMs: 100, writeMs: 1, writeJitterMs: 1, readMs: 0.1, timeoutMs: 2000 },
      ...change,
    },
    ops: Array.from({ length: 60 }, (_, at) => ({
      ...({ at: 500 + 190 * at, kind: 'put', client: at % 3, node: at % 5, key: at % 4, x: at } as const),
    })),
    faults: [],
  }
}

const LONG = 4000

/** Each kind, as strong as is needed for it to be felt. */
const felt: Record<string, readonly Partial<Fault>[]> = {
  'break-streams': [
    { kind: 'wipe', a: 3, at: 3000 },
    ...Array.from({ length: 200 }, (_, at) => ({ kind: 'break-streams', a: 3, at: 3001 + 2 * at }) as const),
  ],
  'bend-chunk': [
    { a: 3, at: 2999 },
    { kind: 'wipe', a: 3, at: 3000 },
  ],
  'fail-read': [
    { kind: 'crash', a: 3, ms: 100 },
    { a: 3, at: 5001 },
  ],
  demote: [{ a: 3, b: 1 }],
  promote: [
    { kind: 'demote', a: 3, b: 1, at: 3000 },
    { a: 3, b: 1, at: 8000 },
  ],
  remove: [{ a: 3, b: 1 }],
  replace: [{ a: 3, b: 1 }],
  join: [{ a: 5 }],
  transfer: [{ a: 12, b: 3 }],
  leases: [{ a: 12, x: 1 }],
  partition: [{ x: 0b00011 }],
  'one-way': [{ a: 12, b: 2 }],
  flap: [{ a: 12, b: 2, x: 200 }],
  'slow-link': [{ a: 12, b: 2, x: 100 }],
  'crash-many': [{ x: 0 }],
  // The higher bits choose everybody.
  late: [{ x: 300 | (127 << 13) }],
  'half-deaf': [{ x: 1 | (127 << 13) }],
}

test.each(FAULT_KINDS)('%s takes effect and is counted', (kind) => {
  const list = felt[kind] ?? [{ a: 12, b: 2, x: 7 }]
  const faults = list.map((fault) => ({ at: 5000, kind, a: 12, b: 2, ms: LONG, x: 7, ...fault }))
  const { faults: counted, violation } = runSchedule({
    ...calm(kind === 'jump' ? { clocks: 2 } : {}),
    faults,
  })
  expect(violation).toBeUndefined()
  expect(counted[kind]).toBeGreaterThan(0)
})

test.each(FAULT_KINDS)('%s that nobody can feel is not counted', (kind) => {
  // Nothing is left to strike: all machines are down, and stay so until the end.
  const down: Fault = { at: 1000, kind: 'crash-many', a: 0, b: 0, ms: 30_000, x: 0 }
  const fault: Fault = { at: 2000, kind, a: 0, b: 1, ms: 100, x: 1 }
  const harmless = kind === 'bit-flip' || kind === 'jump' || kind === 'join'
  const { faults } = runSchedule({ ...calm({ spares: 0 }), faults: [down, fault], ops: [] })
  expect(faults[kind]).toBe(kind === 'crash-many' ? 1 : harmless ? faults[kind] : 0)
})

test('every clock moves on', () => {
  const { config } = calm()
  const cluster = clusterOf(config)
  cluster.runUntil(2000)
  const before = cluster.machines.map(({ clock }) => clock.at(cluster.time.now))
  cluster.runUntil(3000)
  const moved = cluster.machines.map(({ clock }, place) => clock.at(cluster.time.now) - (before[place] ?? 0))
  for (const ms of moved) expect(ms).toBeCloseTo(1000)
})

test('a node whose clock stands still is found', () => {
  // It leads, is cut off, and never notices that its time is over.
  const schedule = calm({ leases: 1 })
  const frozen = { at: 4000, kind: 'isolate', a: 12, b: 0, ms: 6000, x: 1 << 10 } as const
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

function clusterOf(config: Schedule['config']): Cluster {
  const cluster = new Cluster(
    1,
    config,
    (now) => new Recorder({ workload: 'kv', command: '' }, now, () => {}),
  )
  cluster.found()
  return cluster
}
