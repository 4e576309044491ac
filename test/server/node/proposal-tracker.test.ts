// The outcome of a waiting proposal: "not written" only where that is certain.

import { expect, test } from 'vitest'
import { asIndex } from '../../../src/raft/types.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { type ProposalEnd, ProposalTracker } from '../../../src/server/node/write/proposal-tracker.ts'
import { VirtualClock } from '../virtual-clock.ts'

function setUp(limits = driverLimits) {
  const clock = new VirtualClock()
  let nextSeq = 100
  const proposals = new ProposalTracker(clock, limits, {
    renew: (frame) => ({ seq: nextSeq++, frame: frame.slice() }),
    ended() {},
  })
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
  const { clock, proposals, add, problem, ends } = setUp()
  add(1)
  expect(proposals.nextBatch().map(({ seq }) => seq)).toEqual([1])
  clock.advance(1000)
  expect(problem(1)).toBe('outcome_unknown unknown')
  expect(ends.get(1)).toMatchObject({
    problem: { detail: 'it was handed to the log, but no majority confirmed it before the time ran out' },
  })
  proposals.resolve({ seq: 1, outcome: 'committed', index: asIndex(7) })
  proposals.applied(asIndex(7), undefined)
  expect(problem(1)).toBe('outcome_unknown unknown')
})

test('a committed proposal is answered when it is applied, not before', () => {
  const { proposals, add, problem } = setUp()
  add(1)
  proposals.nextBatch()
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
    proposals.nextBatch()
    proposals.resolve({ seq: 1, outcome: 'refused', refusal: { reason } })
    expect(proposals.nextBatch()).toEqual([])
    proposals.unpark()
    const [again] = proposals.nextBatch()
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
  proposals.nextBatch()
  proposals.resolve({ seq: 1, outcome: 'superseded' })
  proposals.unpark()
  expect(proposals.nextBatch()).toHaveLength(1)
  clock.advance(1000)
  expect(problem(1)).toBe('outcome_unknown unknown')
})

test('what was parked goes out before what came later', () => {
  const { proposals, add } = setUp()
  add(1)
  add(2)
  proposals.nextBatch()
  proposals.resolve({ seq: 1, outcome: 'superseded' })
  proposals.resolve({ seq: 2, outcome: 'superseded' })
  add(3)
  proposals.unpark()
  expect(proposals.nextBatch().map(({ frame }) => frame[0])).toEqual([1, 2, 3])
})

test('refusals for good end at once with their own code', () => {
  const { proposals, add, problem } = setUp()
  for (const seq of [1, 2, 3]) add(seq)
  proposals.nextBatch()
  proposals.resolve({ seq: 1, outcome: 'refused', refusal: { reason: 'overloaded', detail: 'x' } })
  proposals.resolve({ seq: 2, outcome: 'refused', refusal: { reason: 'too-large', detail: 'x' } })
  proposals.resolve({ seq: 3, outcome: 'refused', refusal: { reason: 'membership', detail: 'x' } })
  expect([1, 2, 3].map(problem)).toEqual(['overloaded no', 'request_too_large no', 'membership_refused no'])
})

test('a snapshot that hides entries or results leaves the outcome unknown', () => {
  const { proposals, add, problem } = setUp()
  for (const seq of [1, 2, 3]) add(seq)
  proposals.nextBatch()
  proposals.resolve({ seq: 1, outcome: 'unknown' })
  proposals.resolve({ seq: 2, outcome: 'committed', index: asIndex(5) })
  proposals.resolve({ seq: 3, outcome: 'committed', index: asIndex(9) })
  proposals.skipped(asIndex(8))
  expect([1, 2, 3].map(problem)).toEqual(['outcome_unknown unknown', 'outcome_unknown unknown', undefined])
})

test('when the node ends, only what no log can hold is called not written', () => {
  const { proposals, add, problem } = setUp()
  add(1)
  proposals.nextBatch()
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
  proposals.nextBatch()
  proposals.resolve({ seq: 1, outcome: 'unknown' })
  expect(proposals.overload(4)).toBeUndefined()
})

test('a membership change that must wait for another one is tried again until its time runs out', () => {
  const { clock, proposals, add, problem } = setUp()
  add(1)
  proposals.nextBatch()
  proposals.resolve({ seq: 1, outcome: 'refused', refusal: { reason: 'membership-pending', detail: 'wait' } })
  proposals.unpark()
  expect(proposals.nextBatch()).toHaveLength(1)
  proposals.resolve({
    seq: 100,
    outcome: 'refused',
    refusal: { reason: 'membership-pending', detail: 'wait' },
  })
  clock.advance(1000)
  expect(problem(1)).toBe('membership_refused no')
})

test('what is handed over rises in seq, also where some of it was given before: a leader hears of no seq after a later one', () => {
  const { proposals, add, problem } = setUp()
  add(1)
  proposals.nextBatch()
  proposals.resolve({ seq: 1, outcome: 'refused', refusal: { reason: 'no-leader' } })
  add(2)
  proposals.unpark()
  const seqs = proposals.nextBatch().map(({ seq }) => seq)
  expect(seqs).toEqual([100, 101])
  for (const [at, seq] of seqs.entries())
    proposals.resolve({ seq, outcome: 'committed', index: asIndex(at + 1) })
  for (const index of [1, 2]) proposals.applied(asIndex(index), undefined)
  expect([problem(1), problem(2)]).toEqual(['ok', 'ok'])
  expect(proposals.inspect()).toEqual({ waiting: 0, bytes: 0, queued: 0, parked: 0, committed: 0 })
})

test('what is refused again and again is handed over after pauses that double, up to a bound; a new leader hears of it at once', () => {
  const limits = { ...driverLimits, retryMs: 20 }
  const { clock, proposals, add } = setUp(limits)
  add(1, 100_000)
  const refuse = (): void => {
    for (const { seq } of proposals.nextBatch())
      proposals.resolve({ seq, outcome: 'refused', refusal: { reason: 'transferring' } })
  }
  refuse()
  const pauses = (count: number): number[] =>
    Array.from({ length: count }, () => {
      let ms = 0
      for (; proposals.queued === 0; ms++) {
        expect([proposals.hasParked, proposals.inspect().parked]).toEqual([true, 1])
        proposals.unparkDue()
        if (proposals.queued === 0) clock.advance(1)
      }
      expect([proposals.hasParked, proposals.queued]).toEqual([false, 1])
      refuse()
      return ms - 1
    })
  expect(pauses(7)).toEqual([20, 40, 80, 160, 320, 320, 320])
  proposals.unpark()
  expect(proposals.queued).toBe(1)
  refuse()
  expect(pauses(3)).toEqual([20, 40, 80])
})

test('of what is parked only that whose pause is over goes out again, before what is new', () => {
  const { clock, proposals, add } = setUp({ ...driverLimits, retryMs: 20 })
  const park = (seq: number): void =>
    proposals.resolve({ seq, outcome: 'refused', refusal: { reason: 'no-leader' } })
  add(1)
  proposals.nextBatch()
  park(1)
  clock.advance(10)
  add(2)
  proposals.nextBatch()
  park(2)
  add(3)
  clock.advance(10)
  proposals.unparkDue()
  expect(proposals.inspect()).toMatchObject({ parked: 1, queued: 2, waiting: 3 })
  expect(proposals.nextBatch().map(({ frame }) => frame[0])).toEqual([1, 3])
})

test('each is answered when its own time runs out, whenever it came', () => {
  const { clock, add, problem } = setUp()
  const timeouts = [500, 100, 300, 100, 700]
  for (const [at, timeoutMs] of timeouts.entries()) add(at + 1, timeoutMs)
  for (let ms = 50; ms <= 800; ms += 50) {
    clock.advance(50)
    if (ms === 400) add(6, 50)
    const expected = timeouts.map((timeoutMs) => (timeoutMs <= ms ? 'no_leader no' : undefined))
    expect(timeouts.map((_, at) => problem(at + 1))).toEqual(expected)
    expect(problem(6)).toBe(ms >= 450 ? 'no_leader no' : undefined)
  }
})

test('a full disk is its own code; what the core does not know any more changes nothing', () => {
  const { proposals, add, ends } = setUp()
  add(1)
  proposals.nextBatch()
  proposals.resolve({ seq: 9, outcome: 'unknown' })
  proposals.applied(asIndex(3), undefined)
  expect(ends.size).toBe(0)
  proposals.resolve({ seq: 1, outcome: 'refused', refusal: { reason: 'disk-full', detail: 'no room' } })
  expect(ends.get(1)).toMatchObject({
    ok: false,
    problem: { code: 'storage_full', written: 'no', detail: expect.stringMatching(/^no room; deletes/) },
  })
})

test('why nothing was written is said', () => {
  const detailAfter = (
    refusal: Parameters<ProposalTracker['resolve']>[0] & { outcome: 'refused' },
  ): string => {
    const { clock, proposals, add, ends } = setUp()
    add(1)
    proposals.nextBatch()
    proposals.resolve(refusal)
    clock.advance(1000)
    const end = ends.get(1)
    return end === undefined || end.ok ? '' : end.problem.detail
  }
  const refused = (refusal: Parameters<typeof detailAfter>[0]['refusal']) =>
    detailAfter({ seq: 1, outcome: 'refused', refusal })
  expect(refused({ reason: 'no-leader' })).toMatch(/no leader was found .*nothing was written/)
  expect(refused({ reason: 'transferring' })).toMatch(
    /leadership was being handed over .*nothing was written/,
  )
  for (const reason of ['overloaded', 'too-large', 'membership', 'membership-pending'] as const)
    expect(refused({ reason, detail: `because of ${reason}` })).toBe(`because of ${reason}`)
})

test('the end of the node leaves no timer behind', () => {
  const { clock, proposals, add, ends } = setUp()
  add(1)
  proposals.endAll('the node stops')
  expect(ends.get(1)).toMatchObject({ ok: false, problem: { detail: 'the node stops' } })
  clock.advance(10_000)
  expect(ends.size).toBe(1)
})

test('no more is given to the core than there is room for: the others wait, and are told so if that lasts for half of their time', () => {
  const { clock, proposals, add, problem } = setUp()
  for (const seq of [1, 2, 3, 4]) add(seq, 1000)
  // While there is any room, one more proposal is sent.
  expect(proposals.nextBatch(4).map(({ seq }) => seq)).toEqual([1, 2])
  expect(proposals.isHeldBack).toBe(true)
  expect(proposals.nextBatch(0)).toEqual([])
  clock.advance(500)
  expect(proposals.nextBatch(1).map(({ seq }) => seq)).toEqual([3])
  clock.advance(1)
  expect(proposals.nextBatch(1)).toEqual([])
  expect([3, 4].map(problem)).toEqual([undefined, 'overloaded no'])
  expect(proposals.isHeldBack).toBe(false)
})

test('why the outcome is not known is said, and why nothing more is taken', () => {
  const { proposals, add, ends } = setUp({ ...driverLimits, proposalsMax: 2, proposalBytesMax: 6 })
  const detail = (seq: number): unknown => {
    const end = ends.get(seq)
    return end?.ok === false ? end.problem.detail : undefined
  }
  add(1)
  expect(proposals.overload(4)).toMatchObject({ code: 'overloaded', written: 'no' })
  expect(proposals.overload(3)).toBeUndefined()
  add(2)
  expect(proposals.overload(1)).toEqual({
    code: 'overloaded',
    detail: '2 proposals (6 bytes) wait on this node already; limits: 2 and 6 bytes',
    written: 'no',
  })
  proposals.nextBatch()
  proposals.resolve({ seq: 1, outcome: 'unknown' })
  proposals.resolve({ seq: 2, outcome: 'committed', index: asIndex(7) })
  proposals.skipped(asIndex(6))
  expect(ends.has(2)).toBe(false)
  proposals.skipped(asIndex(7))
  expect([detail(1), detail(2)]).toEqual([
    'the entries that show its outcome were replaced by a snapshot',
    'it was committed, but a snapshot hid its result',
  ])
  expect(Object.values(proposals.inspect())).toEqual([0, 0, 0, 0, 0])
})
