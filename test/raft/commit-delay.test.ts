// Propagation of the commit index to a follower: with the next entries, at once if a client waits, otherwise after a
// delay.

import { expect, test } from 'vitest'
import { asIndex } from '../../src/raft/types.ts'
import { Bench } from './harness/bench.ts'
import { textFrame } from './harness/frames.ts'
import { id } from './harness/members.ts'

const COMMIT_DELAY_MS = 5

/** A leader whose followers have its commit index. */
function leader(): Bench {
  const bench = new Bench({ timing: { commitDelayMs: COMMIT_DELAY_MS } })
  bench.lead()
  bench.acknowledge()
  bench.pass(COMMIT_DELAY_MS)
  bench.take()
  return bench
}

/** Followers that were sent a commit index since the last call, with the type of message. */
const commitsSent = (bench: Bench): [string, string, number][] =>
  bench
    .take()
    .flatMap((message) =>
      message.type === 'heartbeat' || message.type === 'append'
        ? [[message.to, message.type, message.commit] satisfies [string, string, number]]
        : [],
    )

test('an idle follower receives it after the delay, and once', () => {
  const bench = leader()
  bench.node.propose('x')
  bench.take()
  bench.acknowledge()
  expect(commitsSent(bench)).toEqual([])
  expect(bench.raft.deadline()).toBe(bench.nowMs + COMMIT_DELAY_MS)
  bench.pass(COMMIT_DELAY_MS)
  const { commit } = bench.raft.status()
  expect(commitsSent(bench)).toEqual([
    [id(2), 'heartbeat', commit],
    [id(3), 'heartbeat', commit],
  ])
  bench.pass(COMMIT_DELAY_MS)
  expect(commitsSent(bench)).toEqual([])
})

test('the next entries tell it, and nothing else does', () => {
  const bench = leader()
  bench.node.propose('x')
  bench.acknowledge()
  bench.take()
  const { commit } = bench.raft.status()
  bench.node.propose('y')
  expect(commitsSent(bench)).toEqual([
    [id(2), 'append', commit],
    [id(3), 'append', commit],
  ])
  bench.pass(COMMIT_DELAY_MS)
  expect(commitsSent(bench)).toEqual([])
})

test('a follower that forwarded the committed entry receives it at once', () => {
  const bench = leader()
  bench.receive({
    type: 'forward',
    from: 3,
    term: bench.raft.term,
    boot: 1,
    proposals: [{ seq: 1, frame: textFrame(id(3), 1, 1, 'x') }],
  })
  bench.take()
  bench.acknowledge()
  expect(commitsSent(bench)).toEqual([[id(3), 'heartbeat', bench.raft.lastIndex]])
})

test('a follower that may not hold the entry does not receive it', () => {
  const bench = leader()
  bench.node.propose('x')
  bench.take()
  bench.acknowledge([2])
  bench.pass(COMMIT_DELAY_MS)
  expect(commitsSent(bench)).toEqual([[id(2), 'heartbeat', bench.raft.lastIndex]])
  expect(bench.raft.status().commit).toBe(asIndex(bench.raft.lastIndex))
})
