// Bugs that other implementations had, tried on one core. The sources are issues, papers and post-mortems of etcd,
// raft-rs, hashicorp/raft, openraft, logcabin, MicroRaft and others. Bugs that need a whole cluster are transcripts
// (golden/) or schedules of the simulator (jepsen-lite/sim).

import { describe, expect, test } from 'vitest'
import { UnknownKindError } from '../../src/bytes/index.ts'
import { InvariantError } from '../../src/raft/invariant.ts'
import { asIndex, asTerm, type Message } from '../../src/raft/types.ts'
import { append, Bench, heartbeatAnswer, type Incoming, leader, voteRequest } from './harness/bench.ts'
import { pastChange, pastEntries } from './harness/frames.ts'
import { id, votersUpTo } from './harness/members.ts'
import { TIMING } from './harness/node.ts'

const { electionMinMs, electionMaxMs, heartbeatMs } = TIMING

const heartbeat = (from: number, term: number, commit = 0): Incoming => ({
  type: 'heartbeat',
  from,
  term,
  commit: asIndex(commit),
  round: 1,
  confirmed: undefined,
  appliedByMajority: asIndex(0),
})

const rejection = (from: number, term: number, index: number, hint: readonly [number, number]): Incoming => ({
  type: 'append-rejected',
  from,
  term,
  index: asIndex(index),
  hintIndex: asIndex(hint[0]),
  hintTerm: asTerm(hint[1]),
  lastIndex: asIndex(hint[0]),
  round: 0,
  sentAt: 1,
})

describe('elections', () => {
  test('a pre-vote is judged by the same rule as a vote, and leaves no trace', () => {
    const bench = new Bench({ terms: [1, 1], term: 2 })
    const ask = (last: readonly [number, number]): boolean[] => {
      bench.receive({ ...voteRequest(2, 3, last), type: 'pre-vote-request' } as Incoming)
      return bench.takeOf('pre-vote-answer').map(({ granted }) => granted)
    }
    expect(ask([1, 1])).toEqual([false])
    expect(ask([2, 1])).toEqual([true])
    expect(ask([1, 2])).toEqual([true])
    expect({
      term: bench.raft.term,
      vote: bench.raft.status().vote,
      pending: bench.node.process.pending,
    }).toEqual({
      term: 2,
      vote: undefined,
      pending: [],
    })
  })

  test('a leader votes for nobody else in its own term', () => {
    const bench = leader()
    bench.receive(voteRequest(2, bench.raft.term, [9, 9]))
    bench.settle()
    expect(bench.takeOf('vote-answer').filter(({ granted }) => granted)).toEqual([])
    expect(bench.role).toBe('leader')
  })

  test('a vote that was granted in an earlier term does not count', () => {
    const bench = new Bench()
    bench.campaign()
    bench.campaign()
    expect({ role: bench.role, term: bench.raft.term }).toEqual({ role: 'candidate', term: 2 })
    bench.receive({ type: 'vote-answer', from: 2, term: 1, granted: true })
    bench.receive({ type: 'vote-answer', from: 3, term: 1, granted: true })
    expect(bench.role).toBe('candidate')
  })

  test('a pre-vote granted for another term does not count', () => {
    const bench = new Bench({ term: 3 })
    bench.timeout()
    bench.receive({ type: 'pre-vote-answer', from: 2, term: 3, granted: true })
    expect(bench.role).toBe('pre-candidate')
    bench.receive({ type: 'pre-vote-answer', from: 2, term: 4, granted: true })
    expect(bench.role).toBe('candidate')
  })

  test('a vote that arrives twice counts once', () => {
    const bench = new Bench({ voters: 5 })
    bench.campaign()
    for (let times = 0; times < 3; times++)
      bench.receive({ type: 'vote-answer', from: 2, term: 1, granted: true })
    expect(bench.role).toBe('candidate')
    bench.receive({ type: 'vote-answer', from: 3, term: 1, granted: true })
    expect(bench.role).toBe('leader')
  })

  test('a refused vote has the commit index: no other replica may be left that knows of a demotion', () => {
    const refused = (commitTerm: number): Bench => {
      const bench = new Bench({ terms: [1, 2], term: 2 })
      bench.campaign()
      const commit = { commit: asIndex(2), commitTerm: asTerm(commitTerm) }
      bench.receive({ type: 'vote-answer', from: 2, term: bench.raft.term, granted: false, ...commit })
      return bench
    }
    expect(refused(2).raft.commit).toBe(2)
    // A commit index whose entry differs from its own does not count.
    expect(refused(1).raft.commit).toBe(0)
  })

  test('a replica that learns from a refused pre-vote that a change is committed applies it before it campaigns again', () => {
    const bench = new Bench()
    const change = pastChange(1, 1, { kind: 'change', steps: [{ kind: 'demote', id: id(3) }] })
    bench.receive({ ...(append(2, 1, [0, 0]) as Incoming & { type: 'append' }), entries: [change] })
    bench.settle()
    bench.timeout()
    expect(bench.role).toBe('pre-candidate')
    const committed = { commit: asIndex(1), commitTerm: asTerm(1) }
    bench.receive({ type: 'pre-vote-answer', from: 2, term: 1, granted: false, ...committed })
    bench.receive({ type: 'pre-vote-answer', from: 3, term: 2, granted: true })
    expect({ role: bench.role, term: bench.raft.term, applied: bench.raft.applied }).toEqual({
      ...{ role: 'follower', term: 1, applied: 0 },
    })
    // Once it has applied the change, it campaigns with the new configuration.
    bench.settle()
    bench.take()
    bench.campaign()
    expect(bench.role).toBe('candidate')
    expect(bench.raft.configuration.votersOutgoing).toHaveLength(3)
  })

  test('votes of replicas that are not voters do not count', () => {
    const bench = new Bench()
    bench.campaign()
    bench.receive({ type: 'vote-answer', from: 8, term: 1, granted: true })
    bench.receive({ type: 'vote-answer', from: 9, term: 1, granted: true })
    expect(bench.role).toBe('candidate')
  })

  test.each<[string, (term: number) => Incoming]>([
    [
      'append-accepted',
      (term) => ({
        type: 'append-accepted',
        from: 2,
        term,
        index: asIndex(1),
        round: 1,
        sentAt: 1,
        applied: asIndex(0),
      }),
    ],
    ['append-rejected', (term) => rejection(2, term, 1, [0, 0])],
    [
      'heartbeat-answer',
      (term) => ({
        type: 'heartbeat-answer',
        from: 2,
        term,
        round: 1,
        sentAt: 1,
        applied: asIndex(0),
        matched: asIndex(0),
        room: 1,
        lastIndex: asIndex(0),
      }),
    ],
    ['vote-answer', (term) => ({ type: 'vote-answer', from: 2, term, granted: false })],
    ['pre-vote-answer', (term) => ({ type: 'pre-vote-answer', from: 2, term, granted: false })],
    ['vote-request', (term) => ({ ...voteRequest(2, term, [9, 9]), transfer: true }) as Incoming],
  ])('a higher term in any message makes a leader step down: %s', (_, make) => {
    const bench = leader()
    const { term } = bench.raft
    bench.receive(make(term + 3))
    expect({ role: bench.role, term: bench.raft.term }).toEqual({ role: 'follower', term: term + 3 })
  })

  test.each<[string, (bench: Bench) => void]>([
    ['an append of an earlier term', (bench) => bench.receive(append(2, 4, [0, 0]))],
    ['a heartbeat of an earlier term', (bench) => bench.receive(heartbeat(2, 4))],
    ['a vote that it refuses', (bench) => bench.receive(voteRequest(2, 5, [0, 0]))],
    [
      'a pre-vote',
      (bench) => bench.receive({ ...voteRequest(2, 6, [0, 0]), type: 'pre-vote-request' } as Incoming),
    ],
  ])('the election timer is not reset by %s', (_, disturb) => {
    const bench = new Bench({ terms: [5], term: 5 })
    const before = bench.raft.deadline()
    bench.nowMs += electionMinMs / 2
    disturb(bench)
    bench.settle()
    expect(bench.raft.deadline()).toBe(before)
  })

  test('a pre-candidate of a higher term and a shorter log does not block one of a lower term and a longer log', () => {
    // The replica with the longer log receives a refusal of the higher term, adopts that term, and can win in the next
    // round.
    const bench = new Bench({ terms: [1, 1], term: 1 })
    bench.timeout()
    bench.receive({ type: 'pre-vote-answer', from: 2, term: 5, granted: false })
    expect({ role: bench.role, term: bench.raft.term }).toEqual({ role: 'follower', term: 5 })
    bench.settle()
    bench.campaign()
    expect({ role: bench.role, term: bench.raft.term }).toEqual({ role: 'candidate', term: 6 })
  })

  test('a refused pre-vote carries the term of the one that refuses', () => {
    const bench = new Bench({ terms: [5], term: 5 })
    bench.receive({ ...voteRequest(2, 3, [1, 1]), type: 'pre-vote-request' } as Incoming)
    expect(bench.takeOf('pre-vote-answer')).toMatchObject([{ term: 5, granted: false }])
  })

  test.each<[string, Incoming]>([
    ['a heartbeat', { ...heartbeat(2, 4), round: 7 } as Incoming],
    ['an append', { ...append(2, 4, [0, 0]), round: 7 } as Incoming],
  ])(
    '%s of an old term is answered with the newer term, and with no round that its sender could count in it',
    (_, message) => {
      const bench = new Bench({ terms: [5], term: 5 })
      bench.receive(message)
      bench.settle()
      const answers = bench.take()
      expect(answers.map(({ to, term }) => [to, term])).toEqual([[id(2), 5]])
      for (const answer of answers) if ('round' in answer) expect(answer.round).toBe(0)
    },
  )

  test('when its leader is silent, a follower grants pre-votes again without having timed out itself', () => {
    const bench = new Bench({ random: () => 0.99 })
    bench.receive(heartbeat(2, 1))
    bench.settle()
    bench.take()
    const ask = (): unknown => {
      bench.receive({ ...voteRequest(3, 2, [0, 0]), type: 'pre-vote-request' } as Incoming)
      return bench.takeOf('pre-vote-answer').at(-1)?.granted ?? false
    }
    bench.nowMs += electionMinMs - 1
    expect(ask()).toBe(false)
    bench.nowMs += 2
    expect(ask()).toBe(true)
  })

  test('heartbeats that are not well below the election timeout are refused at the start', () => {
    expect(() => new Bench({ timing: { heartbeatMs: electionMinMs } })).toThrow()
    expect(() => new Bench({ timing: { heartbeatMs: electionMinMs / 2 } })).toThrow()
    expect(() => new Bench({ timing: { electionMaxMs: electionMinMs - 1 } })).toThrow()
  })

  test('a leader grants no pre-vote', () => {
    const bench = leader()
    bench.receive({ ...voteRequest(2, bench.raft.term + 1, [9, 9]), type: 'pre-vote-request' } as Incoming)
    expect(bench.takeOf('pre-vote-answer').filter(({ granted }) => granted)).toEqual([])
  })

  test('a leader without contact to a majority for an election timeout steps down', () => {
    const bench = leader({ voters: 5 })
    for (let time = 0; time < 2 * electionMaxMs; time += heartbeatMs) {
      bench.pass(heartbeatMs)
      bench.receive(heartbeatAnswer(bench, 2))
    }
    expect(bench.role).not.toBe('leader')
    expect(bench.raft.leader).toBeUndefined()
  })

  test('a leader in contact with a majority stays leader', () => {
    const bench = leader({ voters: 5 })
    for (let time = 0; time < 3 * electionMaxMs; time += heartbeatMs) {
      bench.pass(heartbeatMs)
      bench.receive(heartbeatAnswer(bench, 2))
      bench.receive(heartbeatAnswer(bench, 3))
    }
    expect(bench.role).toBe('leader')
  })

  test('a learner does not campaign, nor does a replica that belongs to no configuration', () => {
    const learner = new Bench({
      configuration: { ...votersUpTo(3), voters: [id(2), id(3)], learners: [id(1)] },
    })
    learner.pass(5 * electionMaxMs)
    expect(learner.role).toBe('follower')
    const nonMember = new Bench({ configuration: votersUpTo(0) })
    nonMember.pass(5 * electionMaxMs)
    expect(nonMember.role).toBe('follower')
    expect([...learner.take(), ...nonMember.take()]).toEqual([])
  })

  test('a learner votes', () => {
    const bench = new Bench({
      configuration: { ...votersUpTo(3), voters: [id(2), id(3)], learners: [id(1)] },
    })
    bench.receive(voteRequest(2, 1))
    bench.settle()
    expect(bench.takeOf('vote-answer')).toMatchObject([{ granted: true }])
  })
})

describe('replication', () => {
  test('and the reverse of figure 8: an older entry at the end of the scan does not keep newer ones from committing', () => {
    const bench = new Bench({ terms: [1, 2, 2], term: 2 })
    bench.lead()
    bench.acknowledge([2])
    expect(bench.raft.commit).toBe(4)
  })

  test('a follower commits no further than what it was sent and holds', () => {
    // Its entries 3 and 4 are from a deposed leader. The new leader's commit index is 4, but it has sent entries only
    // up to 2.
    const bench = new Bench({ terms: [1, 1, 2, 2], term: 2 })
    bench.receive(append(2, 3, [1, 1], [1], 4))
    bench.settle()
    expect(bench.raft.commit).toBe(2)
  })

  test('the commit index does not go back', () => {
    const bench = new Bench({ terms: [1, 1], term: 1, commit: 2 })
    bench.receive(append(2, 2, [2, 1], [], 1))
    bench.receive(heartbeat(2, 2, 0))
    bench.settle()
    expect(bench.raft.commit).toBe(2)
  })

  test('entries that are there already are not written again, nor is what follows them cut off', () => {
    const bench = new Bench({ terms: [1, 1, 1], term: 1 })
    bench.receive(append(2, 1, [0, 0], [1]))
    bench.receive(append(2, 1, [1, 1]))
    expect(bench.terms).toEqual([1, 1, 1])
    expect(bench.outputs.flatMap(({ write }) => (write === undefined ? [] : [write]))).toEqual([])
  })

  test('an append from the beginning after compaction is no conflict', () => {
    const bench = new Bench({ base: 5, terms: [1, 1], term: 1 })
    bench.receive(append(2, 1, [0, 0], [1, 1, 1], 0))
    bench.settle()
    expect(bench.terms).toEqual([1, 1])
    expect(bench.takeOf('append-rejected')).toEqual([])
  })

  test('an append whose previous entry is compacted is no conflict: what is committed is acknowledged', () => {
    const bench = new Bench({ base: 5, terms: [1], term: 1 })
    bench.receive(append(2, 1, [3, 1], [1, 1, 1], 6))
    bench.settle()
    expect(bench.terms).toEqual([1])
    expect(bench.takeOf('append-rejected')).toEqual([])
    bench.receive(append(2, 1, [5, 1], [1, 1], 7))
    bench.settle()
    expect({ terms: bench.terms, commit: bench.raft.commit }).toEqual({ terms: [1, 1], commit: 7 })
  })

  test('what is committed is never deleted, whatever an append says', () => {
    const bench = new Bench({ terms: [1, 1, 1], term: 1, commit: 3 })
    bench.receive(append(2, 2, [1, 1], [2]))
    bench.settle()
    expect(bench.terms).toEqual([1, 1, 1])
    expect(() =>
      bench.receive({ ...append(2, 2, [3, 1], [2]), entries: pastEntries(3, [2]) } as Incoming),
    ).toThrow(InvariantError)
  })

  test.each([
    [3, 'snapshot'],
    [4, 'snapshot'],
    [5, 'append'],
    [6, 'append'],
  ])('a follower whose log ends at %i gets a %s when the leader compacted up to 5', (last, gets) => {
    const bench = new Bench({ base: 5, terms: [1, 1], term: 1 })
    bench.lead()
    bench.take()
    bench.receive(rejection(2, bench.raft.term, 7, [last, 1]))
    const appends = bench.takeOf('append').filter(({ to }) => to === id(2))
    const snapshots = bench.takeSnapshots()
    if (gets === 'snapshot') {
      expect(snapshots).toEqual([{ to: id(2), atLeast: expect.any(Number) }])
      expect(snapshots[0]?.atLeast).toBeGreaterThanOrEqual(5)
      expect(appends).toEqual([])
    } else {
      expect(snapshots).toEqual([])
      expect(appends).toMatchObject([{ prevIndex: last }])
    }
  })

  test('acknowledgements out of order do not set match back', () => {
    const bench = leader()
    bench.node.propose('a')
    bench.node.propose('b')
    bench.settle()
    const { lastIndex } = bench.raft
    const of2 = () => bench.raft.status().progress.find((one) => one.id === id(2))
    bench.acknowledge([2], lastIndex)
    bench.acknowledge([2], asIndex(lastIndex - 1))
    expect(of2()).toMatchObject({ match: lastIndex, next: lastIndex + 1 })
    bench.receive(rejection(2, bench.raft.term, lastIndex - 1, [0, 0]))
    expect(of2()).toMatchObject({ match: lastIndex, next: lastIndex + 1 })
  })

  test('a new leader knows nothing of what its followers hold', () => {
    const bench = new Bench({ terms: [1, 1, 1], term: 1, commit: 3 })
    bench.lead()
    const { progress } = bench.raft.status()
    expect(progress.filter((one) => one.id !== id(1)).map(({ match }) => match)).toEqual([0, 0])
  })

  test.each([
    // The hint is the follower's last index up to the probe whose term is not above the probe's.
    { log: [1, 1, 1], prev: [5, 3], hint: [3, 1] },
    { log: [1, 1, 2, 2, 2], prev: [4, 1], hint: [2, 1] },
    { log: [1, 1, 2, 2, 2], prev: [5, 3], hint: [5, 2] },
    { log: [2, 2, 2], prev: [3, 1], hint: [0, 0] },
    { log: [1, 3, 3, 3, 3], prev: [9, 2], hint: [1, 1] },
    { log: [], prev: [4, 2], hint: [0, 0] },
  ] as const)('a rejection skips whole terms: %o', ({ log, prev, hint }) => {
    const bench = new Bench({ terms: log, term: 5 })
    bench.receive(append(2, 5, prev))
    bench.settle()
    expect(bench.takeOf('append-rejected')).toMatchObject([
      { index: prev[0], hintIndex: hint[0], hintTerm: hint[1] },
    ])
  })

  test.each([
    // The next probe is the leader's last index up to the hint whose term is not above the hint's.
    { log: [1, 1, 1, 4, 4, 5], hint: [4, 1], next: 3 },
    { log: [1, 1, 1, 4, 4, 5], hint: [5, 4], next: 5 },
    { log: [1, 1, 1, 4, 4, 5], hint: [6, 3], next: 3 },
    { log: [2, 2, 2, 2], hint: [3, 1], next: 0 },
    { log: [1, 2, 3, 4], hint: [2, 2], next: 2 },
  ] as const)('and so does the next probe: %o', ({ log, hint, next }) => {
    const bench = new Bench({ terms: log, term: 6 })
    bench.lead()
    bench.take()
    bench.receive(rejection(2, bench.raft.term, log.length, hint))
    expect(bench.takeOf('append').filter(({ to }) => to === id(2))).toMatchObject([{ prevIndex: next }])
  })

  test('an append that is sent again after a loss carries the whole tail', () => {
    const bench = leader()
    const { lastIndex } = bench.raft
    bench.node.propose('a')
    bench.settle()
    bench.node.propose('b')
    bench.settle()
    bench.take()
    bench.step({ kind: 'disconnected', peer: id(2) })
    bench.step({ kind: 'connected', peer: id(2), boot: 1, term: bench.raft.term, lastIndex })
    for (let time = 0; time < electionMinMs && bench.role === 'leader'; time += heartbeatMs) {
      bench.pass(heartbeatMs)
      bench.receive(heartbeatAnswer(bench, 2, { lastIndex }))
      bench.receive(heartbeatAnswer(bench, 3))
    }
    const sent = bench.takeOf('append').filter(({ to, entries }) => to === id(2) && entries.length > 0)
    expect(sent.length).toBeGreaterThan(0)
    for (const { prevIndex, entries } of sent) {
      expect(prevIndex).toBe(lastIndex)
      expect(entries.map(({ index }) => index)).toEqual([lastIndex + 1, lastIndex + 2])
    }
  })

  test('entries of earlier terms do not count against the limit of a new leader, and its own are given back when committed', () => {
    const bench = leader({ limits: { uncommittedEntriesMax: 2 } })
    for (let round = 0; round < 5; round++) {
      const seqs = ['a', 'b', 'c'].map((text) => bench.node.propose(text))
      const refused = bench.outputs
        .flatMap(({ outcomes }) => outcomes)
        .filter(({ seq, outcome }) => seqs.includes(seq) && outcome === 'refused')
      expect(refused).toMatchObject([{ seq: seqs[2], refusal: { reason: 'overloaded' } }])
      bench.settle()
      bench.acknowledge()
    }
  })

  test('too large a proposal is refused, however empty the log', () => {
    const bench = leader({ limits: { entryBytesMax: 100 } })
    const seq = bench.node.propose('x'.repeat(200))
    expect(bench.outputs.flatMap(({ outcomes }) => outcomes)).toMatchObject([
      { seq, outcome: 'refused', refusal: { reason: 'too-large' } },
    ])
  })
})

describe('disk', () => {
  test('nothing that promises anything leaves before its write is durable', () => {
    const bench = new Bench({ terms: [1], term: 1 })
    bench.receive(voteRequest(2, 2, [1, 1]))
    expect(bench.take()).toEqual([])
    bench.receive(append(2, 2, [1, 1], [2], 0))
    expect(bench.take()).toEqual([])
    bench.node.store()
    expect(bench.take().map(({ type }) => type)).toEqual(['vote-answer'])
    bench.node.store()
    expect(bench.take().map(({ type }) => type)).toEqual(['append-accepted'])
  })

  test('a vote needs only its own term on the disk, an acknowledgement the entries too', () => {
    const bench = new Bench({ terms: [1], term: 1 })
    bench.receive(append(2, 1, [1, 1], [1, 1], 0))
    bench.receive({ ...(voteRequest(2, 2, [3, 1]) as Incoming & { type: 'vote-request' }), transfer: true })
    bench.node.storeTerm()
    expect(bench.take().map(({ type }) => type)).toEqual(['vote-answer'])
    expect(bench.node.disk.hardState).toEqual({ term: 2, vote: id(2), commit: 0 })
    bench.node.store(2)
    expect(bench.take().map(({ type }) => type)).toEqual(['append-accepted'])
  })

  test('a candidate whose term is on the disk is elected, and commits what only the others have stored', () => {
    const bench = new Bench({ terms: [1], term: 1 })
    bench.receive(append(2, 1, [1, 1], [1, 1], 0))
    bench.receive({ type: 'timeout-now', from: 2, term: 1 })
    expect(bench.take()).toEqual([])
    bench.node.storeTerm()
    expect(bench.takeOf('vote-request').map(({ lastIndex }) => lastIndex)).toEqual([3, 3])
    const grant = { granted: true, commit: asIndex(0), commitTerm: asTerm(0) }
    bench.receive({ type: 'vote-answer', from: 3, term: 2, ...grant })
    expect([bench.role, bench.raft.status().stableIndex]).toEqual(['leader', 1])
    const accepted = (from: number): Incoming => ({
      ...{
        type: 'append-accepted',
        from,
        term: 2,
        index: asIndex(4),
        round: 0,
        sentAt: 1,
        applied: asIndex(0),
      },
    })
    // Its own disk does not count yet.
    bench.receive(accepted(2))
    expect(bench.raft.commit).toBe(0)
    bench.receive(accepted(3))
    expect(bench.raft.commit).toBe(4)
  })

  test('a log with a term above the stored one is refused at the start', () => {
    expect(() => new Bench({ terms: [1, 3], term: 2 })).toThrow()
  })

  test('a single voter commits nothing that is not durable', () => {
    const bench = leader({ voters: 1 })
    const { commit } = bench.raft
    bench.node.propose('x')
    expect(bench.raft.commit).toBe(commit)
    expect(bench.committedSoFar.at(-1)?.index).toBe(commit)
    bench.node.store()
    expect(bench.raft.commit).toBe(commit + 1)
  })

  test('a write reported durable says nothing about entries that replaced its own', () => {
    const bench = new Bench({ terms: [1], term: 1 })
    bench.receive(append(2, 2, [1, 1], [2, 2]))
    bench.receive(append(3, 3, [1, 1], [3]))
    bench.node.store()
    expect(bench.raft.status()).toMatchObject({ stableIndex: 1, lastIndex: 2 })
    expect(
      bench.take().filter((message) => message.type === 'append-accepted' && message.term === 3),
    ).toEqual([])
    bench.node.store()
    expect(bench.raft.status()).toMatchObject({ stableIndex: 2, lastIndex: 2 })
  })

  test('a stored commit index beyond the log is refused at the start', () => {
    expect(() => new Bench({ terms: [1], commit: 2 })).toThrow()
  })

  test('what was applied is not handed out again after a restart', () => {
    const bench = new Bench({ terms: [1, 1, 1], term: 1 })
    bench.receive(append(2, 1, [3, 1], [], 3))
    bench.node.apply(2)
    bench.node.flush()
    bench.node.crash()
    bench.node.start()
    bench.outputs.length = 0
    bench.receive(append(2, 1, [3, 1], [], 3))
    bench.settle()
    expect(bench.committedSoFar.map(({ index }) => index)).toEqual([3])
  })
})

describe('snapshots', () => {
  const snapshot = (
    bench: Bench,
    index: number,
    term: number,
    at: { from?: number; term?: number } = {},
  ): Incoming => {
    const meta = { index: asIndex(index), term: asTerm(term), state: bench.node.disk.applied.state }
    const snapshotId = `at ${index}`
    bench.node.disk.staged.set(snapshotId, { meta, clusterTimeMs: 0, machine: [] })
    return { type: 'snapshot', from: at.from ?? 2, term: at.term ?? 3, meta, snapshotId, clusterTimeMs: 0 }
  }

  test('one that the log matches keeps what follows', () => {
    const bench = new Bench({ terms: [1, 1, 1, 1], term: 1 })
    bench.receive(snapshot(bench, 2, 1))
    bench.settle()
    expect(bench.raft.status()).toMatchObject({ commit: 2, applied: 2, firstIndex: 3, lastIndex: 4 })
  })

  test('one that the log contradicts at its index replaces all of it', () => {
    const bench = new Bench({ terms: [1, 1, 1, 1], term: 2 })
    bench.receive(snapshot(bench, 2, 2))
    bench.settle()
    expect(bench.raft.status()).toMatchObject({ commit: 2, applied: 2, firstIndex: 3, lastIndex: 2 })
    expect(bench.takeOf('append-accepted').at(-1)).toMatchObject({ index: 2 })
  })

  test('its term does not lower the term of the replica', () => {
    const bench = new Bench({ terms: [1], term: 7 })
    bench.receive(snapshot(bench, 5, 2, { term: 7 }))
    bench.settle()
    expect(bench.raft.term).toBe(7)
    expect(bench.node.disk.hardState.term).toBe(7)
  })

  test('one from a leader of an earlier term holds nothing but what is committed: it is installed and not acknowledged', () => {
    const bench = new Bench({ terms: [1], term: 7 })
    const before = bench.raft.deadline()
    bench.nowMs += 10
    bench.receive(snapshot(bench, 5, 2, { term: 6 }))
    bench.settle()
    expect(bench.raft.status()).toMatchObject({
      commit: 5,
      applied: 5,
      lastIndex: 5,
      term: 7,
      leader: undefined,
    })
    expect(bench.take()).toEqual([])
    expect(bench.raft.deadline()).toBe(before)
  })

  test('its acknowledgement waits until it is installed', () => {
    const bench = new Bench({ terms: [1], term: 3 })
    bench.receive(snapshot(bench, 5, 2))
    expect(bench.takeOf('append-accepted')).toEqual([])
    bench.settle()
    expect(bench.takeOf('append-accepted')).toMatchObject([{ index: 5 }])
  })

  test('it counts as applied once it is installed: a crash before that takes it back', () => {
    const bench = new Bench({ terms: [1], term: 3 })
    bench.receive(heartbeat(2, 3))
    bench.receive(snapshot(bench, 5, 2, { term: 3 }))
    const applied = (): number[] => {
      bench.receive(heartbeat(2, 3))
      return bench.takeOf('heartbeat-answer').map((answer) => answer.applied)
    }
    expect(applied().at(-1)).toBe(0)
    bench.settle()
    expect(applied()).toEqual([5])
  })

  test('entries handed out before it are not waited for, and their late report is harmless', () => {
    const bench = new Bench({ terms: [1, 1, 1], term: 1 })
    bench.receive(append(2, 1, [3, 1], [], 3))
    expect(bench.node.process.applyQueue.length).toBe(3)
    bench.receive(snapshot(bench, 9, 1))
    // The driver is applying 1 and reports it. Then the snapshot is installed.
    bench.node.apply(1)
    bench.settle()
    expect(bench.raft.status()).toMatchObject({ commit: 9, applied: 9 })
    bench.receive(append(2, 3, [9, 1], [3], 10))
    bench.settle()
    expect(bench.raft.applied).toBe(10)
  })

  test('while one is being installed, the state is as stale as it was', () => {
    const bench = new Bench({ terms: [1], term: 1, commit: 1 })
    bench.receive(heartbeat(2, 1))
    bench.settle()
    bench.nowMs += 50
    bench.take()
    bench.receive(heartbeat(2, 1))
    bench.settle()
    const [lostState] = bench.takeOf('heartbeat-answer')
    if (lostState === undefined) throw new Error('no answer')
    bench.nowMs += 50
    const confirmed = { at: lostState.sentAt, readIndex: asIndex(5) }
    const { raft } = bench
    bench.receive({ ...heartbeat(2, 1), confirmed } as Incoming)
    bench.settle()
    expect(raft.stalenessMs(bench.nowMs)).toBeUndefined()
    bench.receive(snapshot(bench, 5, 1, { term: 1 }))
    bench.receive({ ...heartbeat(2, 1), confirmed } as Incoming)
    expect(raft.stalenessMs(bench.nowMs)).toBeUndefined()
    bench.settle()
    bench.receive({ ...heartbeat(2, 1), confirmed } as Incoming)
    expect(raft.stalenessMs(bench.nowMs)).toBe(50)
  })

  test('a snapshot whose end is never reported is given up', () => {
    const bench = new Bench({ base: 5, terms: [1, 1], term: 1 })
    bench.lead()
    bench.receive(rejection(2, bench.raft.term, 7, [0, 0]))
    const of2 = () => bench.raft.status().progress.find((one) => one.id === id(2))
    expect(of2()).toMatchObject({ state: 'snapshot' })
    bench.receive({ ...rejection(2, bench.raft.term, 7, [0, 0]) })
    bench.step({ kind: 'snapshot-sent', peer: id(2), index: asIndex(7), ok: false })
    expect(of2()).toMatchObject({ state: 'probe' })
  })
})

describe('what cannot be true stops the replica', () => {
  test('an acknowledgement beyond the end of the log', () => {
    const bench = leader()
    expect(() => bench.acknowledge([2], asIndex(99))).toThrow(InvariantError)
  })

  test('another leader in the term in which it follows one', () => {
    const bench = new Bench()
    bench.receive(heartbeat(2, 1))
    expect(() => bench.receive(heartbeat(3, 1))).toThrow(InvariantError)
  })

  test('another leader in the term in which it leads', () => {
    const bench = leader()
    expect(() => bench.receive(append(2, bench.raft.term, [0, 0]))).toThrow(InvariantError)
  })

  test('a clock that goes back', () => {
    const bench = new Bench()
    bench.pass(10)
    expect(() => bench.pass(-1)).toThrow(InvariantError)
  })

  test('and it takes no further step', () => {
    const bench = leader()
    expect(() => bench.acknowledge([2], asIndex(99))).toThrow(InvariantError)
    expect(() => bench.step({ kind: 'tick' })).toThrow(InvariantError)
  })

  test('an entry of a core kind that this program does not know', () => {
    const bench = new Bench()
    const [entry] = pastEntries(1, [1])
    if (entry === undefined) throw new Error('no entry')
    entry.frame[32] = 9
    expect(() => bench.receive({ ...append(2, 1, [0, 0]), entries: [entry] } as Incoming)).toThrow(
      UnknownKindError,
    )
  })
})

describe('who is spoken to', () => {
  test('a message for another replica is not taken', () => {
    const bench = new Bench({ term: 1 })
    const message: Message = {
      ...voteRequest(2, 9),
      from: id(2),
      to: id(3),
      term: asTerm(9),
    } as Message
    try {
      bench.step({ kind: 'message', message })
    } catch (error) {
      expect(error).toBeInstanceOf(InvariantError)
    }
    expect(bench.node.disk.hardState.term).toBe(1)
    expect(bench.take()).toEqual([])
  })

  test('a core has one input at a time and sends nothing to itself', () => {
    const bench = leader()
    bench.node.propose('x')
    bench.settle()
    bench.pass(heartbeatMs)
    expect(bench.take().filter(({ to }) => to === id(1))).toEqual([])
  })

  test('a message is never changed after it was sent or received', () => {
    // The bench freezes both, so a core that changed one would throw. Frames cannot be frozen, so their bytes are
    // compared.
    const bench = new Bench()
    const entries = pastEntries(1, [1, 1])
    const bytes = entries.map(({ frame }) => [...frame])
    bench.receive({ ...append(2, 1, [0, 0]), entries } as Incoming)
    bench.settle()
    bench.lead()
    expect(entries.map(({ frame }) => [...frame])).toEqual(bytes)
  })
})
