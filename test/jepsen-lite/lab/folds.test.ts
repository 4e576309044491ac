// The parts of views for the folds of the page: stores, the space-time diagram, and the verdict on the answers.

import { describe, expect, it, test } from 'vitest'
import { DiagramRecord } from '../../../jepsen-lite/lab/diagram-record.ts'
import { Lab, labSchedule, PLAIN_X, parseLink } from '../../../jepsen-lite/lab/index.ts'
import { LiveVerdict } from '../../../jepsen-lite/lab/live-verdict.ts'
import { generate } from '../../../jepsen-lite/sim/index.ts'
import type { HistoryEvent } from '../../../jepsen-lite/workload/history.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'

const OLD_LEADER = 4
const cutOff = {
  kind: 'isolate',
  target: OLD_LEADER,
  ms: 6000,
  stalls: true,
  refuses: false,
  breaks: false,
} as const

function ask(
  lab: Lab,
  kind: 'put' | 'get' | 'stale',
  client: number,
  node: number | 'leader',
  key = 0,
): void {
  lab.add({ kind, client, node, key, x: PLAIN_X })
}

/** n5 leads, is cut off, and n4 is elected and has another value of k0. */
function partitioned(): Lab {
  const lab = new Lab(labSchedule(7))
  lab.runTo(4000)
  ask(lab, 'put', 0, 'leader')
  lab.runTo(4500)
  lab.add(cutOff)
  lab.runTo(8500)
  ask(lab, 'put', 1, 'leader')
  lab.runTo(9000)
  return lab
}

describe('the stores', () => {
  it('have the rows of each node, and mark those that are behind another one', () => {
    const { stores } = partitioned().view(['stores'])
    expect(stores).toMatchObject({ keys: ['k0'], more: 0, newest: [{ value: 'c2.0', modRevision: 3 }] })
    const cells = stores?.nodes
      .slice(0, 5)
      .map(({ name, revision, cells: [cell] }) => ({ name, revision, ...cell }))
    const newest = { revision: 3, isBehind: false, row: { value: 'c2.0', modRevision: 3, lease: undefined } }
    expect(cells).toEqual([
      { name: 'n1', ...newest },
      { name: 'n2', ...newest },
      { name: 'n3', ...newest },
      { name: 'n4', ...newest },
      { name: 'n5', revision: 2, isBehind: true, row: { value: 'c1.0', modRevision: 2, lease: undefined } },
    ])
  })

  it('have the rows of the node that has applied most, wherever it stands', () => {
    const lab = new Lab(labSchedule(7, { nodes: 3, spares: 0 }))
    lab.runTo(4000)
    lab.add({ ...cutOff, target: 0 })
    ask(lab, 'put', 0, 2)
    lab.runTo(4500)
    const { stores } = lab.view(['stores'])
    expect(stores?.newest).toMatchObject([{ value: 'c1.0' }])
    expect(stores?.nodes.map(({ cells: [cell] }) => cell?.isBehind)).toEqual([true, false, false])
  })

  it('show a key that one node has deleted, and another one has', () => {
    const lab = partitioned()
    lab.add({ kind: 'del', client: 0, node: 'leader', key: 0, x: PLAIN_X })
    lab.runTo(9400)
    expect(lab.view().nodes[3]?.log.at(-1)?.label).toBe('delete k0')
    const { stores } = lab.view(['stores'])
    expect(stores?.newest).toEqual([undefined])
    expect(stores?.nodes.map(({ cells: [cell] }) => cell?.row?.value).slice(3, 5)).toEqual([
      undefined,
      'c1.0',
    ])
    expect(stores?.nodes.map(({ cells: [cell] }) => cell?.isBehind).slice(3, 5)).toEqual([false, true])
  })

  it('say how many keys there are beyond those that they show', () => {
    const lab = new Lab(labSchedule(7, { keys: 20 }))
    lab.runTo(4000)
    for (let key = 0; key < 15; key++) {
      ask(lab, 'put', 0, 'leader', key)
      lab.runTo(lab.now + 200)
    }
    const shown = (): (number | undefined)[] => {
      const { stores } = lab.view(['stores'])
      return [stores?.keys.length, stores?.more]
    }
    expect(shown()).toEqual([12, 3])
    for (const [key, count] of [12, 11].entries()) {
      lab.add({ kind: 'del', client: 0, node: 'leader', key, x: PLAIN_X })
      lab.runTo(lab.now + 500)
      expect(shown()).toEqual([12, count - 10])
    }
  })

  it('are left out of views that do not request them', () => {
    expect(partitioned().view()).toMatchObject({ stores: undefined, diagram: undefined })
  })
})

describe('the diagram', () => {
  it('has each message with its end', () => {
    const lab = new Lab(labSchedule(7))
    lab.runTo(4000)
    ask(lab, 'put', 0, 'leader')
    lab.runTo(4030)
    const [append] = lab.view().messages.filter(({ type }) => type === 'append')
    const { from, to, number } = append ?? expect.fail()
    const place = (name: string): number => Number(name.slice(1)) - 1
    lab.add({ kind: 'message', from: place(from), to: place(to), number, fate: 'lost', delayMs: 1 })
    const endOf = (): unknown => {
      const all = lab.view(['diagram']).diagram?.messages ?? []
      return all.find((message) => message.number === number && message.from === from && message.to === to)
    }
    expect(endOf()).toMatchObject({ end: 'in flight', type: 'append', endsAt: append?.arrivesAt })
    lab.runTo(4100)
    expect(endOf()).toMatchObject({ end: 'lost', endsAt: append?.arrivesAt })
    const others = lab.view(['diagram']).diagram?.messages.filter(({ type }) => type === 'append') ?? []
    expect(others.map(({ end }) => end).sort()).toEqual(['arrived', 'arrived', 'arrived', 'lost'])
  })

  it('has the end of each copy of a message, and tells the copies apart', () => {
    const lab = new Lab(labSchedule(7, { doubled: 1000 }))
    lab.runTo(4000)
    ask(lab, 'put', 0, 'leader')
    lab.runTo(5500)
    const messages = lab.view(['diagram']).diagram?.messages ?? []
    const appends = messages.filter(({ type, label }) => type === 'append' && label === 'entry 3')
    expect(appends.map(({ end }) => end)).toEqual(Array.from({ length: 8 }, () => 'arrived'))
    expect(new Set(messages.map(({ id }) => id)).size).toBe(messages.length)
  })

  it('has a message that is on its way for longer than it shows', () => {
    const lab = new Lab(labSchedule(7))
    lab.runTo(4000)
    lab.add({ kind: 'slow-link', from: 'leader', delayMs: 5000, ms: 200 })
    ask(lab, 'put', 0, 'leader')
    lab.runTo(8000)
    const appends = lab.view(['diagram']).diagram?.messages.filter(({ sentAt }) => sentAt < 4200) ?? []
    expect(appends).toContainEqual(
      expect.objectContaining({ type: 'append', label: 'entry 3', end: 'in flight' }),
    )
  })

  it('has heartbeats only if they are requested', () => {
    const lab = new Lab(labSchedule(7))
    lab.runTo(6000)
    const types = (...parts: ('diagram' | 'heartbeats')[]) =>
      new Set(lab.view(parts).diagram?.messages.map(({ type }) => type))
    expect(types('diagram')).toEqual(new Set())
    expect(types('diagram', 'heartbeats')).toEqual(new Set(['heartbeat', 'heartbeat-answer']))
  })

  it('has what happened on the nodes, and their states', () => {
    const lab = new Lab(labSchedule(7))
    lab.runTo(4000)
    ask(lab, 'put', 0, 'leader')
    lab.runTo(4100)
    lab.add({
      kind: 'crash',
      target: OLD_LEADER,
      point: 'now',
      skip: 0,
      inFlight: 'lost',
      silent: false,
      ms: 300,
    })
    lab.runTo(4600)
    const { events = [], states = [] } = lab.view(['diagram']).diagram ?? {}
    const kinds = events.filter(({ node }) => node === 'n5').map(({ kind }) => kind)
    expect(kinds).toEqual(['committed', 'crashed', 'started'])
    const ofLeader = states.filter(({ node }) => node === 'n5').map(({ state }) => state)
    expect(ofLeader).toEqual(['leader', 'down', 'follower'])
  })

  it('has the crash of a node alone, also if no view was made until its start', () => {
    const lab = new Lab(
      parseLink('nodes=1;3000:crash,target=0,point=now,skip=0,inFlight=lost,silent=false,ms=700'),
    )
    lab.runTo(4000)
    const { events = [], states = [] } = lab.view(['diagram']).diagram ?? {}
    expect(events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['crashed', 'started']))
    expect(states).toContainEqual({ node: 'n1', at: 3000, state: 'down' })
  })

  it('has the state of a node also after many changes of others', () => {
    let restless = 'follower'
    const record = new DiagramRecord(['n1', 'n2'], (node) => (node === 'n2' ? restless : 'leader'))
    for (let at = 1; at <= 1000; at++) {
      record.noted('n2', 1000 * at)
      restless = at % 2 === 0 ? 'follower' : 'pre-candidate'
    }
    const { states } = record.view(1_003_000, false)
    expect(states).toContainEqual({ node: 'n1', at: 0, state: 'leader' })
    expect(states).toContainEqual({ node: 'n2', at: 1_000_000, state: 'follower' })
    expect(states).toHaveLength(2)
  })
})

describe('the verdict', () => {
  it('has a moment for each operation, between its call and its answer', () => {
    const lab = partitioned()
    ask(lab, 'get', 0, 'leader')
    lab.runTo(9400)
    const { verdict, operations } = lab.view()
    expect(verdict).toMatchObject({ verdict: 'linearizable', judged: 3, unordered: undefined })
    expect(verdict.effects.map(({ operation }) => operation)).toEqual([1, 2, 3])
    for (const { operation, at } of verdict.effects) {
      const { from, until = 0 } = operations.find(({ id }) => id === operation) ?? expect.fail()
      expect(at).toBeGreaterThan(from)
      expect(at).toBeLessThan(until)
    }
  })

  it('leaves out stale reads, and says how old their answers were', () => {
    const lab = partitioned()
    ask(lab, 'stale', 2, OLD_LEADER)
    ask(lab, 'stale', 0, 'leader')
    lab.runTo(9100)
    expect(lab.view().verdict).toMatchObject({
      verdict: 'linearizable',
      judged: 2,
      staleReads: [
        {
          operation: 3,
          ageMs: expect.closeTo(426, 0),
          text: 'in fact 0.43 s old: k0 = "c2.0" was committed at 8.57 s',
        },
        { operation: 4, ageMs: 0, text: 'nothing newer was committed' },
      ],
    })
  })

  it('names the read and the write that it missed, if stale reads are judged', () => {
    const lab = partitioned()
    ask(lab, 'stale', 2, OLD_LEADER)
    lab.runTo(9100)
    ask(lab, 'get', 0, 'leader')
    lab.runTo(9400)
    const { verdict } = lab.view(['judged-stale'])
    expect(verdict.unordered).toEqual({
      ...{ key: 'k0', operation: 3, missed: 2, operations: [1, 2, 3] },
      text: 'The read of k0 by c3 at n5 returned "c1.0". It missed put k0 = "c2.0" by c2: answered at 8.575 s, before it began at 9.001 s.',
    })
    // The others have an order.
    expect(verdict.effects.map(({ operation }) => operation)).toEqual([1, 2, 4])
    expect(lab.view().verdict.verdict).toBe('linearizable')
  })

  it('names the write that a read missed before the reads that have seen it', () => {
    const lab = partitioned()
    ask(lab, 'get', 0, 'leader')
    lab.runTo(9400)
    ask(lab, 'stale', 2, OLD_LEADER)
    lab.runTo(9500)
    expect(lab.view(['judged-stale']).verdict.unordered).toMatchObject({
      ...{ operation: 4, missed: 2, operations: [1, 2, 4] },
      text: expect.stringContaining('It missed put k0 = "c2.0" by c2: answered at'),
    })
  })
})

describe('a rule that a read has broken', () => {
  const history: readonly HistoryEvent[] = [
    { type: 'history', version: 1, workload: 'kv', command: '' },
    { type: 'invoke', id: 1, client: 'c1', time: 10, node: 'n1', op: { f: 'put', key: 'k0', value: 'a' } },
    { type: 'ok', id: 1, time: 20, result: { modRevision: 2, version: 1, revision: 2 } },
    { type: 'invoke', id: 2, client: 'c2', time: 30, node: 'n2', op: { f: 'get', key: 'k0' } },
    { type: 'invoke', id: 3, client: 'c3', time: 30, node: 'n2', op: { f: 'get', key: 'k1' } },
  ]
  /** Entry 3 has written k0. */
  const log = {
    at: (key: string, index: number) =>
      key === 'k0' && index >= 3 ? { value: 'a', createRevision: 2, modRevision: 2, version: 1 } : null,
    revisionAt: (index: number) => (index >= 3 ? 2 : 1),
    events: [],
    entries: [],
  }
  /** The verdict of an instance that has judged the same answers before the rule was broken. */
  const judge = (id: number) => {
    const verdict = new LiveVerdict()
    const judged = { history, log, judgesStale: false }
    expect(verdict.view({ ...judged, broken: undefined }, 40).verdict).toBe('linearizable')
    return verdict.view({ ...judged, broken: { id, index: 2, floor: 3 } }, 40)
  }

  test('is shown by its answer, although the node has not sent it', () => {
    expect(judge(2)).toMatchObject({
      verdict: 'violation',
      unordered: {
        ...{ operation: 2, missed: 1, operations: [1, 2] },
        text: 'The read of k0 by c2 at n2 found no value. It missed put k0 = "a" by c1: answered at 0.020 s, before it began at 0.030 s.',
      },
    })
  })

  test('is that of the run', async () => {
    await loadRule('read-without-round')
    const lab = new Lab({ ...labSchedule(7), rule: 'read-without-round' })
    lab.runTo(4000)
    ask(lab, 'put', 0, 'leader')
    lab.runTo(4500)
    lab.add(cutOff)
    lab.runTo(5749)
    ask(lab, 'put', 1, 'leader')
    lab.runTo(5849)
    // The old leader does not know yet that it leads no more.
    ask(lab, 'get', 2, OLD_LEADER)
    lab.runTo(6000)
    const { violation, verdict } = lab.view()
    expect(violation).toMatch(/^READ-1: n5 serves a linearizable read at 3/)
    expect(verdict.unordered).toMatchObject({ operation: 3, missed: 2, operations: [1, 2, 3] })
  })

  test('is shown also if the answer was right by chance', () => {
    expect(judge(3)).toMatchObject({
      verdict: 'violation',
      unordered: {
        ...{ operation: 3, missed: 1 },
        text: 'The read of k1 by c3 at n2 was answered from entry 2. Entry 3 was already known when it began: put k0 = "a" by c1. Its key is the same there, so only the rule is broken.',
      },
    })
  })
})

test('a read misses what was answered before it began, and not what was in flight', () => {
  const begin = (id: number, time: number, f: 'put' | 'get'): HistoryEvent => ({
    ...{ type: 'invoke', id, client: `c${id}`, time, node: 'n1' },
    op: f === 'put' ? { f, key: 'k0', value: `v${id}` } : { f, key: 'k0' },
  })
  const history: readonly HistoryEvent[] = [
    { type: 'history', version: 1, workload: 'kv', command: '' },
    begin(1, 10, 'put'),
    { type: 'ok', id: 1, time: 20, result: { modRevision: 2, version: 1, revision: 2 } },
    begin(2, 25, 'put'),
    begin(3, 30, 'get'),
    { type: 'ok', id: 2, time: 40, result: { modRevision: 3, version: 2, revision: 3 } },
    { type: 'ok', id: 3, time: 50, result: { value: null, revision: 1 } },
  ]
  const log = { at: () => null, revisionAt: () => 1, events: [], entries: [] }
  const { unordered } = new LiveVerdict().view({ history, log, broken: undefined, judgesStale: false }, 60)
  expect(unordered).toMatchObject({ operation: 3, missed: 1, operations: [1, 3] })
})

test.each([1001, 1002])('the verdict on schedule %i is that of the oracle', (seed) => {
  const lab = new Lab(generate(seed))
  lab.runTo(2500)
  const { violation, verdict } = lab.view()
  expect(violation).toBeUndefined()
  expect(verdict).toMatchObject({ verdict: 'linearizable', unordered: undefined })
  expect(verdict.judged).toBeGreaterThan(10)
})

test('a search that would take too long is not decided', () => {
  const write = (id: number) => ({ f: 'put', key: 'k0', value: `v${id}` }) as const
  const ids = Array.from({ length: 24 }, (_, at) => at + 1)
  const history: HistoryEvent[] = [
    { type: 'history', version: 1, workload: 'kv', command: '' },
    ...ids.map(
      (id): HistoryEvent => ({ type: 'invoke', id, client: `c${id}`, time: 1, node: 'n1', op: write(id) }),
    ),
    // Answers without revisions, in an order that no write explains.
    ...ids.map((id): HistoryEvent => ({ type: 'ok', id, time: 2, result: {} })),
    { type: 'invoke', id: 99, client: 'r', time: 3, node: 'n1', op: { f: 'get', key: 'k0' } },
    { type: 'ok', id: 99, time: 4, result: { value: 'none of them' } },
  ]
  const log = { at: () => null, revisionAt: () => 1, events: [], entries: [] }
  const judged = { history, log, broken: undefined, judgesStale: false }
  expect(new LiveVerdict().view(judged, 5)).toMatchObject({ verdict: 'undecided', unordered: undefined })
})
