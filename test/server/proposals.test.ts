// What a waiting proposal is told: "not written" only where that is certain.

import { expect, test } from 'vitest'
import { asIndex } from '../../src/raft/types.ts'
import { driverLimits } from '../../src/server/limits.ts'
import { type ProposalEnd, Proposals } from '../../src/server/proposals.ts'
import { VirtualClock } from './virtual-clock.ts'

function setUp(limits = driverLimits) {
  const clock = new VirtualClock()
  let nextSeq = 100
  const proposals = new Proposals(clock, limits, (frame) => ({ seq: nextSeq++, frame: frame.slice() }))
  const ends = new Map<number, ProposalEnd>()
  const add = (seq: number, timeoutMs = 1000): Uint8Array => {
    const frame = new Uint8Array([seq, 0, 0])
    proposals.add(seq, frame, timeoutMs, (end) => ends.set(seq, end))
    return frame
  }
  const problem = (seq: number): unknown => {
    const end = ends.get(seq)
    return end === undefined ? undefined : end.ok ? 'ok' : `${end.problem.code} ${end.problem.written}`
  }
  return { clock, proposals, add, problem, ends }
}

test('a proposal that was never handed to the core is not written when its time runs out', () => {
  const { clock, add, problem } = setUp()
  add(1)
  clock.advance(1000)
  expect(problem(1)).toBe('no_leader no')
})

test('a proposal that the core has is unknown when its time runs out, and a later outcome changes nothing', () => {
  const { clock, proposals, add, problem } = setUp()
  add(1)
  expect(proposals.take().map(({ seq }) => seq)).toEqual([1])
  clock.advance(1000)
  expect(problem(1)).toBe('outcome_unknown unknown')
  proposals.resolve({ seq: 1, outcome: 'committed', index: asIndex(7) })
  proposals.applied(asIndex(7), undefined)
  expect(problem(1)).toBe('outcome_unknown unknown')
})

test('a committed proposal is answered when it is applied, not before', () => {
  const { proposals, add, problem } = setUp()
  add(1)
  proposals.take()
  proposals.resolve({ seq: 1, outcome: 'committed', index: asIndex(7) })
  expect(problem(1)).toBeUndefined()
  proposals.applied(asIndex(6), undefined)
  expect(problem(1)).toBeUndefined()
  proposals.applied(asIndex(7), undefined)
  expect(problem(1)).toBe('ok')
  expect(proposals.size).toBe(0)
})

test.each([['no-leader'], ['not-leader'], ['transferring']] as const)(
  'refused as %s it waits for a leader, is not written until then, and goes out again under a new seq',
  (reason) => {
    const { clock, proposals, add, problem } = setUp()
    const frame = add(1)
    proposals.take()
    proposals.resolve({ seq: 1, outcome: 'refused', refusal: { reason } })
    expect(proposals.take()).toEqual([])
    proposals.unpark()
    const [again] = proposals.take()
    expect(again?.frame).toEqual(frame)
    expect(again?.frame).not.toBe(frame)
    expect(again?.seq).toBe(100)
    proposals.resolve({ seq: 100, outcome: 'refused', refusal: { reason } })
    clock.advance(1000)
    expect(problem(1)).toBe('no_leader no')
  },
)

test('superseded means certainly not applied: it goes out again, and is unknown while the core has it', () => {
  const { clock, proposals, add, problem } = setUp()
  add(1)
  proposals.take()
  proposals.resolve({ seq: 1, outcome: 'superseded' })
  proposals.unpark()
  expect(proposals.take()).toHaveLength(1)
  clock.advance(1000)
  expect(problem(1)).toBe('outcome_unknown unknown')
})

test('what was parked goes out before what came later', () => {
  const { proposals, add } = setUp()
  add(1)
  add(2)
  proposals.take()
  proposals.resolve({ seq: 1, outcome: 'superseded' })
  proposals.resolve({ seq: 2, outcome: 'superseded' })
  add(3)
  proposals.unpark()
  expect(proposals.take().map(({ frame }) => frame[0])).toEqual([1, 2, 3])
})

test('refusals for good end at once with their own code', () => {
  const { proposals, add, problem } = setUp()
  for (const seq of [1, 2, 3]) add(seq)
  proposals.take()
  proposals.resolve({ seq: 1, outcome: 'refused', refusal: { reason: 'overloaded', detail: 'x' } })
  proposals.resolve({ seq: 2, outcome: 'refused', refusal: { reason: 'too-large', detail: 'x' } })
  proposals.resolve({ seq: 3, outcome: 'refused', refusal: { reason: 'membership', detail: 'x' } })
  expect([1, 2, 3].map(problem)).toEqual(['overloaded no', 'request_too_large no', 'membership_refused no'])
})

test('a snapshot that hides entries or results leaves the outcome unknown', () => {
  const { proposals, add, problem } = setUp()
  for (const seq of [1, 2, 3]) add(seq)
  proposals.take()
  proposals.resolve({ seq: 1, outcome: 'unknown' })
  proposals.resolve({ seq: 2, outcome: 'committed', index: asIndex(5) })
  proposals.resolve({ seq: 3, outcome: 'committed', index: asIndex(9) })
  proposals.skipped(asIndex(8))
  expect([1, 2, 3].map(problem)).toEqual(['outcome_unknown unknown', 'outcome_unknown unknown', undefined])
})

test('when the node ends, only what no log can hold is called not written', () => {
  const { proposals, add, problem } = setUp()
  add(1)
  proposals.take()
  add(2)
  proposals.endAll('the disk failed')
  expect([1, 2].map(problem)).toEqual(['outcome_unknown unknown', 'not_ready no'])
})

test('proposals in flight are bounded in number and in bytes, and the room comes back', () => {
  const { proposals, add } = setUp({ ...driverLimits, proposalsMax: 2, proposalBytesMax: 7 })
  add(1)
  expect(proposals.overload(4)).toBeUndefined()
  expect(proposals.overload(5)?.code).toBe('overloaded')
  add(2)
  expect(proposals.overload(0)?.code).toBe('overloaded')
  proposals.take()
  proposals.resolve({ seq: 1, outcome: 'unknown' })
  expect(proposals.overload(4)).toBeUndefined()
})

test('a membership change that must wait for another one is tried again until its time runs out', () => {
  const { clock, proposals, add, problem } = setUp()
  add(1)
  proposals.take()
  proposals.resolve({ seq: 1, outcome: 'refused', refusal: { reason: 'membership-pending', detail: 'wait' } })
  proposals.unpark()
  expect(proposals.take()).toHaveLength(1)
  proposals.resolve({
    seq: 100,
    outcome: 'refused',
    refusal: { reason: 'membership-pending', detail: 'wait' },
  })
  clock.advance(1000)
  expect(problem(1)).toBe('membership_refused no')
})

test('what was answered without a leader is kept nowhere: neither its frame nor its place', () => {
  const { clock, proposals, add, problem } = setUp()
  for (let seq = 1; seq <= 100; seq++) {
    add(seq, 1000)
    for (const { seq: taken } of proposals.take()) {
      proposals.resolve({ seq: taken, outcome: 'refused', refusal: { reason: 'no-leader' } })
    }
  }
  expect(proposals.inspect()).toMatchObject({ waiting: 100, bytes: 300, parked: 100 })
  clock.advance(1000)
  expect(problem(1)).toBe('no_leader no')
  expect(proposals.inspect()).toEqual({ waiting: 0, bytes: 0, fresh: 0, parked: 0, committed: 0 })
})

test('one whose time runs out before it is handed over, or before it is applied, is kept no longer than until then', () => {
  const { clock, proposals, add, problem } = setUp()
  const nothing = { waiting: 0, bytes: 0, fresh: 0, parked: 0, committed: 0 }
  add(1, 10)
  clock.advance(10)
  expect(proposals.take()).toEqual([])
  expect(proposals.inspect()).toEqual(nothing)
  add(2)
  proposals.take()
  proposals.resolve({ seq: 2, outcome: 'committed', index: asIndex(7) })
  clock.advance(1000)
  expect(problem(2)).toBe('outcome_unknown unknown')
  proposals.applied(asIndex(7), undefined)
  expect(proposals.inspect()).toEqual(nothing)
})

test('what is handed over rises in seq, also where some of it was given before: a leader hears of no seq after a later one', () => {
  const { proposals, add, problem } = setUp()
  add(1)
  proposals.take()
  proposals.resolve({ seq: 1, outcome: 'refused', refusal: { reason: 'no-leader' } })
  add(2)
  proposals.unpark()
  const seqs = proposals.take().map(({ seq }) => seq)
  expect(seqs).toEqual([100, 101])
  for (const [at, seq] of seqs.entries())
    proposals.resolve({ seq, outcome: 'committed', index: asIndex(at + 1) })
  for (const index of [1, 2]) proposals.applied(asIndex(index), undefined)
  expect([problem(1), problem(2)]).toEqual(['ok', 'ok'])
  expect(proposals.inspect()).toEqual({ waiting: 0, bytes: 0, fresh: 0, parked: 0, committed: 0 })
})
