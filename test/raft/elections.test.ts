// Elections in detail: the responses of each role, which votes count and until when, the timeouts, and the reported
// role changes.

import { describe, expect, test } from 'vitest'
import { InvariantError } from '../../src/raft/invariant.ts'
import { asIndex, asTerm, type RoleChange } from '../../src/raft/types.ts'
import { append, Bench, type BenchOptions, follower, type Incoming, voteRequest } from './harness/bench.ts'
import { pastChange, pastLeases, textFrame } from './harness/frames.ts'
import { id, memberNamed, votersUpTo } from './harness/members.ts'
import { TIMING } from './harness/node.ts'

const { heartbeatMs, electionMinMs, electionMaxMs, failoverDelayMaxMs } = TIMING
/** With the random number 0.5 of the bench. */
const drawnElectionMs = (electionMinMs + electionMaxMs) / 2

const preVoteRequest = (from: number, term: number, last: readonly [number, number] = [0, 0]): Incoming =>
  ({ ...voteRequest(from, term, last), type: 'pre-vote-request' }) as Incoming

function vote(
  bench: Bench,
  from: number,
  granted: boolean,
  committed: readonly [number, number] = [0, 0],
): void {
  const [commit, commitTerm] = [asIndex(committed[0]), asTerm(committed[1])]
  const answer = { from, granted, commit, commitTerm }
  if (bench.role === 'pre-candidate') {
    bench.receive({ ...answer, type: 'pre-vote-answer', term: bench.raft.term + (granted ? 1 : 0) })
  } else bench.receive({ ...answer, type: 'vote-answer', term: bench.raft.term })
}

/** A follower whose leader is gone; it fails over. */
function orphan(options: BenchOptions = {}): Bench {
  const bench = follower(options)
  bench.step({ kind: 'unreachable', peer: id(2) })
  return bench
}

const changes = (bench: Bench): RoleChange[] => bench.outputs.flatMap(({ roleChange }) => roleChange ?? [])
const roleChanges = (bench: Bench): string[] =>
  changes(bench).map(({ role, term, why }) => `${role}@${term}: ${why}`)
const waits = (bench: Bench): number => bench.raft.deadline() - bench.nowMs

describe('each change of role, term or leader is reported with its reason', () => {
  test('from follower to leader and back', () => {
    const bench = new Bench({ leases: { on: false, durationMs: 500 } })
    bench.lead()
    bench.receive({ ...voteRequest(3, 3), transfer: true } as Incoming)
    bench.receive(append(3, 4, [0, 0]))
    bench.step({ kind: 'unreachable', peer: id(3) })
    expect(roleChanges(bench)).toEqual([
      'pre-candidate@0: election timeout',
      'candidate@1: won the pre-vote',
      'leader@1: won the election',
      'follower@3: message of term 3',
      'follower@4: message from the leader of term 4',
      'follower@4: the connection to the leader broke and cannot be made again',
    ])
    expect(changes(bench).map(({ leader }) => leader)).toEqual([
      ...[undefined, undefined, id(1), undefined, id(3), undefined],
    ])
  })

  test('a follower that may not campaign when its leader is silent: the reason', () => {
    const learner = new Bench({
      configuration: { ...votersUpTo(3), voters: [2, 3].map(id), learners: [id(1)] },
    })
    learner.receive(append(2, 1, [0, 0]))
    learner.pass(electionMaxMs)
    expect(roleChanges(learner).at(-1)).toBe('follower@1: election timeout, but no candidate: not a voter')

    const changing = new Bench()
    const change = pastChange(1, 1, { kind: 'change', steps: [{ kind: 'demote', id: id(3) }] })
    const sent = append(2, 1, [0, 0], [], 1) as Incoming & { type: 'append' }
    changing.receive({ ...sent, entries: [change] })
    while (changing.node.process.pending.length > 0) changing.node.store()
    changing.pass(electionMaxMs)
    expect(roleChanges(changing).at(-1)).toBe(
      'follower@1: election timeout, but no candidate: a committed change of the configuration is not applied',
    )

    const bound = new Bench()
    const setting = pastLeases(1, 1, { on: true, durationMs: 4 * electionMaxMs })
    bound.receive({ ...(append(2, 1, [0, 0]) as Incoming & { type: 'append' }), entries: [setting] })
    bound.settle()
    bound.pass(electionMaxMs)
    expect(roleChanges(bound).at(-1)).toBe(
      'follower@1: election timeout, but no candidate: bound to a leader by the lease setting',
    )
    expect(waits(bound)).toBe(3 * electionMaxMs + failoverDelayMaxMs / 2)
  })

  test('a disk that stalls ends a campaign as well', () => {
    const bench = new Bench()
    bench.receive(append(2, 1, [0, 0], [1]))
    bench.settle()
    bench.timeout()
    bench.nowMs += 1
    bench.receive(append(2, 2, [1, 1], [2]))
    bench.pass(electionMaxMs)
    expect([bench.role, roleChanges(bench).at(-1)]).toEqual([
      'follower',
      'follower@2: election timeout, but no candidate: own disk stalls',
    ])
    expect(bench.raft.deadline()).toBeGreaterThan(bench.nowMs)
  })

  test('a pre-candidate gives up when its disk stalls', () => {
    const bench = new Bench({ voters: 5 })
    bench.receive(append(2, 1, [0, 0], [1]))
    bench.settle()
    bench.receive(append(2, 1, [1, 1], [1]))
    bench.step({ kind: 'unreachable', peer: id(2) })
    bench.pass(waits(bench))
    expect(bench.role).toBe('pre-candidate')
    bench.nowMs += electionMaxMs
    bench.step({ kind: 'tick' })
    expect([bench.role, roleChanges(bench).at(-1)]).toEqual([
      'follower',
      'follower@1: election timeout, but no candidate: own disk stalls',
    ])
  })

  test('after a long stall the disk is granted at most five election timeouts', () => {
    const bench = new Bench()
    bench.receive(append(2, 1, [0, 0], [1]))
    bench.nowMs += 100 * electionMaxMs
    bench.settle()
    bench.receive(append(2, 1, [1, 1], [1]))
    bench.pass(5 * electionMaxMs - 1)
    expect(bench.role).toBe('pre-candidate')
    bench.pass(electionMaxMs)
    expect(roleChanges(bench).at(-1)).toBe('follower@1: election timeout, but no candidate: own disk stalls')
  })

  test('after each election without a winner the next one is later, until a leader is live', () => {
    const bench = new Bench()
    const pauses = (terms: readonly number[]): number[] =>
      terms.map((term) => {
        bench.receive(voteRequest(2, term))
        bench.settle()
        const waitMs = waits(bench)
        bench.nowMs += waitMs
        return waitMs - drawnElectionMs
      })
    const none = [125, 875, 2500, 4250, 4250]
    expect(pauses([1, 2, 3, 4, 5, 6])).toEqual([0, ...none])
    bench.receive(append(2, 6, [0, 0]))
    expect(waits(bench)).toBe(drawnElectionMs)
    bench.nowMs += electionMinMs
    expect(pauses([7, 8])).toEqual([0, 125])

    const alone = new Bench({ voters: 2 })
    for (const pause of [0, ...none]) {
      alone.timeout()
      vote(alone, 2, true)
      alone.settle()
      expect([alone.role, waits(alone) - drawnElectionMs]).toEqual(['candidate', pause])
    }
    vote(alone, 2, true)
    alone.pass(2 * electionMaxMs)
    expect([alone.role, waits(alone)]).toEqual(['follower', drawnElectionMs])
  })

  test('a deposed leader reports that nothing of its leadership is under way', () => {
    const bench = new Bench({ terms: [1], commit: 0 })
    bench.lead()
    bench.step({ kind: 'read', reads: [{ id: 1, leaderLease: false }] })
    expect(bench.raft.inspect()).toMatchObject({ earlyReads: 1 })
    bench.receive(voteRequest(2, 9, [9, 9]))
    bench.receive(append(2, 9, [0, 0]))
    const ofLeaders = { readers: 0, earlyReads: 0, leaderLeaseRounds: 0, transfer: 0, retiring: 0 }
    expect(bench.raft.inspect()).toMatchObject(ofLeaders)
  })

  test('elections in quick succession do not move the next one away', () => {
    const bench = orphan({ voters: 5 })
    for (const since = bench.nowMs; bench.nowMs - since < electionMinMs; ) {
      bench.timeout()
      for (const from of [3, 4]) vote(bench, from, true)
      bench.settle()
    }
    expect([bench.role, bench.raft.term]).toEqual(['candidate', 6])
    expect(waits(bench)).toBeLessThan(electionMaxMs)
  })

  test('an unanswered pre-vote is tried again as soon as before, however long there was no winner', () => {
    const bench = new Bench()
    for (const term of [1, 2, 3, 4]) {
      bench.receive(voteRequest(2, term))
      bench.settle()
      bench.nowMs += waits(bench)
    }
    bench.timeout()
    expect([bench.role, waits(bench)]).toEqual(['pre-candidate', drawnElectionMs])
  })

  test('a candidate gives the others twice the time for their votes that its own disk took', () => {
    const bench = new Bench()
    bench.timeout()
    vote(bench, 2, true)
    bench.nowMs += 2 * electionMaxMs
    bench.settle()
    expect([bench.role, waits(bench)]).toEqual(['candidate', 4 * electionMaxMs + electionMaxMs])
  })

  test('a replica does not campaign while its term or its vote is being written', () => {
    const bench = new Bench()
    bench.receive(voteRequest(2, 1))
    bench.nowMs += drawnElectionMs - 1
    // The disk is busy with other work.
    bench.step({ kind: 'stored', write: 0, termWrite: 0 })
    bench.pass(1)
    expect([changes(bench).length, bench.role, waits(bench)]).toEqual([1, 'follower', drawnElectionMs])
    bench.settle()
    bench.pass(drawnElectionMs)
    expect(bench.role).toBe('pre-candidate')
  })

  test('a replica that learns of a change that it has not applied gives up its campaign', () => {
    const bench = new Bench()
    const change = pastChange(1, 1, { kind: 'change', steps: [{ kind: 'demote', id: id(3) }] })
    bench.receive({ ...(append(2, 1, [0, 0]) as Incoming & { type: 'append' }), entries: [change] })
    bench.settle()
    bench.step({ kind: 'unreachable', peer: id(2) })
    bench.pass(waits(bench))
    vote(bench, 3, false, [1, 1])
    expect(roleChanges(bench).at(-1)).toBe(
      'follower@1: no candidate any more: a committed change of the configuration is not applied',
    )
    // The leader is gone, so it campaigns again soon.
    expect(waits(bench)).toBe(1.5 * failoverDelayMaxMs)
  })
})

describe('votes', () => {
  test('a candidate that learns the commit index from a vote continues', () => {
    const bench = new Bench({ terms: [1, 2], term: 2 })
    bench.campaign()
    vote(bench, 2, false, [2, 2])
    expect([bench.raft.commit, bench.role]).toEqual([2, 'candidate'])
  })

  test('votes that arrive after the election change nothing, neither for a leader nor for a follower of another', () => {
    const elected = new Bench({ voters: 5, terms: [1], term: 1 })
    elected.lead()
    const { term } = elected.raft
    for (const from of [4, 5]) vote(elected, from, true)
    for (const from of [2, 3, 4]) vote(elected, from, false)
    expect([elected.role, elected.raft.term, elected.raft.inspect().votes]).toEqual(['leader', term, 0])

    const other = new Bench()
    const change = pastChange(1, 1, { kind: 'change', steps: [{ kind: 'demote', id: id(3) }] })
    other.receive({ ...(append(2, 1, [0, 0]) as Incoming & { type: 'append' }), entries: [change] })
    other.settle()
    other.campaign()
    other.receive(append(3, other.raft.term, [1, 1]))
    vote(other, 2, false, [1, 1])
    expect([other.raft.leader, other.raft.commit]).toEqual([id(3), 1])
  })

  test('a leader counts commits itself, and does not step down because of the commit index in a late vote', () => {
    const bench = new Bench({ voters: 5, term: 1 })
    const change = pastChange(1, 1, { kind: 'change', steps: [{ kind: 'demote', id: id(3) }] })
    bench.receive({ ...(append(2, 1, [0, 0]) as Incoming & { type: 'append' }), entries: [change] })
    bench.settle()
    bench.lead()
    vote(bench, 5, true, [1, 1])
    expect([bench.role, bench.raft.commit]).toEqual(['leader', 0])
  })

  test('the first answer of each replica counts', () => {
    const bench = new Bench({ voters: 5 })
    bench.campaign()
    vote(bench, 2, true)
    vote(bench, 2, false)
    vote(bench, 3, true)
    expect(bench.role).toBe('leader')
  })

  test('the others elect a candidate whose own disk is slow', () => {
    const bench = new Bench({ random: () => 0.99 })
    bench.timeout()
    vote(bench, 2, true)
    bench.nowMs += electionMinMs
    for (const from of [2, 3]) vote(bench, from, true)
    expect(bench.role).toBe('leader')
  })

  test('the own vote counts when it is durable, not when an earlier write is', () => {
    const bench = new Bench()
    bench.receive(append(2, 1, [0, 0], [1]))
    bench.receive({ type: 'timeout-now', from: 2, term: 1 })
    expect([bench.role, bench.node.process.pending.length]).toEqual(['candidate', 2])
    bench.node.store()
    vote(bench, 3, true)
    expect(bench.role).toBe('candidate')
    bench.node.store()
    expect(bench.role).toBe('leader')
  })

  test('are refused by a replica that knows the leader of that term', () => {
    const bench = follower()
    bench.receive(voteRequest(3, 1, [9, 9]))
    bench.settle()
    expect(bench.takeOf('vote-answer')).toMatchObject([{ to: id(3), term: 1, granted: false }])
    bench.nowMs += electionMinMs
    bench.receive(voteRequest(3, 1, [9, 9]))
    bench.settle()
    expect(bench.takeOf('vote-answer')).toMatchObject([{ granted: false }])
    expect(bench.raft.status().vote).toBeUndefined()
  })

  test('a pre-vote for a term in which this replica has voted is granted to that candidate only', () => {
    const bench = new Bench()
    bench.receive(voteRequest(3, 2))
    bench.settle()
    bench.take()
    for (const from of [2, 3]) bench.receive(preVoteRequest(from, 2))
    expect(bench.takeOf('pre-vote-answer').map(({ to, granted }) => [to, granted])).toEqual([
      [id(2), false],
      [id(3), true],
    ])
  })

  test('each response has the commit index and its term', () => {
    const bench = new Bench({ terms: [1, 2], term: 2, commit: 2 })
    bench.settle()
    for (const request of [preVoteRequest(2, 1), voteRequest(2, 1), preVoteRequest(2, 3), voteRequest(2, 3)])
      bench.receive(request)
    bench.settle()
    const answers = bench.take()
    expect(answers.map(({ type }) => type).sort()).toEqual([
      ...['pre-vote-answer', 'pre-vote-answer', 'vote-answer', 'vote-answer'],
    ])
    for (const answer of answers) expect(answer).toMatchObject({ granted: false, commit: 2, commitTerm: 2 })
  })

  test('all voters receive one request, including those of the outgoing half', () => {
    const configuration = {
      ...votersUpTo(5),
      voters: [1, 4, 5].map(id),
      votersOutgoing: [1, 2, 3, 4].map(id),
    }
    const bench = new Bench({ configuration })
    bench.timeout()
    expect(bench.takeOf('pre-vote-request').map(({ to }) => to)).toEqual([2, 3, 4, 5].map(id))
  })
})

describe('how long a replica waits', () => {
  test('a granted vote gives the candidate time; a refused one, or a higher term alone, does not', () => {
    const waitsAfter = (request: Incoming): number => {
      const bench = new Bench({ terms: [5], term: 5 })
      bench.nowMs += 100
      bench.receive(request)
      return waits(bench)
    }
    expect(waitsAfter(voteRequest(2, 6, [1, 5]))).toBe(drawnElectionMs)
    expect(waitsAfter(voteRequest(2, 6, [0, 0]))).toBe(drawnElectionMs - 100)
    expect(waitsAfter(preVoteRequest(2, 6, [1, 5]))).toBe(drawnElectionMs - 100)
  })

  test('a leader that receives a newer term waits an election timeout before it campaigns', () => {
    const bench = new Bench()
    bench.lead()
    bench.nowMs += 2 * electionMaxMs
    bench.receive(voteRequest(2, 9, [9, 9]))
    bench.receive({ ...voteRequest(2, 9, [0, 0]), transfer: true } as Incoming)
    expect([bench.role, waits(bench)]).toEqual(['follower', drawnElectionMs])
  })

  test('a replica that fails over from a leader that is gone loses little time by a tie', () => {
    const bench = orphan({ voters: 5 })
    expect(waits(bench)).toBe(0.5 * failoverDelayMaxMs)
    bench.pass(waits(bench))
    expect([bench.role, waits(bench)]).toEqual(['pre-candidate', 1.5 * failoverDelayMaxMs])
    for (const from of [2, 3, 4]) vote(bench, from, false)
    expect([bench.role, waits(bench)]).toEqual(['follower', 1.5 * failoverDelayMaxMs])
    bench.pass(waits(bench))
    for (const from of [3, 4]) vote(bench, from, true)
    expect([bench.role, waits(bench)]).toEqual(['candidate', 3 * failoverDelayMaxMs])
    for (const from of [2, 3, 4]) vote(bench, from, false)
    expect([bench.role, waits(bench)]).toEqual(['follower', 1.5 * failoverDelayMaxMs])
    // For as long as an election timeout; afterwards as usual.
    bench.settle()
    bench.nowMs += electionMinMs
    bench.step({ kind: 'tick' })
    expect([bench.role, waits(bench)]).toEqual(['pre-candidate', drawnElectionMs])
  })

  test('a replica with contact to a leader ends its fail-over', () => {
    const bench = orphan()
    bench.receive(append(3, 2, [0, 0]))
    bench.nowMs += 10
    bench.receive(preVoteRequest(2, 3))
    bench.receive(voteRequest(2, 2, [9, 9]))
    expect(waits(bench)).toBe(drawnElectionMs - 10)
  })

  test('a replica that grants a pre-vote during a fail-over waits for the winner; one that refuses does not', () => {
    const granting = orphan()
    granting.receive(preVoteRequest(3, 2))
    expect(granting.takeOf('pre-vote-answer')).toMatchObject([{ granted: true }])
    expect(waits(granting)).toBe(1.5 * failoverDelayMaxMs)
    const late = orphan()
    late.nowMs += electionMinMs
    const deadline = late.raft.deadline()
    late.receive(preVoteRequest(3, 2))
    expect([late.takeOf('pre-vote-answer').length, late.raft.deadline()]).toEqual([1, deadline])
    late.step({ kind: 'tick' })
    expect([late.role, waits(late)]).toEqual(['pre-candidate', drawnElectionMs])
    const refusing = orphan({ terms: [1], term: 1 })
    const before = waits(refusing)
    refusing.receive(preVoteRequest(3, 2))
    expect(refusing.takeOf('pre-vote-answer')).toMatchObject([{ granted: false }])
    expect(waits(refusing)).toBe(before)
  })

  test('the only voter campaigns at once, but neither a learner beside it nor the only voter of one of two halves', () => {
    const one = { ...votersUpTo(2), voters: [id(2)], learners: [id(1)] }
    expect(waits(new Bench({ voters: 1 }))).toBe(0)
    expect(waits(new Bench({ configuration: one }))).toBe(drawnElectionMs)
    const joint = { ...votersUpTo(2), voters: [id(1)], votersOutgoing: [1, 2].map(id) }
    expect(waits(new Bench({ configuration: joint }))).toBe(drawnElectionMs)
  })

  test('a promise of leases that is longer than an election timeout binds it, a shorter one adds nothing', () => {
    const deadline = (durationMs: number, on = true, drawn = 0.5): number => {
      const bench = new Bench({ leases: { on, durationMs }, random: () => drawn })
      bench.receive(append(2, 1, [0, 0]))
      bench.settle()
      bench.nowMs += 100
      bench.receive(append(2, 1, [0, 0]))
      return waits(bench)
    }
    expect([deadline(100), deadline(5000, false)]).toEqual([drawnElectionMs, drawnElectionMs])
    // All others are bound until the same moment, and should not campaign together.
    expect([0, 0.5, 1].map((drawn) => deadline(5000, true, drawn))).toEqual([
      ...[5000, 5000 + failoverDelayMaxMs / 2, 5000 + failoverDelayMaxMs],
    ])
  })

  test('a start under leases that are off promises nothing later', () => {
    const bench = new Bench({ voters: 5 })
    bench.lead()
    bench.acknowledge()
    bench.node.setLeases({ on: true, durationMs: 100_000 })
    bench.acknowledge()
    expect(bench.raft.leaderLeases.on).toBe(true)
    bench.receive({ ...voteRequest(2, 9, [9, 9]), transfer: true } as Incoming)
    bench.settle()
    bench.take()
    bench.receive(voteRequest(3, 10, [9, 9]))
    bench.settle()
    expect(bench.takeOf('vote-answer')).toMatchObject([{ to: id(3), term: 10, granted: true }])
  })

  test('election timeouts are drawn from a range, not from a point', () => {
    expect(() => new Bench({ timing: { electionMaxMs: electionMinMs } })).toThrow(InvariantError)
  })
})

describe('a replica that receives TimeoutNow', () => {
  test('does not when it leads already', () => {
    const bench = new Bench()
    bench.lead()
    const { term } = bench.raft
    bench.receive({ type: 'timeout-now', from: 2, term })
    expect([bench.role, bench.raft.term]).toEqual(['leader', term])
  })

  test('applies first the change that is committed, if it does so in time', () => {
    for (const waitMs of [0, electionMinMs - 1, electionMinMs]) {
      const bench = new Bench()
      const steps = [{ kind: 'update', member: memberNamed('n3', id(3)) }] as const
      const change = pastChange(1, 1, { kind: 'change', steps })
      const sent = append(2, 1, [0, 0], [], 1) as Incoming & { type: 'append' }
      bench.receive({ ...sent, entries: [change] })
      while (bench.node.process.pending.length > 0) bench.node.store()
      bench.receive({ type: 'timeout-now', from: 2, term: 1 })
      expect(bench.role).toBe('follower')
      bench.nowMs += waitMs
      bench.node.apply()
      expect([waitMs, bench.role]).toEqual([waitMs, waitMs < electionMinMs ? 'candidate' : 'follower'])
    }
  })
})

describe('messages of a term that is over', () => {
  test('are answered depending on their type', () => {
    const bench = new Bench({ terms: [1], term: 1 })
    bench.lead()
    const led = bench.raft.term
    bench.receive(append(3, led + 1, [1, 1]))
    bench.settle()
    bench.take()
    const said = (message: Incoming): unknown => {
      bench.receive(message)
      bench.settle()
      return bench.take()
    }
    const heartbeat = {
      from: 2,
      term: led,
      commit: asIndex(0),
      round: 7,
      confirmed: undefined,
      appliedByMajority: asIndex(0),
    }
    expect(said({ ...heartbeat, type: 'heartbeat' })).toMatchObject([
      {
        type: 'heartbeat-answer',
        to: id(2),
        term: led + 1,
        round: 0,
        applied: 0,
        lastIndex: 2,
      },
    ])
    expect(said({ type: 'read-index', from: 2, term: led, request: 4, leaderLease: true })).toMatchObject([
      {
        type: 'read-index-answer',
        to: id(2),
        request: 4,
        index: undefined,
        refusal: 'not-leader',
        leaderLease: false,
      },
    ])
    const proposals = [{ seq: 5, frame: textFrame(id(2), 1, 5, 'x') }]
    expect(said({ type: 'forward', from: 2, term: led, boot: 1, proposals })).toMatchObject([
      {
        ...{ type: 'forward-refused', to: id(2), term: led + 1, meantFor: led },
        refused: [{ seq: 5, refusal: { reason: 'not-leader' } }],
      },
    ])
    expect(said({ type: 'timeout-now', from: 2, term: led })).toEqual([])
  })
})

test('a setting of leases that is truncated from the log binds no replica', () => {
  const bench = new Bench()
  const setting = pastLeases(1, 1, { on: true, durationMs: 100_000 })
  bench.receive({ ...(append(2, 1, [0, 0]) as Incoming & { type: 'append' }), entries: [setting] })
  bench.settle()
  expect(bench.raft.inspect().unappliedLeaderLeases).toBe(1)
  bench.nowMs += heartbeatMs
  bench.receive(append(3, 2, [0, 0], [2]))
  bench.receive(append(3, 2, [1, 2]))
  expect([bench.raft.inspect().unappliedLeaderLeases, waits(bench)]).toEqual([0, drawnElectionMs])
})
