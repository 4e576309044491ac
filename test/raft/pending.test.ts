// Requests to a replica and their outcomes: proposals, reads, leadership transfers, snapshots. Each has one outcome,
// and leaves nothing behind.

import { describe, expect, test } from 'vitest'
import {
  ENTRY_CONFIGURATION,
  ENTRY_LEADER_LEASES,
  encodeChange,
  encodeLeaderLeases,
} from '../../src/raft/index.ts'
import { WAITING_READS_MAX } from '../../src/raft/read-index.ts'
import { asIndex, asTerm, type Output } from '../../src/raft/types.ts'
import { append, Bench, follower, heartbeatAnswer, leader, voteRequest } from './harness/bench.ts'
import { stepsOf } from './harness/changes.ts'
import { sealed, TEXT, textFrame } from './harness/frames.ts'
import { id, LEASES_OFF, votersUpTo } from './harness/members.ts'
import { TIMING } from './harness/node.ts'

const last = ({ outputs }: Bench): Output => outputs.at(-1) ?? expect.fail()
const propose = (bench: Bench, seq: number, text = ''): void =>
  bench.step({ kind: 'propose', proposals: [{ seq, frame: textFrame(id(1), 1, seq, text) }] })
const refusals = (bench: Bench) =>
  last(bench).outcomes.map((each) => (each.outcome === 'refused' ? [each.seq, each.refusal] : [each.seq]))
/** Work in flight on the core, without zeros. */
const underWay = (bench: Bench) =>
  Object.fromEntries(Object.entries(bench.raft.inspect()).filter(([, count]) => count !== 0))

describe('a proposal that is to be forwarded', () => {
  test('is refused when it is larger than an entry may be', () => {
    const bench = follower({ limits: { entryBytesMax: 60 } })
    propose(bench, 1, 'x'.repeat(6))
    expect(bench.takeOf('forward').length).toBe(1)
    propose(bench, 2, 'x'.repeat(7))
    const detail = 'an entry may have 60 bytes, this one has 61'
    expect(refusals(bench)).toEqual([[2, { reason: 'too-large', detail }]])
    expect(bench.takeOf('forward')).toEqual([])
  })

  test('is refused when as many as may wait for the leader, or as many bytes, wait already', () => {
    const byCount = follower({ limits: { uncommittedEntriesMax: 2 } })
    for (const seq of [1, 2]) propose(byCount, seq)
    expect(refusals(byCount)).toEqual([])
    propose(byCount, 3)
    const counted = { reason: 'overloaded', detail: '2 proposals (108 bytes) wait for the leader' }
    expect(refusals(byCount)).toEqual([[3, counted]])

    const byBytes = follower({ limits: { uncommittedBytesMax: 108 } })
    for (const seq of [1, 2]) propose(byBytes, seq)
    expect(refusals(byBytes)).toEqual([])
    propose(byBytes, 3)
    expect(refusals(byBytes)).toEqual([[3, counted]])
    // A single one may be larger than the limit.
    const alone = follower({ limits: { uncommittedBytesMax: 10 } })
    propose(alone, 1)
    expect(refusals(alone)).toEqual([])
  })

  test('is refused with a seq that this leader may have received', () => {
    const bench = follower()
    propose(bench, 5)
    bench.receive({
      type: 'forward-refused',
      from: 2,
      term: 1,
      meantFor: asTerm(1),
      refused: [{ seq: 5, refusal: { reason: 'transferring' } }],
    })
    expect(refusals(bench)).toEqual([[5, { reason: 'transferring' }]])
    expect(underWay(bench)).toEqual({})
    propose(bench, 5)
    expect(refusals(bench)).toEqual([[5, { reason: 'not-leader' }]])
    propose(bench, 6)
    expect(refusals(bench)).toEqual([])
  })

  test('goes in messages no larger than an append may be, each at least one', () => {
    const bench = follower({ limits: { appendBytesMax: 120 } })
    const sizes = [6, 6, 7, 6, 100, 1]
    bench.step({
      kind: 'propose',
      proposals: sizes.map((bytes, at) => ({
        seq: at + 1,
        frame: textFrame(id(1), 1, at + 1, 'x'.repeat(bytes)),
      })),
    })
    const seqs = bench.takeOf('forward').map(({ proposals }) => proposals.map(({ seq }) => seq))
    expect(seqs).toEqual([[1, 2], [3], [4], [5], [6]])
  })

  test('is refused when the leader refuses it; a late refusal, or one of another term, changes nothing', () => {
    const bench = follower()
    for (const seq of [1, 2]) propose(bench, seq)
    const refuse = (seq: number, meantFor: number): void =>
      bench.receive({
        type: 'forward-refused',
        from: 2,
        term: 1,
        meantFor: asTerm(meantFor),
        refused: [{ seq, refusal: { reason: 'transferring' } }],
      })
    refuse(1, 0)
    expect(refusals(bench)).toEqual([])
    refuse(1, 1)
    expect(refusals(bench)).toEqual([[1, { reason: 'transferring' }]])
    refuse(1, 1)
    expect(refusals(bench)).toEqual([])
    expect(underWay(bench)).toEqual({ proposals: 1, proposedBytes: 54, forwardedBytes: 54 })
  })
})

describe('a proposal at the leader', () => {
  const refusalsOf = (bench: Bench, kind: number, body: Uint8Array) => {
    const frame = sealed(kind, id(1), 1, 1, body)
    bench.step({ kind: 'propose', proposals: [{ seq: 1, frame }] })
    return refusals(bench)
  }

  test('of the core is refused when its kind is not one that the leader accepts', () => {
    const never = (detail: string) => [[1, { reason: 'membership', detail }]]
    const noDuration = encodeLeaderLeases({ on: true, durationMs: 0 })
    expect(refusalsOf(leader(), ENTRY_LEADER_LEASES, noDuration)).toEqual(
      never('a lease must have a duration'),
    )
    expect(
      refusalsOf(leader(), ENTRY_LEADER_LEASES, encodeLeaderLeases({ on: false, durationMs: 0 })),
    ).toEqual([])
    expect(
      refusalsOf(leader(), ENTRY_LEADER_LEASES, encodeLeaderLeases({ on: true, durationMs: 1 })),
    ).toEqual([])
    expect(refusalsOf(leader(), 9, new Uint8Array())).toEqual(
      never('the leader does not take entries of kind 9'),
    )
    expect(refusalsOf(leader(), ENTRY_CONFIGURATION, new Uint8Array([1]))).toEqual(
      never('a configuration change is cut short'),
    )
  })

  test('is refused while leadership is handed over, and taken again when that has failed', () => {
    const bench = leader()
    bench.step({ kind: 'transfer', to: id(2) })
    expect(bench.takeOf('timeout-now').map(({ to }) => to)).toEqual(['2'])
    expect(underWay(bench)).toMatchObject({ pendingTransfer: 1, transfer: 1 })
    propose(bench, 1)
    expect(refusals(bench)).toEqual([[1, { reason: 'transferring' }]])
    const outcomes = bench.outputs.length
    for (let passed = 0; passed <= TIMING.electionMaxMs; passed += TIMING.heartbeatMs) {
      bench.pass(TIMING.heartbeatMs)
      for (const from of [2, 3]) bench.receive(heartbeatAnswer(bench, from))
    }
    const ends = bench.outputs.slice(outcomes).flatMap(({ transfer }) => transfer ?? [])
    expect(ends).toEqual([{ outcome: 'aborted', detail: 'n2 did not take over in time' }])
    expect(underWay(bench)).toEqual({})
    propose(bench, 2)
    expect(refusals(bench)).toEqual([])
  })

  test('that was forwarded to a replica that does not lead is refused', () => {
    const bench = follower()
    const proposals = [{ seq: 7, frame: sealed(TEXT, id(3), 1, 7, new Uint8Array()) }]
    bench.receive({ type: 'forward', from: 3, term: 1, boot: 1, proposals })
    // A replica that never led the term cannot know which entries were appended in it.
    expect(bench.takeOf('forward-refused')).toEqual([])
  })
})

describe('a read', () => {
  test('of a follower is refused when the leader refuses it, and confirmed with the index that it returns', () => {
    const bench = follower()
    const ask = (): number => {
      bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
      return bench.takeOf('read-index')[0]?.request ?? expect.fail()
    }
    const answer = { term: 1, leaderLease: false, commit: asIndex(0) }
    const refused = { ...answer, index: undefined, refusal: 'not-ready' as const }
    const first = ask()
    // A response of another replica does not count.
    bench.receive({ type: 'read-index-answer', from: 3, request: first, ...refused })
    expect([last(bench).reads, underWay(bench)]).toEqual([[], { pendingReads: 1 }])
    bench.receive({ type: 'read-index-answer', from: 2, request: first, ...refused })
    expect(last(bench).reads).toEqual([{ id: 1, outcome: 'refused', refusal: 'not-ready' }])
    bench.receive({ type: 'read-index-answer', from: 2, request: first, ...refused })
    expect(last(bench).reads).toEqual([])
    const second = ask()
    bench.receive({ type: 'read-index-answer', from: 2, request: second, ...refused, refusal: undefined })
    expect(last(bench).reads).toEqual([{ id: 1, outcome: 'refused', refusal: 'not-leader' }])
    const confirmed = { ...answer, index: asIndex(4), refusal: undefined }
    bench.receive({ type: 'read-index-answer', from: 2, request: ask(), ...confirmed })
    expect(last(bench).reads).toEqual([{ id: 1, outcome: 'confirmed', index: 4, leaderLease: false }])
    expect(underWay(bench)).toEqual({})
  })

  test('that the leader does not answer is refused when its time is over, and not before', () => {
    const bench = follower()
    bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
    const requestedAt = bench.nowMs
    for (;;) {
      const { outputs } = bench
      bench.receive(append(2, 1, [0, 0]))
      const deadline = bench.raft.deadline() ?? expect.fail()
      bench.pass(Math.min(deadline - bench.nowMs, 10))
      const { reads } = outputs.at(-1) ?? expect.fail()
      if (reads.length === 0) {
        expect(bench.nowMs - requestedAt).toBeLessThan(2 * TIMING.electionMaxMs)
        continue
      }
      expect(reads).toEqual([{ id: 1, outcome: 'refused', refusal: 'leadership-lost' }])
      break
    }
    expect([bench.role, underWay(bench)]).toEqual(['follower', {}])
  })

  test('of another replica is refused by a replica that does not lead', () => {
    const bench = follower()
    bench.receive({ type: 'read-index', from: 3, term: 1, request: 9, leaderLease: false })
    expect(bench.takeOf('read-index-answer')).toMatchObject([
      { to: '3', request: 9, index: undefined, refusal: 'not-leader', leaderLease: false, commit: 0 },
    ])
  })

  test('at a leader that has committed nothing in its term waits, up to a limit, and is refused when it steps down', () => {
    const bench = new Bench({ terms: [1], commit: 0 })
    bench.lead()
    bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
    bench.receive({ type: 'read-index', from: 3, term: bench.raft.term, request: 9, leaderLease: false })
    expect(underWay(bench)).toMatchObject({ earlyReads: 2 })
    bench.take()
    bench.receive(append(2, bench.raft.term + 1, [0, 0]))
    bench.settle()
    const reads = bench.outputs.flatMap((output) => output.reads)
    expect(reads).toEqual([{ id: 1, outcome: 'refused', refusal: 'leadership-lost' }])
    expect(bench.takeOf('read-index-answer')).toMatchObject([{ request: 9, refusal: 'leadership-lost' }])
  })

  test('at a leader that knows that everything before its term is committed needs no entry of the term', () => {
    const bench = new Bench({ terms: [1, 1], commit: 2 })
    bench.lead()
    bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
    bench.take()
    bench.receive(heartbeatAnswer(bench, 2))
    expect(bench.raft.status()).toMatchObject({ commit: 2, lastIndex: 3 })
    expect(bench.outputs.flatMap((output) => output.reads)).toMatchObject([
      { id: 1, outcome: 'confirmed', index: 2 },
    ])
  })
})

describe('a transfer of leadership', () => {
  const outcome = (bench: Bench, to?: number) => {
    bench.step({ kind: 'transfer', to: to === undefined ? undefined : id(to) })
    return last(bench).transfer
  }

  test('is refused with a sentence that says why', () => {
    const refused = (detail: string) => ({ outcome: 'refused', detail })
    expect(outcome(new Bench(), 2)).toEqual(refused('there is no leader'))
    expect(outcome(leader(), 9)).toEqual(refused('9 is no member of the cluster'))
    expect(outcome(leader({ voters: 1 }))).toEqual(refused('no other voter can be reached'))
    const silent = leader()
    for (let passed = 0; passed < TIMING.electionMaxMs; passed += TIMING.heartbeatMs) {
      silent.pass(TIMING.heartbeatMs)
      silent.receive(heartbeatAnswer(silent, 2))
    }
    expect(outcome(silent, 3)).toEqual(refused('n3 cannot be reached'))
    expect(outcome(silent, 2)).toBe(undefined)
    expect(outcome(leader(), 1)).toEqual({ outcome: 'done', detail: 'n1 leads already' })
  })

  test('requested from a follower is forwarded to its leader, and ends when no other replica leads', () => {
    const bench = follower()
    expect(outcome(bench, 3)).toBe(undefined)
    expect(bench.takeOf('transfer-request')).toMatchObject([{ to: '2', target: '3' }])
    expect(underWay(bench)).toEqual({ pendingTransfer: 1 })
    const requestedAt = bench.nowMs
    let ended: Output['transfer']
    while (ended === undefined) {
      bench.receive(append(2, 1, [0, 0]))
      bench.pass(10)
      ended = last(bench).transfer
      if (ended === undefined) expect(bench.nowMs - requestedAt).toBeLessThan(2 * TIMING.electionMaxMs)
    }
    expect(ended).toEqual({ outcome: 'aborted', detail: 'nobody took over leadership in time' })
    expect(underWay(bench)).toEqual({})
  })

  test('requested from a follower is refused at once when the target cannot lead', () => {
    const { voters, ...rest } = votersUpTo(3)
    const learners = voters.slice(2)
    const bench = follower({ configuration: { ...rest, voters: voters.slice(0, 2), learners } })
    expect(outcome(bench, 3)).toEqual({ outcome: 'refused', detail: 'n3 is not a voter' })
    expect(outcome(bench, 9)).toEqual({ outcome: 'refused', detail: '9 is no member of the cluster' })
    expect([bench.takeOf('transfer-request'), underWay(bench)]).toEqual([[], {}])
  })

  test('ends as done when the target leads, and as aborted when another replica does', () => {
    for (const [heard, result] of [
      [3, { outcome: 'done' }],
      [4, { outcome: 'aborted', detail: 'n4 was elected instead' }],
    ] as const) {
      const bench = follower({ voters: 5 })
      outcome(bench, 3)
      bench.receive(append(heard, 2, [0, 0]))
      expect(last(bench).transfer).toMatchObject(result)
      expect(bench.raft.inspect()).toMatchObject({ pendingTransfer: 0 })
    }
  })

  test('a request of a follower is carried out by the leader alone, once', () => {
    const bench = leader()
    const request = (target: number | undefined): void =>
      bench.receive({
        type: 'transfer-request',
        from: 3,
        term: bench.raft.term,
        target: target === undefined ? undefined : id(target),
      })
    const timeoutNow = (): string[] => bench.takeOf('timeout-now').map(({ to }) => to)
    request(1)
    request(9)
    expect([timeoutNow(), underWay(bench)]).toEqual([[], {}])
    request(2)
    expect(timeoutNow()).toEqual(['2'])
    request(2)
    request(undefined)
    expect(timeoutNow()).toEqual([])
    request(3)
    expect(timeoutNow()).toEqual(['3'])
    const other = follower()
    other.receive({ type: 'transfer-request', from: 3, term: 1, target: id(3) })
    expect([other.take(), underWay(other)]).toEqual([[], {}])
  })
})

describe('a second transfer', () => {
  test('replaces the first, whose caller is notified; for the same target the first continues', () => {
    const bench = leader({ voters: 5 })
    const ask = (to: number): Output['transfer'] => {
      bench.step({ kind: 'transfer', to: id(to) })
      return last(bench).transfer
    }
    expect(ask(2)).toBe(undefined)
    expect(bench.takeOf('timeout-now').map(({ to }) => to)).toEqual(['2'])
    expect(ask(2)).toBe(undefined)
    expect(bench.takeOf('timeout-now')).toEqual([])
    expect(ask(3)).toEqual({ outcome: 'aborted', detail: 'leadership is handed to n3 instead' })
    expect(bench.takeOf('timeout-now').map(({ to }) => to)).toEqual(['3'])
    bench.receive(append(3, bench.raft.term + 1, [0, 0]))
    expect(last(bench).transfer).toEqual({ outcome: 'done', detail: 'n3 leads' })
    expect(bench.raft.inspect()).toMatchObject({ pendingTransfer: 0 })
  })

  test('to a learner is refused', () => {
    const bench = leader({
      configuration: { ...votersUpTo(3), voters: [1, 2].map(id), learners: [id(3)] },
    })
    bench.step({ kind: 'transfer', to: id(3) })
    expect(last(bench).transfer).toEqual({ outcome: 'refused', detail: 'n3 is not a voter' })
  })
})

test('as many entries, or bytes, as may be uncommitted are taken, and the next one is refused', () => {
  const detail = (entries: number, bytes: number, limits: string): string =>
    `the leader has ${entries} entries (${bytes} bytes) to commit, store and apply; limits: ${limits} bytes`
  const byCount = leader({ limits: { uncommittedEntriesMax: 2 } })
  for (const seq of [1, 2]) propose(byCount, seq)
  expect(refusals(byCount)).toEqual([])
  propose(byCount, 3)
  expect(refusals(byCount)).toEqual([[3, { reason: 'overloaded', detail: detail(2, 108, '2 and 1048576') }]])
  const byBytes = leader({ limits: { uncommittedBytesMax: 108 } })
  for (const seq of [1, 2]) propose(byBytes, seq)
  expect(refusals(byBytes)).toEqual([])
  propose(byBytes, 3)
  expect(refusals(byBytes)).toEqual([[3, { reason: 'overloaded', detail: detail(2, 108, '1000 and 108') }]])
  // If nothing else waits, one entry is accepted whatever its size.
  const alone = leader({ limits: { uncommittedBytesMax: 10 } })
  propose(alone, 1)
  expect(refusals(alone)).toEqual([])
})

describe('a leader refuses what is beyond its own progress, although the followers have everything', () => {
  /** The followers acknowledge the whole log; the leader has neither stored nor applied it. */
  function acknowledged(bench: Bench): void {
    for (const from of [2, 3])
      bench.receive({
        ...{ type: 'append-accepted', from, term: bench.raft.term, index: bench.raft.lastIndex },
        ...{ round: bench.round, sentAt: 1, applied: asIndex(0) },
      })
  }
  function storeAll(bench: Bench): void {
    bench.node.store(bench.node.process.pending.length)
  }
  const isRefused = (bench: Bench): boolean => refusals(bench).length > 0

  test('while its disk has not stored it', () => {
    const bench = leader({ limits: { uncommittedBytesMax: 108, applyBytesMax: 1000 } })
    for (const seq of [1, 2]) propose(bench, seq)
    acknowledged(bench)
    expect(bench.raft.status()).toMatchObject({ commit: 3, stableIndex: 1 })
    expect(bench.raft.inspect()).toMatchObject({
      uncommittedBytes: 0,
      undurableEntries: 2,
      undurableBytes: 108,
    })
    propose(bench, 3)
    expect(isRefused(bench)).toBe(true)
    storeAll(bench)
    bench.settle()
    propose(bench, 4)
    expect(isRefused(bench)).toBe(false)
  })

  test.each([{ uncommittedEntriesMax: 2 }, { uncommittedBytesMax: 108 }])(
    'while it has not applied it: %j',
    (limits) => {
      const bench = leader({ limits: { ...limits, applyBytesMax: 1 } })
      for (const seq of [1, 2]) propose(bench, seq)
      storeAll(bench)
      acknowledged(bench)
      expect(bench.raft.status()).toMatchObject({ commit: 3, stableIndex: 3, applied: 1 })
      propose(bench, 3)
      expect(isRefused(bench)).toBe(true)
      bench.settle()
      propose(bench, 4)
      expect(isRefused(bench)).toBe(false)
    },
  )

  test('settings of leases too, but not changes of the configuration', () => {
    const bench = leader({ limits: { uncommittedEntriesMax: 1 } })
    propose(bench, 1)
    acknowledged(bench)
    const entry = (seq: number, kind: number, body: Uint8Array): void =>
      bench.step({ kind: 'propose', proposals: [{ seq, frame: sealed(kind, id(1), 1, seq, body) }] })
    entry(2, ENTRY_LEADER_LEASES, encodeLeaderLeases({ on: true, durationMs: 500 }))
    expect(isRefused(bench)).toBe(true)
    entry(3, ENTRY_CONFIGURATION, encodeChange({ kind: 'change', steps: stepsOf('+9') }))
    expect(isRefused(bench)).toBe(false)
  })
})

test.each([
  [{ bytes: 109, items: 9 }, 1],
  [{ bytes: 110, items: 9 }, 2],
  [{ bytes: 999, items: 1 }, 1],
  [{ bytes: 0, items: 0 }, 1],
])('a leader accepts what its disk stores in time, and at least one entry: %o', (diskRoom, count) => {
  const bench = leader()
  bench.node.diskRoom = diskRoom
  bench.node.proposeAll(['a', 'b', 'c'])
  const detail = `the disk of the leader needs more than 4 s for the ${count} entries (${55 * count} bytes) that it has not stored`
  const refused = [2, 3].slice(count - 1)
  expect(refusals(bench)).toEqual(refused.map((seq) => [seq, { reason: 'overloaded', detail }]))
  bench.node.store()
  bench.node.propose('d')
  expect(refusals(bench)).toEqual([])
})

test('requests to a leader that is gone are refused: there is no leader, or another one', () => {
  for (const [next, refusal] of [
    [(bench: Bench) => bench.step({ kind: 'disconnected', peer: id(2) }), 'leadership-lost'],
    [(bench: Bench) => bench.receive(voteRequest(3, 9)), 'no-leader'],
    [(bench: Bench) => bench.receive(append(3, 2, [0, 0])), 'leadership-lost'],
  ] as const) {
    const bench = follower()
    // Enough time for the election of another leader, but less than the limit for a response.
    bench.nowMs += TIMING.electionMinMs
    bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
    bench.step({ kind: 'read', reads: [{ id: 2, leaderLease: true }] })
    bench.step({ kind: 'disconnected', peer: id(3) })
    expect(bench.raft.inspect()).toMatchObject({ pendingReads: 2 })
    const before = bench.outputs.length
    next(bench)
    const refused = bench.outputs.slice(before).flatMap(({ reads }) => reads)
    expect(refused).toEqual([1, 2].map((one) => ({ id: one, outcome: 'refused', refusal })))
    expect(bench.raft.inspect()).toMatchObject({ pendingReads: 0 })
  }
})

test('reads have different request numbers, and those that a lease may serve are separate', () => {
  const bench = follower()
  bench.step({
    kind: 'read',
    reads: [
      { id: 1, leaderLease: false },
      { id: 2, leaderLease: true },
      { id: 3, leaderLease: false },
    ],
  })
  const requests = bench.takeOf('read-index')
  expect(requests.map(({ leaderLease }) => leaderLease).sort()).toEqual([false, true])
  const ids = requests.map(({ request }) => request)
  expect(new Set(ids).size).toBe(2)
  for (const { request, leaderLease } of requests) {
    const answer = { term: 1, index: asIndex(3), refusal: undefined, commit: asIndex(0) }
    bench.receive({ type: 'read-index-answer', from: 2, request, leaderLease, ...answer })
    const reads = last(bench).reads
    expect(reads.map((read) => read.id)).toEqual(leaderLease ? [2] : [1, 3])
  }
  bench.step({ kind: 'read', reads: [{ id: 4, leaderLease: false }] })
  const [later] = bench.takeOf('read-index')
  expect(ids.every((request) => request < (later?.request ?? 0))).toBe(true)
})

test('the response to a read request has the commit index for the follower', () => {
  const bench = new Bench()
  bench.receive(append(2, 1, [0, 0], [1, 1]))
  bench.settle()
  bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
  const [{ request } = expect.fail()] = bench.takeOf('read-index')
  const answer = { term: 1, index: asIndex(2), refusal: undefined, leaderLease: false, commit: asIndex(2) }
  bench.receive({ type: 'read-index-answer', from: 2, request, ...answer })
  expect(bench.raft.commit).toBe(2)
})

test('reads that wait for the first commit of a leader are bounded', () => {
  const bench = new Bench({ terms: [1], commit: 0 })
  bench.lead()
  const reads = Array.from({ length: WAITING_READS_MAX + 2 }, (_, at) => ({ id: at + 1, leaderLease: false }))
  bench.step({ kind: 'read', reads })
  const refused = last(bench).reads
  expect(refused.length).toBe(2)
  expect(refused.every((read) => read.outcome === 'refused' && read.refusal === 'not-ready')).toBe(true)
  expect((bench.raft.inspect().earlyReads ?? 0) + refused.length).toBe(reads.length)
  bench.acknowledge()
  bench.pass(TIMING.heartbeatMs)
  for (const from of [2, 3]) bench.receive(heartbeatAnswer(bench, from))
  const confirmed = bench.outputs
    .flatMap((output) => output.reads)
    .filter((read) => read.outcome === 'confirmed')
  expect(confirmed.length + refused.length).toBe(reads.length)
  expect(bench.raft.inspect()).toMatchObject({ earlyReads: 0, readers: 0 })
})

describe('reads that wait for a confirmation are bounded', () => {
  const request = (bench: Bench, id: number): void =>
    bench.step({ kind: 'read', reads: [{ id, leaderLease: false }] })
  const refusal = (bench: Bench): unknown =>
    last(bench).reads.map((read) => (read.outcome === 'refused' ? read.refusal : read.outcome))

  test('on a leader, which waits for answers to its rounds', () => {
    const bench = leader()
    const reads = Array.from({ length: WAITING_READS_MAX - 1 }, (_, at) => ({
      id: at + 1,
      leaderLease: false,
    }))
    bench.step({ kind: 'read', reads })
    request(bench, WAITING_READS_MAX)
    expect([refusal(bench), bench.raft.inspect().readers]).toEqual([[], WAITING_READS_MAX])
    request(bench, WAITING_READS_MAX + 1)
    expect([refusal(bench), bench.raft.inspect().readers]).toEqual([['not-ready'], WAITING_READS_MAX])
    bench.receive(heartbeatAnswer(bench, 2))
    expect([last(bench).reads.length, bench.raft.inspect().readers]).toEqual([WAITING_READS_MAX, 0])
  })

  test('on a follower, which waits for its leader', () => {
    const bench = follower()
    for (let read = 1; read <= WAITING_READS_MAX; read++) request(bench, read)
    expect(bench.raft.inspect().pendingReads).toBe(WAITING_READS_MAX)
    request(bench, WAITING_READS_MAX + 1)
    expect([refusal(bench), bench.raft.inspect().pendingReads]).toEqual([['not-ready'], WAITING_READS_MAX])
  })

  test('and so are rounds that may extend a lease', () => {
    const bench = leader({ leases: { on: true, durationMs: 1000 } })
    for (let read = 1; read <= 50; read++) {
      request(bench, read)
      bench.nowMs += 0.1
    }
    expect(bench.raft.inspect()).toMatchObject({ readers: 50, leaderLeaseRounds: 5 })
    for (const from of [2, 3]) bench.receive(heartbeatAnswer(bench, from))
    expect(bench.raft.inspect()).toMatchObject({ readers: 0, leaderLeaseRounds: 0 })
  })
})

describe('a snapshot that is offered', () => {
  const why = (bench: Bench, term: number, index: number) =>
    bench.raft.snapshotRefusal(asTerm(term), asIndex(index))

  test('is accepted when it is of this term or a newer one, and newer than what is committed', () => {
    const bench = new Bench({ base: 5, terms: [1, 2], commit: 6, term: 3 })
    expect(why(bench, 2, 9)).toBe('term 2 is over, this is term 3')
    expect(why(bench, 3, 6)).toBe('index 6 is already committed here')
    expect([why(bench, 3, 7), why(bench, 4, 7)]).toEqual([undefined, undefined])
  })

  test('is refused while another one is being installed', () => {
    const bench = new Bench({ term: 3 })
    const state = { configuration: votersUpTo(3), leaderLeases: LEASES_OFF }
    const meta = { index: asIndex(9), term: asTerm(2), state }
    bench.node.disk.staged.set('s', { meta, clusterTimeMs: 0, machine: [] })
    bench.step({
      kind: 'message',
      message: {
        type: 'snapshot',
        from: id(2),
        to: id(1),
        term: asTerm(3),
        meta,
        snapshotId: 's',
        clusterTimeMs: 0,
      },
    })
    expect(why(bench, 3, 10)).toBe('another snapshot is being installed here')
    expect(bench.raft.installing).toBe(true)
    bench.settle()
    expect([why(bench, 3, 10), bench.raft.installing]).toEqual([undefined, false])
  })
})
