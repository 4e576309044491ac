// Late responses. A lease counts from the request, by the leader's clock and with a margin for drift. An
// acknowledgement of an earlier term does not count.

import { expect, test } from 'vitest'
import { asIndex } from '../../src/raft/types.ts'
import { append, Bench, heartbeatAnswer, type Incoming, leader, voteRequest } from './harness/bench.ts'
import { pastLeases } from './harness/frames.ts'
import { id } from './harness/members.ts'
import { TIMING } from './harness/node.ts'

const durationMs = 500

test('a lease counts from when the round began, not from its answers', () => {
  const bench = new Bench({ leases: { on: true, durationMs } })
  bench.lead()
  bench.acknowledge()
  bench.pass(TIMING.heartbeatMs)
  const began = bench.nowMs
  const { round } = bench
  bench.pass(TIMING.heartbeatMs)
  bench.nowMs = began + 200
  for (const from of [2, 3]) {
    bench.receive(heartbeatAnswer(bench, from, { round }))
  }
  const validAt = (ms: number): boolean => {
    bench.nowMs = began + ms
    bench.step({ kind: 'tick' })
    return bench.raft.status().leaderLeaseValid
  }
  const trusted = durationMs / (1 + TIMING.driftMax)
  expect(validAt(Math.floor(trusted))).toBe(true)
  expect(validAt(Math.ceil(trusted))).toBe(false)
})

test('acknowledgements of an earlier term commit nothing', () => {
  const bench = new Bench({ terms: [1, 3], term: 3 })
  bench.lead()
  const index = bench.raft.lastIndex
  for (const from of [2, 3]) {
    const rest = { index, round: 0, sentAt: 1, applied: asIndex(0) }
    bench.receive({ type: 'append-accepted', from, term: bench.raft.term - 1, ...rest })
  }
  expect(bench.raft.commit).toBe(0)
  bench.acknowledge()
  expect(bench.raft.commit).toBe(index)
})

test('answers to a round that began before a read do not confirm it', () => {
  const bench = leader()
  const { round } = bench
  bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
  const confirmed = (): number => bench.outputs.flatMap(({ reads }) => reads).length
  for (const from of [2, 3]) bench.receive(heartbeatAnswer(bench, from, { round }))
  expect(confirmed()).toBe(0)
  bench.receive(heartbeatAnswer(bench, 2))
  expect(confirmed()).toBe(1)
})

test('a process requests read indexes with ids new to its replica: a response to the process before does not count', () => {
  const bench = new Bench()
  const asked = (): number[] => {
    bench.receive(append(2, 1, [0, 0]))
    bench.settle()
    bench.take()
    bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
    return bench.takeOf('read-index').map(({ request }) => request)
  }
  const [before = -1] = asked()
  bench.node.crash()
  bench.node.start()
  const [now = -1] = asked()
  const answer = {
    from: 2,
    term: 1,
    index: asIndex(0),
    refusal: undefined,
    leaderLease: false,
    commit: asIndex(0),
  }
  const confirmed = (request: number): number => {
    bench.receive({ type: 'read-index-answer', request, ...answer })
    return bench.outputs.at(-1)?.reads.length ?? 0
  }
  expect([confirmed(before), confirmed(now)]).toEqual([0, 1])
})

/**
 * A leader whose followers have echoed its newest round and hold its whole log, as the promise of its lease requires.
 */
function leaseholder(ms: number): Bench {
  const bench = new Bench({ leases: { on: true, durationMs: ms } })
  bench.lead()
  bench.acknowledge()
  bench.pass(TIMING.heartbeatMs)
  bench.acknowledge()
  expect(bench.raft.status().leaderLeaseValid).toBe(true)
  return bench
}

test('a lease of another duration counts from the first round that is echoed by a replica that has applied it', () => {
  const bench = leaseholder(200)
  const { nowMs } = bench
  bench.node.setLeases({ on: true, durationMs: 2000 })
  bench.settle()
  // They hold the new setting, but have promised by the old one.
  bench.acknowledge()
  expect(bench.raft.leaderLeases.durationMs).toBe(2000)
  bench.nowMs = nowMs + 300
  bench.step({ kind: 'tick' })
  expect(bench.raft.status().leaderLeaseValid).toBe(false)
})

test('a longer promise that is in the log binds before it is applied, a restart included', () => {
  const bench = new Bench({ leases: { on: true, durationMs: 100 } })
  const longer = pastLeases(1, 1, { on: true, durationMs: 10_000 })
  bench.receive({ ...(append(2, 1, [0, 0]) as Incoming & { type: 'append' }), entries: [longer] })
  bench.settle()
  for (const restart of [false, true]) {
    if (restart) {
      bench.node.crash()
      bench.node.start()
    }
    bench.nowMs += 2 * TIMING.electionMaxMs
    bench.receive(voteRequest(3, 5, [9, 9]))
    expect({ restart, term: bench.raft.term, sent: bench.takeOf('vote-answer') }).toEqual({
      restart,
      term: 1,
      sent: [],
    })
  }
  bench.nowMs += 10_000
  bench.receive(voteRequest(3, 5, [9, 9]))
  expect(bench.raft.term).toBe(5)
})

test('echoes of the times of a process are not sent to the process after it', () => {
  const bench = new Bench()
  bench.lead()
  bench.acknowledge()
  const connect = (boot: number): void =>
    bench.step({
      kind: 'connected',
      peer: id(2),
      boot,
      term: bench.raft.term,
      lastIndex: bench.raft.lastIndex,
    })
  const confirmed = (): unknown => {
    bench.take()
    bench.pass(TIMING.heartbeatMs)
    return bench.takeOf('heartbeat').find(({ to }) => to === id(2))?.confirmed
  }
  connect(1)
  for (let round = 0; round < 3; round++) {
    bench.pass(TIMING.heartbeatMs)
    bench.acknowledge()
  }
  expect(confirmed()).toMatchObject({ at: 1 })
  connect(2)
  expect(confirmed()).toBeUndefined()
})
