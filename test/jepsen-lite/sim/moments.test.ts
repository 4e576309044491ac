// Parts of a schedule that wait for a moment: each moment is noticed, and what waits for it happens then and as often as it says.

import { expect, test } from 'vitest'
import { generate, runSchedule, type Schedule } from '../../../jepsen-lite/sim/index.ts'
import {
  type Fault,
  LEADER,
  MOMENTS,
  type Moment,
  STALE,
  SUBJECT,
} from '../../../jepsen-lite/sim/schedule.ts'

const WRITES_END_MS = 9000
const ALL = 127 << 13

/** Five nodes that nothing happens to, under a steady load of writes at each of them. */
function calm(faults: readonly Partial<Fault>[]): Schedule {
  const { config } = generate(1)
  return {
    version: 1,
    seed: 1,
    config: {
      ...{ ...config, nodes: 5, spares: 0, grow: 0, ms: 12_000, clients: 10, keys: 4, clocks: 0, leases: 0 },
      ...{ heartbeatMs: 50, electionMinMs: 500, electionMaxMs: 1000, commitDelayMs: 0, timeoutMs: 1000 },
      ...{ delayMs: 0.2, jitterMs: 0.3, tail: 0, harsh: 0, lost: 0, doubled: 0, reordered: 0, silenceMs: 0 },
      ...{ writeMs: 1, writeJitterMs: 1, readMs: 0.1 },
    },
    ops: Array.from({ length: 400 }, (_, at) => ({
      ...({ at: 1000 + 20 * at, kind: 'put', client: at % 10, node: at % 5, key: at % 4, x: at } as const),
    })),
    faults: faults.map((fault) => ({ at: 3000, kind: 'break', a: 0, b: 0, ms: 0, x: 0, ...fault })),
  }
}

/** When each fault of a kind struck, and whom. */
function strikes(schedule: Schedule, kind: string): { readonly atMs: number; readonly node: string }[] {
  const seen: { readonly atMs: number; readonly node: string }[] = []
  const { violation } = runSchedule(schedule, ({ atMs, what }) => {
    const node = new RegExp(`^fault ${kind}: (n\\d)`).exec(what)?.[1]
    if (node !== undefined) seen.push({ atMs, node })
  })
  expect(violation).toBeUndefined()
  return seen
}

const cutOff: Partial<Fault> = { at: 4000, kind: 'isolate', a: LEADER, ms: 3000, x: 0 }

/** What brings each of them about. */
const causes: Readonly<Record<Moment, readonly Partial<Fault>[]>> = {
  elected: [cutOff],
  deposed: [cutOff],
  candidate: [cutOff],
  voted: [cutOff],
  truncated: [cutOff],
  'hands-over': [{ at: 4000, kind: 'transfer', a: LEADER }],
  ahead: [{ at: 4000, kind: 'slow-disk', a: 0, ms: 400, x: 0 }],
  reconfigured: [{ at: 4000, kind: 'leases', a: LEADER, x: 1 }],
  joint: [{ at: 4000, kind: 'remove', a: 1, b: 2 }],
  offered: [{ at: 4000, kind: 'wipe', a: 1 }],
  committed: [],
  answered: [],
}

test.each(MOMENTS)('%s is a moment that a fault can wait for', (when) => {
  const waiting: Partial<Fault> = { when, a: SUBJECT, kind: 'break-streams' }
  const cause = causes[when]
  const [first, ...others] = strikes(calm([waiting, ...cause]), 'break-streams')
  // A follower whose disk is a little slower may be ahead of it without a cause.
  const isCaused = cause.length > 0 && when !== 'ahead'
  expect(first?.atMs).toBeGreaterThanOrEqual(isCaused ? 4000 : 3000)
  expect(first?.atMs).toBeLessThan(WRITES_END_MS)
  expect(others).toEqual([])
  if (isCaused) expect(strikes(calm([waiting]), 'break-streams')).toEqual([])
})

test('what waits happens so many ms after the moment, and so many times', () => {
  const [{ atMs } = { atMs: 0 }] = strikes(calm([cutOff, { when: 'elected', kind: 'break' }]), 'break')
  const later = strikes(calm([cutOff, { when: 'elected', after: 70, kind: 'break' }]), 'break')
  expect(later.map((strike) => strike.atMs)).toEqual([atMs + 70])
  expect(strikes(calm([{ when: 'answered', times: 3, kind: 'break' }]), 'break')).toHaveLength(3)
})

test('a moment that is of no use does not count', () => {
  // Writes are answered all the time, and for a while somebody leads who has been followed.
  const atStale: Partial<Fault> = { when: 'answered', a: STALE, times: 2, kind: 'break-streams' }
  const leaders = strikes(calm([cutOff]), 'isolate').map(({ node }) => node)
  const struck = strikes(calm([atStale, cutOff]), 'break-streams')
  expect(struck.map(({ node }) => node)).toEqual([...leaders, ...leaders])
  expect(strikes(calm([atStale]), 'break-streams')).toEqual([])
})

test('a cut ends with the moment that it lasts until', () => {
  const cut: Partial<Fault> = { at: 4000, kind: 'half-deaf', a: LEADER, ms: 60_000, x: 3 | ALL }
  const followsAgain = (fault: Partial<Fault>): boolean => {
    let isBack = false
    const [old] = strikes(calm([fault]), 'half-deaf')
    runSchedule(calm([fault]), ({ atMs, node, what }) => {
      isBack ||=
        node === old?.node && atMs < WRITES_END_MS && /heard the leader of term/.test(what) && atMs > 4000
    })
    return isBack
  }
  expect(followsAgain(cut)).toBe(false)
  expect(followsAgain({ ...cut, until: 'deposed' })).toBe(true)
})

test('each witness is part of two bare majorities, one after the other', () => {
  const turns = Array.from({ length: 4 }, (_, turn) => ({
    ...({ at: 3000 + 1500 * turn, kind: 'witness', a: turn % 3, b: LEADER, ms: 20_000, x: 0 } as const),
  }))
  const schedule = calm(turns)
  const majorities: string[][] = []
  const { violation, ok, faults } = runSchedule(schedule, ({ what, cluster }) => {
    if (!what.startsWith('fault witness')) return
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
  expect(faults.witness).toBe(4)
  expect(majorities).toHaveLength(4)
  for (const [at, majority] of majorities.entries()) {
    expect(majority).toHaveLength(3)
    if (at > 0) expect(majority.filter((name) => majorities[at - 1]?.includes(name)).length).toBeLessThan(3)
  }
})
