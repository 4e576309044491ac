// The core when connections break and come back. Messages in between are lost, and detected state loss outlives the
// connection.

import { expect, test } from 'vitest'
import { asIndex, asTerm, type Message } from '../../src/raft/types.ts'
import { append, Bench } from './harness/bench.ts'
import { textFrame } from './harness/frames.ts'
import { id } from './harness/members.ts'
import { type InputWithoutTime, TIMING } from './harness/node.ts'

const connected = (peer: number, boot: number, term: number): InputWithoutTime => ({
  ...{ peer: id(peer), boot, term: asTerm(term), lastIndex: asIndex(1) },
  kind: 'connected',
})

/** Follows replica 2 in term 1. */
function follower(): Bench {
  const bench = new Bench({ terms: [1] })
  bench.step(connected(2, 1, 1))
  bench.receive(append(2, 1, [1, 1]))
  bench.take()
  return bench
}

const propose = (bench: Bench, seq: number): void =>
  bench.step({
    kind: 'propose',
    proposals: [{ seq, frame: textFrame(id(1), bench.node.disk.boot, seq, 'x') }],
  })

const seqs = (messages: readonly Message[]): number[] =>
  messages.flatMap((message) => (message.type === 'forward' ? message.proposals.map(({ seq }) => seq) : []))

test('nothing is forwarded over a broken connection to the leader: after a reconnect, what was lost goes first', () => {
  const bench = follower()
  propose(bench, 1)
  expect(seqs(bench.take())).toEqual([1])
  bench.step({ kind: 'disconnected', peer: id(2) })
  // If it were sent now, the leader would later refuse the lost one as old.
  propose(bench, 2)
  expect(seqs(bench.take())).toEqual([])
  expect(bench.outputs.at(-1)?.outcomes).toEqual([
    { seq: 2, outcome: 'refused', refusal: { reason: 'no-leader' } },
  ])
  bench.step(connected(2, 1, 1))
  propose(bench, 3)
  expect(seqs(bench.take())).toEqual([1, 3])
})

test('what was lost with the connection to a leader goes first when that leader is live again', () => {
  const bench = follower()
  propose(bench, 1)
  bench.step({ kind: 'disconnected', peer: id(2) })
  bench.step({ kind: 'unreachable', peer: id(2) })
  bench.take()
  bench.step(connected(2, 1, 1))
  expect([bench.raft.leader, seqs(bench.take())]).toEqual([undefined, []])
  bench.receive(append(2, 1, [1, 1]))
  propose(bench, 2)
  expect(seqs(bench.take())).toEqual([1, 2])
})

test('a refusal that was lost with the connection is repeated; an appended proposal is not', () => {
  const bench = new Bench({ limits: { uncommittedEntriesMax: 2 } })
  bench.lead()
  bench.take()
  const forward = (...seqs: number[]): void =>
    bench.receive({
      ...{ type: 'forward', from: 2, term: bench.raft.term, boot: 1 },
      proposals: seqs.map((seq) => ({ seq, frame: textFrame(id(2), 1, seq, 'x') })),
    })
  const refused = () =>
    bench.takeOf('forward-refused').map((message) => message.refused.map(({ seq }) => seq))
  forward(1, 2, 3)
  expect(refused()).toEqual([[2, 3]])
  const { lastIndex } = bench.raft
  // The origin may have higher limits than this leader.
  forward(1, 2, 3, 4, 5)
  expect(refused()).toEqual([[2, 3, 4, 5]])
  forward(2, 3, 4, 5)
  expect(refused()).toEqual([[2, 3, 4, 5]])
  // Even with free capacity again they are in no log and never will be.
  bench.acknowledge()
  bench.take()
  forward(2, 6)
  expect([refused(), bench.raft.lastIndex]).toEqual([[[2]], lastIndex + 1])
})

test('no read is sent to a leader whose connection is broken', () => {
  const bench = follower()
  bench.step({ kind: 'disconnected', peer: id(2) })
  bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
  expect(bench.take()).toEqual([])
  expect(bench.outputs.at(-1)?.reads).toEqual([{ id: 1, outcome: 'refused', refusal: 'no-leader' }])
  bench.step(connected(2, 1, 1))
  bench.step({ kind: 'read', reads: [{ id: 2, leaderLease: false }] })
  expect(bench.takeOf('read-index')).toHaveLength(1)
})

test('a process that lost durable state is notified on every connection and ignored; the next one is checked again', () => {
  const bench = new Bench({ terms: [1], term: 5 })
  bench.step(connected(3, 1, 5))
  const lostStateReceivers = () => bench.takeOf('lost-state').map(({ to }) => to)
  bench.step({ kind: 'disconnected', peer: id(3) })
  bench.step(connected(3, 2, 4))
  expect(lostStateReceivers()).toEqual(['3'])
  bench.step({ kind: 'disconnected', peer: id(3) })
  bench.step(connected(3, 2, 4))
  expect(lostStateReceivers()).toEqual(['3'])
  bench.timeout()
  bench.take()
  for (const from of [3, 3]) bench.receive({ type: 'pre-vote-answer', from, term: 6, granted: true })
  expect([bench.role, lostStateReceivers()]).toEqual(['pre-candidate', ['3', '3']])
  bench.step(connected(3, 3, 5))
  expect(lostStateReceivers()).toEqual([])
  bench.receive({ type: 'pre-vote-answer', from: 3, term: 6, granted: true })
  expect(bench.role).toBe('candidate')
})

test('a replica that has granted a pre-vote because its leader is gone waits a random time: others have granted it at the same moment', () => {
  const waits = [0.2, 0.8].map((drawn) => {
    let draw = 0.5
    const bench = new Bench({ terms: [1], voters: 5, random: () => draw })
    bench.step(connected(2, 1, 1))
    bench.receive(append(2, 1, [1, 1]))
    bench.step({ kind: 'unreachable', peer: id(2) })
    draw = drawn
    const last = { lastIndex: asIndex(1), lastTerm: asTerm(1) }
    bench.receive({ type: 'pre-vote-request', from: 3, term: 2, ...last, transfer: false })
    expect(bench.takeOf('pre-vote-answer')).toMatchObject([{ granted: true }])
    return bench.raft.deadline() - bench.nowMs
  })
  const { failoverDelayMaxMs } = TIMING
  expect(waits).toEqual([1.2 * failoverDelayMaxMs, 1.8 * failoverDelayMaxMs])
})

test('a leader sends nothing else to a process that has lost durable state, which would take its log for the acknowledged one', () => {
  const bench = new Bench({ terms: [1], limits: { tailBytesMax: 0 } })
  const propose = (seq: number) =>
    bench.step({ kind: 'propose', proposals: [{ seq, frame: textFrame(id(1), 1, seq, 'x') }] })
  bench.lead()
  bench.step(connected(3, 1, bench.raft.term))
  bench.acknowledge()
  propose(1)
  bench.acknowledge([2])
  bench.node.flush()
  bench.node.compact(bench.raft.lastIndex)
  bench.step({ kind: 'disconnected', peer: id(3) })
  bench.take()
  bench.step(connected(3, 2, 1))
  propose(2)
  bench.settle()
  bench.pass(TIMING.heartbeatMs)
  const said = bench.take().filter(({ to }) => to === id(3))
  expect([...new Set(said.map(({ type }) => type))]).toEqual(['lost-state'])
  expect(bench.takeSnapshots()).toEqual([])
})
