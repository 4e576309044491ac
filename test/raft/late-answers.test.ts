// What an answer is worth when it comes late: a lease counts from the question, by the leader's clock and with room for drift; an acknowledgement
// of an earlier term is worth nothing.

import { expect, test } from 'vitest'
import { asIndex } from '../../src/raft/types.ts'
import { Bench } from './harness/bench.ts'
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
    const rest = { sentAt: 1, applied: asIndex(0), lastIndex: bench.raft.lastIndex, room: 'enough' } as const
    bench.receive({ type: 'heartbeat-answer', from, term: bench.raft.term, round, ...rest })
  }
  const validAt = (ms: number): boolean => {
    bench.nowMs = began + ms
    bench.step({ kind: 'tick' })
    return bench.raft.status().leaseValid
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
