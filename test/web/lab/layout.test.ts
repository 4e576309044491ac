// Places of what the lab shows: nodes, messages and timers on the stage, entries in the grid, operations in lanes.

import { describe, expect, it } from 'vitest'
import type { MachineView, MessageView, OperationView } from '../../../jepsen-lite/lab/view.ts'
import { laneAxis, placeOn } from '../../../web/src/lab/lane-axis.ts'
import { viewOrder } from '../../../web/src/lab/lesson/view-order.ts'
import {
  beforeLogText,
  differsFrom,
  entryAt,
  entryState,
  followersAt,
  shownIndexes,
} from '../../../web/src/lab/log-cells.ts'
import { laneBars, outcomeText } from '../../../web/src/lab/operation-lanes.ts'
import { scrollDistance } from '../../../web/src/lab/panel-scroll.ts'
import {
  arcPath,
  laneBetween,
  nodePlace,
  pointOn,
  STAGE,
  shownNodes,
  timeLeft,
  travelled,
} from '../../../web/src/lab/ring-layout.ts'
import { load } from '../page-modules.ts'

const { stateText } = await load<{ stateText(node: MachineView): string }>('lab/node-states.ts')

const node: MachineView = {
  ...{ name: 'n1', state: 'running', role: 'follower', term: 2, vote: undefined, leader: undefined },
  ...{ member: 'voter', isRemoved: false, voters: ['n1', 'n2', 'n3'], votersOutgoing: [] },
  ...{
    election: undefined,
    clock: { aheadMs: 0, rate: 1 },
    durable: 0,
    commit: 0,
    applied: 0,
    firstIndex: 1,
    lastIndex: 0,
  },
  ...{ lastIncluded: undefined, log: [], progress: [] },
}
const message: MessageView = {
  ...{ from: 'n1', to: 'n2', number: 3, type: 'append', term: 2, label: '', sentAt: 100, arrivesAt: 140 },
  fate: undefined,
}

describe('the ring', () => {
  it.each([1, 2, 3, 4, 5, 6, 7])('has room for %i nodes with their words, apart from each other', (count) => {
    const places = Array.from({ length: count }, (_, at) => nodePlace(at, count))
    for (const { x, y } of places) {
      expect(x).toBeGreaterThan(45)
      expect(x).toBeLessThan(STAGE.width - 45)
      expect(y).toBeGreaterThan(65)
      expect(y).toBeLessThan(STAGE.height - 80)
    }
    const distances = places.flatMap((a, at) =>
      places.slice(at + 1).map((b) => Math.hypot(a.x - b.x, a.y - b.y)),
    )
    expect(Math.min(...distances, Infinity)).toBeGreaterThan(120)
  })

  it('leaves out machines that were never a part of the cluster', () => {
    const spare: MachineView = { ...node, name: 'n2', state: 'down', member: 'none' }
    const removed: MachineView = { ...spare, name: 'n3', lastIndex: 4 }
    const crashed: MachineView = { ...node, name: 'n4', state: 'down' }
    expect(shownNodes([node, spare, removed, crashed]).map(({ name }) => name)).toEqual(['n1', 'n3', 'n4'])
  })

  it('has a lane for each direction of a link, beside each other', () => {
    const [left, right] = [
      { x: 0, y: 0 },
      { x: 200, y: 0 },
    ]
    const there = laneBetween(left, right)
    const back = laneBetween(right, left)
    expect(there.from.y).toBe(-back.from.y)
    expect(there.from.x).toBe(back.to.x)
    expect(there.from.x).toBeGreaterThan(40)
    expect(pointOn(there, 0.5)).toEqual({ x: 100, y: there.from.y })
  })
})

it('a node that asks whether it would be elected does not ask for votes', () => {
  expect(stateText({ ...node, role: 'pre-candidate' })).toBe('asks first')
  expect(stateText({ ...node, role: 'candidate' })).toBe('candidate')
})

describe('a message', () => {
  it.each([
    [90, 0],
    [100, 0],
    [110, 0.25],
    [140, 1],
    [400, 1],
  ])('at %i ms has made %d of its way', (instant, part) => {
    expect(travelled(message, instant)).toBe(part)
  })

  it('without a way is at its end', () => {
    expect(travelled({ ...message, arrivesAt: 100 }, 100)).toBe(1)
  })
})

describe('the arc of a timer', () => {
  it('is the part of the timeout that is left', () => {
    const election = { from: 1000, until: 3000 }
    expect([500, 1000, 2500, 3000, 3100].map((instant) => timeLeft(election, instant))).toEqual([
      1, 1, 0.25, 0, 0,
    ])
  })

  it('begins at the top, and goes the long way over more than a half', () => {
    expect(arcPath(0.25, 10)).toBe('M0 -10A10 10 0 0 1 10 0')
    expect(arcPath(0.75, 10)).toBe('M0 -10A10 10 0 1 1 -10 0')
    expect(arcPath(1, 10)).not.toMatch(/ 0 -10$/)
  })
})

describe('the grid of logs', () => {
  it('has each state of an entry', () => {
    const known = { durable: 3, commit: 2, applied: 1 }
    expect([1, 2, 3, 4].map((index) => entryState(known, index))).toEqual([
      'applied',
      'committed',
      'durable',
      'received',
    ])
  })

  it('shows the newest indexes, and the next one', () => {
    expect(shownIndexes([node])).toEqual([1])
    expect(shownIndexes([node, { ...node, lastIndex: 3 }])).toEqual([1, 2, 3, 4])
    const many = shownIndexes([{ ...node, lastIndex: 100 }])
    expect([many.length, many.at(-1)]).toEqual([20, 101])
  })

  it('finds entries of a log that begins later', () => {
    const log = [4, 5].map((index) => ({ index, term: 2, label: `e${index}` }))
    expect(entryAt({ log }, 5)?.label).toBe('e5')
    expect(entryAt({ log }, 3)).toBeUndefined()
    expect(entryAt({ log: [] }, 1)).toBeUndefined()
  })

  it('says what is before the log', () => {
    const afterSnapshot = { firstIndex: 4, lastIncluded: { index: 3, term: 2, label: 'in the store' } }
    expect([1, 2, 3, 4].map((index) => beforeLogText(afterSnapshot, index))).toEqual([
      'not in the log: its effect is in the store',
      'not in the log: its effect is in the store',
      'not in the log: its effect is in the store; the log begins after it, and knows its term 2',
      undefined,
    ])
    expect(beforeLogText(node, 1)).toBeUndefined()
  })

  it('knows the entries that differ from the log of the leader', () => {
    const log = [1, 3].map((term, at) => ({ index: at + 1, term, label: '' }))
    const leader = { log, term: 3, lastIndex: 2 }
    expect(
      [
        [1, 1],
        [2, 2],
        [3, 2],
        [2, 3],
        [4, 3],
      ].map(([index = 0, term = 0]) => differsFrom({ index, term }, leader)),
    ).toEqual([false, true, true, false, false])
    expect(differsFrom({ index: 9, term: 1 }, undefined)).toBe(false)
  })

  it('has the followers at what the leader knows of them', () => {
    const progress = [
      { name: 'n2', match: 3, next: 4 },
      { name: 'n3', match: 1, next: 4 },
    ]
    expect(followersAt({ progress }, 'match', 3)).toEqual(['n2'])
    expect(followersAt({ progress }, 'next', 4)).toEqual(['n2', 'n3'])
  })
})

describe('the lanes of clients', () => {
  const operation: OperationView = {
    ...{ id: 1, client: 'c1', node: 'n1', kind: 'write', text: 'put k0 = "c1.0"', from: 4000 },
    ...{ until: 4100, outcome: 'ok', answer: '' },
  }

  const lasting = (from: number, until: number | undefined) => ({ ...operation, from, until })

  it('show time without operations shorter than it is', () => {
    const axis = laneAxis([lasting(1000, 1100), lasting(1150, 1200), lasting(5000, 5100)], 5100, 334)
    expect(axis.map(({ from, to }) => [from, to])).toEqual([
      [980, 1220],
      [4980, 5100],
    ])
    // 300 pixels for 360 ms, and 34 for the time between them.
    expect([980, 1220, 3100, 4980, 5100].map((time) => placeOn(axis, time))).toEqual([0, 200, 217, 234, 334])
    expect([500, 6000].map((time) => placeOn(axis, time))).toEqual([0, 334])
  })

  it('have each operation whole, however others begin and end during it', () => {
    const [width, now] = [1000, 2200]
    for (const others of [
      [],
      [[1100, 1200]],
      [
        [1100, 1200],
        [1050, 1950],
      ],
      [
        [1000, 1010],
        [1300, 2000],
      ],
    ]) {
      const all = [lasting(1000, 2000), ...others.map(([from = 0, until = 0]) => lasting(from, until))]
      const axis = laneAxis(all, now, width)
      expect(axis).toMatchObject([{ from: 980, to: 2020, x1: 0 }, { from: now }])
      const scale = (placeOn(axis, 2000) - placeOn(axis, 1000)) / 1000
      for (const { from, until } of all)
        expect(placeOn(axis, until ?? now) - placeOn(axis, from)).toBeCloseTo(((until ?? now) - from) * scale)
    }
  })

  it('end now, and begin early enough for the newest operations', () => {
    const ends = (from: number, until: number | undefined, now: number) =>
      laneAxis([lasting(1000, 2500), lasting(from, until)], now, 1000).map(({ from, to }) => [from, to])
    expect(ends(4000, 4100, 9000)).toEqual([
      [980, 2520],
      [3980, 4120],
      [9000, 9000],
    ])
    // It waits for so long that it is alone.
    expect(ends(4000, undefined, 9000)).toEqual([[3980, 9000]])
    expect(laneAxis([], 300, 1000)).toMatchObject([{ from: 300, to: 300 }])
  })

  it('have room for the operations, however many are apart', () => {
    const many = Array.from({ length: 40 }, (_, at) => lasting(at * 1000, at * 1000 + 10))
    const axis = laneAxis(many, 39_020, 340)
    expect(axis).toHaveLength(5)
    expect(axis.at(-1)?.x2).toBeLessThanOrEqual(340)
  })

  it('have bars until the answer, or until now', () => {
    const axis = [{ from: 3000, to: 5000, x1: 0, x2: 1000 }]
    const bars = (...operations: OperationView[]) =>
      laneBars(operations, axis, 5000).map(({ from, to }) => [from, to])
    expect(bars(lasting(4000, 4100))).toEqual([[500, 550]])
    expect(bars(lasting(4000, undefined))).toEqual([[500, 1000]])
    expect(bars(lasting(2000, 4000))).toEqual([[0, 500]])
    expect(bars(lasting(2000, 2900), lasting(4000, 4000))).toEqual([[500, 508]])
  })

  it('have the words of an operation in its bar, behind it, or nowhere', () => {
    const axis = [{ from: 4000, to: 5000, x1: 0, x2: 1000 }]
    const put = (from: number, until: number, client = 'c1') => ({ ...lasting(from, until), client })
    const labels = (...operations: OperationView[]) =>
      laneBars(operations, axis, 5000).map(({ label }) => label?.isInside)
    expect(labels(put(4000, 4200))).toEqual([true])
    expect(labels(put(4000, 4050))).toEqual([false])
    expect(labels(put(4000, 4050), put(4100, 4110), put(4050, 4060, 'c2'))).toEqual([undefined, false, false])
    expect(labels(put(4900, 4990))).toEqual([undefined])
  })

  it('have a word for each outcome', () => {
    const texts = (['waits', 'ok', 'failed', 'unknown'] as const).map((outcome) =>
      (['write', 'read'] as const).map((kind) => outcomeText({ kind, outcome })),
    )
    expect(texts).toEqual([
      ['waits for an answer', 'waits for an answer'],
      ['applied', 'answered'],
      ['certainly not applied', 'not answered'],
      ['unknown whether it was applied', 'not answered'],
    ])
  })
})

it('the views of a step come first, in its order', () => {
  expect(viewOrder(['clients', 'store'])).toEqual(['clients', 'store', 'logs', 'diagram'])
  expect(viewOrder([])).toEqual(['logs', 'clients', 'store', 'diagram'])
})

it('the page scrolls to a panel below the fold, and no further than to what was picked', () => {
  const view = { top: 100, bottom: 700 }
  expect(scrollDistance({ top: 300, bottom: 900 }, view, 200)).toBe(0)
  expect(scrollDistance({ top: 690, bottom: 790 }, view, 400)).toBe(90)
  expect(scrollDistance({ top: 690, bottom: 1500 }, view, 400)).toBe(300)
  expect(scrollDistance({ top: 690, bottom: 1500 }, view, 50)).toBe(0)
  expect(scrollDistance({ top: 690, bottom: 1500 }, view)).toBe(590)
})
