// The space-time diagram: which points happen before which, and what is drawn on which line.

import { describe, expect, it } from 'vitest'
import type {
  DiagramEventView,
  DiagramMessageView,
  DiagramStateView,
} from '../../../jepsen-lite/lab/fold-views.ts'
import type { OperationView } from '../../../jepsen-lite/lab/view.ts'
import {
  coneOf,
  type DiagramItem,
  diagramOf,
  labelledEvents,
  stateSpans,
} from '../../../web/src/lab/diagram-layout.ts'
import { type CausalPoint, HappensBefore } from '../../../web/src/lab/happens-before.ts'

const point = (id: string, at: number, rank = 0): CausalPoint => ({ id, line: id.charAt(0), at, rank })

describe('what happens before what', () => {
  // a1 ── a2 ───── a3      a2 sends to b2, c1 sends to b3.
  //          ╲
  // b1 ─────── b2 ── b3
  //                 ╱
  // c1 ──────────── c2
  const points = [
    ...[point('a1', 1), point('a2', 2), point('a3', 6), point('b1', 1), point('b2', 4), point('b3', 5)],
    ...[point('c1', 1), point('c2', 9)],
  ]
  const order = new HappensBefore(points.toReversed(), [
    { from: 'a2', to: 'b2' },
    { from: 'c1', to: 'b3' },
  ])

  it.each([
    ['a1', '', 'a2 a3 b2 b3'],
    ['a2', 'a1', 'a3 b2 b3'],
    ['a3', 'a1 a2', ''],
    ['b2', 'a1 a2 b1', 'b3'],
    ['b3', 'a1 a2 b1 b2 c1', ''],
    ['c1', '', 'b3 c2'],
    ['c2', 'c1', ''],
    ['unknown', '', ''],
  ])('%s has the past %j and the future %j', (id, past, future) => {
    expect([...order.past(id)].sort().join(' ')).toBe(past)
    expect([...order.future(id)].sort().join(' ')).toBe(future)
  })

  it('at one moment, what arrives is before what is sent', () => {
    const atOnce = new HappensBefore(
      [point('a sent', 1, 2), point('a arrived', 1, 0), point('a event', 1, 1)],
      [],
    )
    expect([...atOnce.past('a sent')].sort()).toEqual(['a arrived', 'a event'])
    expect([...atOnce.future('a sent')]).toEqual([])
  })

  it('a message from a line that is not shown connects nothing', () => {
    expect([...new HappensBefore([point('a1', 1)], [{ from: 'x', to: 'a1' }]).past('a1')]).toEqual([])
  })
})

const message = (id: string, from: string, to: string, sentAt: number, end: DiagramMessageView['end']) => ({
  ...{ id, from, to, number: 1, type: 'append', term: 2, label: 'entry 3', sentAt, endsAt: sentAt + 20, end },
})
const committed: DiagramEventView = {
  ...{
    id: 'commit',
    at: 145,
    node: 'n1',
    kind: 'committed',
    label: 'commit 3',
    text: 'Entry 3 is committed.',
  },
}
const put: OperationView = {
  ...{ id: 7, client: 'c1', node: 'n1', kind: 'write', text: 'put k0 = "a"', from: 100, until: 145 },
  ...{ outcome: 'ok', answer: '@2' },
}
const nodes = [{ name: 'n1' }, { name: 'n2' }, { name: 'n3' }]
/** A write: n1 sends it to both others, n2 accepts, and what it sends to n3 is lost. */
const write = {
  messages: [
    message('to n2', 'n1', 'n2', 100, 'arrived'),
    message('to n3', 'n1', 'n3', 100, 'lost'),
    message('from n2', 'n2', 'n1', 125, 'arrived'),
    message('old', 'n3', 'n2', 110, 'arrived'),
  ],
  events: [committed],
}
const itemsOf = (operations: readonly OperationView[] = [put], since = 0): readonly DiagramItem[] =>
  diagramOf(write, operations, nodes, since).items

describe('the diagram', () => {
  it('has a line for each node and each client', () => {
    const { lines, height } = diagramOf(write, [put], nodes, 0)
    expect(lines.map(({ name, kind }) => `${name} ${kind}`)).toEqual([
      'n1 node',
      'n2 node',
      'n3 node',
      'c1 client',
    ])
    expect(lines.every(({ y }) => y > 0 && y < height)).toBe(true)
  })

  it('has items by time, in words', () => {
    expect(itemsOf().map(({ text }) => text)).toEqual([
      '0.100 s: c1 asks n1: put k0 = "a"',
      'append, entry 3, from n1 to n2, term 2: sent 0.100 s, arrived 0.120 s',
      'append, entry 3, from n1 to n3, term 2: sent 0.100 s, lost 0.120 s',
      'append, entry 3, from n3 to n2, term 2: sent 0.110 s, arrived 0.130 s',
      'append, entry 3, from n2 to n1, term 2: sent 0.125 s, arrived 0.145 s',
      '0.145 s: Entry 3 is committed.',
      '0.145 s: applied: put k0 = "a", @2',
    ])
  })

  it('leaves out what ended before its window, and nodes that are not shown', () => {
    expect(itemsOf([put], 121).map(({ id }) => id)).toEqual(['old', 'from n2', 'commit', 'answer 7'])
    const { items } = diagramOf(write, [], [{ name: 'n1' }, { name: 'n2' }], 0)
    expect(items.map(({ id }) => id)).toEqual(['to n2', 'from n2', 'commit'])
  })

  it('has no answer of a node that a client has not received', () => {
    const at = (operation: OperationView) => itemsOf([operation]).find(({ id }) => id === 'answer 7')
    expect(at(put)).toMatchObject({ from: { line: 'n1' }, to: { line: 'c1' } })
    expect(at({ ...put, outcome: 'unknown' })).toMatchObject({ from: { line: 'c1' }, to: undefined })
    expect(at({ ...put, until: undefined })).toBeUndefined()
  })
})

describe('what is picked', () => {
  const relations = (id: string) => {
    const items = itemsOf()
    const cone = coneOf(items, id) ?? expect.fail()
    return items.map((item) => `${item.id}: ${cone.relationOf(item)}`)
  }

  it('has its past and its future, through messages', () => {
    expect(relations('to n2')).toEqual([
      'call 7: before',
      'to n2: picked',
      'to n3: concurrent',
      'old: concurrent',
      'from n2: after',
      'commit: after',
      'answer 7: after',
    ])
    expect(relations('answer 7').filter((relation) => !relation.endsWith('before'))).toEqual([
      'to n3: concurrent',
      'old: concurrent',
      'answer 7: picked',
    ])
  })

  it('has no future if it is a message that was lost', () => {
    const cone = coneOf(itemsOf(), 'to n3')
    expect(cone).toMatchObject({ before: 1, after: 0 })
    expect([...(cone?.futureFrom ?? [])]).toEqual([])
  })

  it('is on each line before and after certain moments', () => {
    const { pastUntil, futureFrom } = coneOf(itemsOf(), 'to n2') ?? expect.fail()
    expect(Object.fromEntries(pastUntil)).toEqual({ n1: 100, c1: 100 })
    expect(Object.fromEntries(futureFrom)).toEqual({ n2: 120, n1: 145, c1: 145 })
  })

  it('may be gone', () => {
    expect(coneOf(itemsOf(), 'gone')).toBeUndefined()
    expect(coneOf(itemsOf(), undefined)).toBeUndefined()
  })
})

it('states last until the next state of their node, or until now', () => {
  const states: DiagramStateView[] = [
    { node: 'n1', at: 10, state: 'leader' },
    { node: 'n2', at: 20, state: 'follower' },
    { node: 'n1', at: 30, state: 'down' },
  ]
  expect(stateSpans({ states }, 50)).toEqual([
    { node: 'n1', state: 'leader', from: 10, to: 30 },
    { node: 'n2', state: 'follower', from: 20, to: 50 },
    { node: 'n1', state: 'down', from: 30, to: 50 },
  ])
})

it('labels do not cover each other', () => {
  const events = [100, 120, 300].map((at, place) => ({ ...committed, at, id: `e${place}` }))
  const { items } = diagramOf({ messages: [], events }, [], nodes, 0)
  expect([...labelledEvents(items, 1).keys()]).toEqual(['e0', 'e2'])
  expect([...labelledEvents(items, 4).keys()]).toEqual(['e0', 'e1', 'e2'])
})
