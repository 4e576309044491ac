// Parts of a schedule that wait for a trigger: each trigger is noticed, and what waits for it happens then and as often
// as it says.

import { expect, test } from 'vitest'
import { allPlaces, dies, noPlaces, plainly } from '../../../jepsen-lite/sim/faults/fault-builders.ts'
import type { SimFault } from '../../../jepsen-lite/sim/faults/fault-kinds.ts'
import { TRIGGERS, type Trigger } from '../../../jepsen-lite/sim/faults/trigger-wait.ts'
import { runSchedule, type Schedule } from '../../../jepsen-lite/sim/index.ts'
import { SCHEDULE_VERSION } from '../../../jepsen-lite/sim/schedule/schedule.ts'
import { calmConfig } from './calm-config.ts'
import { runFaults } from './run-faults.ts'

/** Faults strike when the cluster has a leader, and early enough for what follows from them. */
const STRIKES_MS = 2500
const WRITES_END_MS = 6000

/** Five nodes that nothing happens to, under a steady load of writes, and a few reads, at each of them. */
function calm(faults: readonly SimFault[], ms = WRITES_END_MS): Schedule {
  return {
    version: SCHEDULE_VERSION,
    seed: 1,
    config: calmConfig({ nodes: 5, ms, clients: 10, keys: 4 }),
    ops: Array.from({ length: 250 }, (_, at) => ({
      ...{ at: 1000 + 20 * at, kind: at % 8 === 7 ? 'get' : 'put', client: at % 10, node: at % 5 },
      ...{ key: at % 4, x: 4 * at },
    })),
    faults,
  }
}

interface Strike {
  readonly kind: string
  readonly atMs: number
  readonly node: string
  readonly when: Trigger | undefined
}

/** The injections of faults of these kinds: when, at which machine, and for which trigger each had waited. */
function strikes(schedule: Schedule, ...kinds: readonly string[]): readonly Strike[] {
  const seen: Strike[] = []
  const { violation } = runFaults(schedule, ({ atMs, event }) => {
    if (event.kind !== 'fault' || !kinds.includes(event.fault.kind)) return
    const { fault, nodes } = event
    seen.push({ kind: fault.kind, atMs, node: nodes[0] ?? '', when: fault.when })
  })
  expect(violation).toBeUndefined()
  return seen
}

const cutOff: SimFault = { at: STRIKES_MS, kind: 'isolate', target: 'leader', ...plainly(2000) }
const breaks = { at: 2000, kind: 'break', target: 0 } as const
const breaksStreams = { at: 2000, kind: 'break-streams', target: 'subject' } as const

const wiped: SimFault = { at: STRIKES_MS, kind: 'wipe', target: 1 }
const dead: SimFault = { at: STRIKES_MS, ...dies, target: 1, ms: 500 }

const removed: SimFault = { at: STRIKES_MS, kind: 'remove', asked: 2, member: 1, evenSmall: true }

/** The cause of each trigger. */
const causes: Readonly<Record<Trigger, readonly SimFault[]>> = {
  elected: [cutOff],
  deposed: [cutOff],
  candidate: [cutOff],
  voted: [cutOff],
  truncated: [cutOff],
  'hands-over': [{ at: STRIKES_MS, kind: 'transfer', target: 'leader' }],
  ahead: [{ at: STRIKES_MS, kind: 'stall-disk', target: 0, ms: 400 }],
  reconfigured: [{ at: STRIKES_MS, kind: 'leases', target: 'leader', on: true, durationMs: 250 }],
  joint: [removed],
  left: [removed],
  'let-go': [removed],
  offered: [wiped],
  staged: [wiped],
  installed: [wiped],
  'sends-snapshot': [wiped],
  superseded: [cutOff],
  leaderless: [{ at: STRIKES_MS, ...dies, target: 'leader', ms: 2000 }],
  'pre-candidate': [cutOff],
  'applied-late': [{ at: STRIKES_MS, kind: 'slow-apply', target: 1, entryMs: 30, ms: 500 }],
  connected: [dead],
  disconnected: [dead],
  died: [dead],
  opening: [dead],
  started: [dead],
  stopped: [{ at: STRIKES_MS, kind: 'pause', target: 1, ms: 500 }],
  committed: [],
  compacted: [],
  answered: [],
  forwarded: [],
  'read-asked': [],
}

// A follower whose disk is a little slower may be ahead of it without a cause.
const isCaused = (when: Trigger): boolean => causes[when].length > 0 && when !== 'ahead'
const waitingFor = (when: Trigger): SimFault => ({ ...breaksStreams, when })

/** The triggers with the same cause wait in one schedule. */
const together = Map.groupBy(TRIGGERS, (when) => causes[when][0])

test.each([...together])('faults can wait for triggers with the cause %o', (cause, triggers) => {
  const seen = strikes(
    calm([...triggers.map(waitingFor), ...(cause === undefined ? [] : [cause])]),
    'break-streams',
  )
  for (const when of triggers) {
    const faults = seen.filter((strike) => strike.when === when)
    expect(faults, when).toHaveLength(1)
    expect(faults[0]?.atMs, when).toBeGreaterThanOrEqual(isCaused(when) ? STRIKES_MS : 2000)
    expect(faults[0]?.atMs, when).toBeLessThan(WRITES_END_MS)
  }
})

test('without what brings it about no trigger is noticed', () => {
  const caused = TRIGGERS.filter(isCaused)
  expect(caused.length).toBeGreaterThan(TRIGGERS.length / 2)
  expect(strikes(calm(caused.map(waitingFor)), 'break-streams')).toEqual([])
})

test('what waits happens so many ms after the trigger, and so many times', () => {
  const elected = { ...breaks, when: 'elected' } as const
  const often: SimFault = { ...breaks, when: 'answered', times: 3 }
  const seen = Map.groupBy(
    strikes(calm([cutOff, elected, { ...elected, after: 70 }, often]), 'break'),
    (strike) => strike.when,
  )
  const [{ atMs } = { atMs: 0 }] = seen.get('elected') ?? []
  expect(seen.get('elected')?.map((strike) => strike.atMs)).toEqual([atMs, atMs + 70])
  expect(seen.get('answered')).toHaveLength(3)
})

test('a trigger that is of no use does not count', () => {
  // Writes are answered all the time, and for a while somebody leads who has been followed.
  const atStale: SimFault = { ...breaksStreams, when: 'answered', target: 'stale-leader', times: 2 }
  const byKind = Map.groupBy(strikes(calm([atStale, cutOff]), 'isolate', 'break-streams'), ({ kind }) => kind)
  const [leader] = byKind.get('isolate') ?? []
  expect(byKind.get('break-streams')?.map(({ node }) => node)).toEqual([leader?.node, leader?.node])
  expect(strikes(calm([atStale]), 'break-streams')).toEqual([])
})

test('a cut ends with the trigger that it lasts until', () => {
  const cut: SimFault = {
    ...{ at: STRIKES_MS, kind: 'half-deaf', target: 'leader', unheardBy: allPlaces, deafTo: allPlaces },
    ...plainly(60_000),
  }
  const followsAgain = (fault: SimFault): boolean => {
    let isBack = false
    let old: string | undefined
    const { violation } = runFaults(calm([fault]), ({ atMs, node, event }) => {
      if (event.kind === 'fault' && event.fault.kind === 'half-deaf') old ??= event.nodes[0]
      isBack ||=
        old !== undefined &&
        node === old &&
        atMs < WRITES_END_MS &&
        event.kind === 'role' &&
        /message from the leader of term/.test(event.why)
    })
    expect([violation, old]).toEqual([undefined, expect.any(String)])
    return isBack
  }
  expect(followsAgain(cut)).toBe(false)
  expect(followsAgain({ ...cut, until: 'deposed' })).toBe(true)
})

test('bare majorities shift: each shares members with the one before it', () => {
  const turns = Array.from({ length: 4 }, (_, turn) => ({
    ...({ at: 3000 + 1500 * turn, kind: 'shifting-majority', target: turn % 3, without: 'leader' } as const),
    ...{ fresh: false, avoid: noPlaces, ...plainly(20_000) },
  }))
  const schedule = calm(turns, 8000)
  const majorities: string[][] = []
  // With the end of the faults, when the last one is counted.
  const { violation, ok, faults } = runSchedule(schedule, ({ event, cluster }) => {
    if (event.kind !== 'fault' || event.fault.kind !== 'shifting-majority') return
    const { machines, network, time } = cluster
    time.push(time.now + 1, 1, undefined, () => {
      const processes = machines.flatMap(({ process }) => (process === undefined ? [] : [process]))
      const groups = processes.map((one) =>
        processes.filter((other) => one === other || !network.isCut(one, other)).map(({ name }) => name),
      )
      majorities.push(groups.find(({ length }) => length === 3) ?? [])
    })
  })
  expect(violation).toBeUndefined()
  expect(ok).toBeGreaterThan(100)
  expect(faults['shifting-majority']).toBe(4)
  expect(majorities).toHaveLength(4)
  for (const [at, majority] of majorities.entries()) {
    expect(majority).toHaveLength(3)
    if (at > 0) expect(majority.filter((name) => majorities[at - 1]?.includes(name)).length).toBeLessThan(3)
  }
})
