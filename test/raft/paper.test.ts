// The statements of the Raft paper about one server (paper §5.1 to §5.4). The title of each test is its sentence. The
// test runs one core and simulates the other servers. The core requests pre-votes first (thesis §9.6), which the test
// grants.

import { describe, expect, test } from 'vitest'
import { DRAW } from '../../jepsen-lite/sim/schedule/random-purposes.ts'
import { stream } from '../../jepsen-lite/workload/random.ts'
import { asIndex, type Message } from '../../src/raft/types.ts'
import { append, Bench, type BenchOptions, leader, voteRequest } from './harness/bench.ts'
import { describeEntry } from './harness/frames.ts'
import { id } from './harness/members.ts'
import { TIMING } from './harness/node.ts'

const { electionMinMs, electionMaxMs, heartbeatMs } = TIMING

function follower(options: BenchOptions = {}): Bench {
  return new Bench({ term: 1, ...options })
}

function candidate(options: BenchOptions = {}): Bench {
  const bench = new Bench(options)
  bench.campaign()
  expect(bench.role).toBe('candidate')
  bench.take()
  return bench
}

const to = (messages: readonly Message[]): number[] => messages.map((message) => Number(message.to)).sort()

describe('§5.1 terms', () => {
  test.each([
    ['a follower', () => follower({ term: 1 })],
    ['a candidate', () => candidate({ term: 0 })],
    ['a leader', () => leader({ term: 0 })],
  ])('if %s sees a larger term, it updates its own and is a follower', (_, make) => {
    const bench = make()
    expect(bench.raft.term).toBe(1)
    bench.receive(append(2, 2, [0, 0]))
    expect({ term: bench.raft.term, role: bench.role }).toEqual({ term: 2, role: 'follower' })
  })

  test('a server that receives a request with a stale term number rejects the request', () => {
    const bench = follower({ term: 2 })
    bench.receive(append(2, 1, [0, 0], [1], 1))
    bench.settle()
    expect({ terms: bench.terms, leader: bench.raft.leader, commit: bench.raft.commit }).toEqual({
      terms: [],
      leader: undefined,
      commit: 0,
    })
    expect(bench.takeOf('append-accepted')).toEqual([])
  })
})

describe('§5.2 leader election', () => {
  test('leaders send periodic heartbeats to all followers, whatever else waits', () => {
    const bench = leader({ term: 0 })
    for (let at = 0; at < 10; at++) bench.node.propose(`entry ${at}`)
    bench.settle()
    bench.take()
    bench.pass(heartbeatMs)
    const beats = bench.take().filter(({ type }) => type === 'heartbeat')
    expect(to(beats)).toEqual([2, 3])
  })

  test.each([
    ['a follower that receives no communication', () => follower({ term: 1 })],
    ['a candidate that neither wins nor loses', () => candidate({ term: 0 })],
  ])(
    '%s over a period begins an election: next term, own vote, RequestVote to all in parallel',
    (_, make) => {
      const bench = make()
      const start = bench.nowMs
      bench.timeout()
      expect(bench.nowMs - start).toBeLessThan(2 * electionMaxMs)
      expect(to(bench.takeOf('pre-vote-request'))).toEqual([2, 3])
      bench.receive({ type: 'pre-vote-answer', from: 2, term: 2, granted: true })
      expect({ role: bench.role, term: bench.raft.term, vote: bench.raft.status().vote }).toEqual({
        role: 'candidate',
        term: 2,
        vote: id(1),
      })
      // Its vote for itself must be durable before others may count on it.
      expect(bench.takeOf('vote-request')).toEqual([])
      bench.settle()
      const requests = bench.takeOf('vote-request')
      expect(to(requests)).toEqual([2, 3])
      for (const { term, lastIndex, lastTerm } of requests)
        expect({ term, lastIndex, lastTerm }).toEqual({ term: 2, lastIndex: 0, lastTerm: 0 })
    },
  )

  test.each([
    // A majority of the full cluster votes for it.
    [1, {}, 'leader'],
    [3, { 2: true, 3: true }, 'leader'],
    [3, { 2: true }, 'leader'],
    [5, { 2: true, 3: true, 4: true, 5: true }, 'leader'],
    [5, { 2: true, 3: true, 4: true }, 'leader'],
    [5, { 2: true, 3: true }, 'leader'],
    // A majority denies.
    [3, { 2: false, 3: false }, 'follower'],
    [5, { 2: false, 3: false, 4: false, 5: false }, 'follower'],
    [5, { 2: true, 3: false, 4: false, 5: false }, 'follower'],
    // Neither a majority for it nor against it.
    [3, {}, 'candidate'],
    [5, { 2: true }, 'candidate'],
    [5, { 2: false, 3: false }, 'candidate'],
    [5, {}, 'candidate'],
  ] as const)(
    'a candidate wins if it receives votes from a majority: %i servers, votes %o: %s',
    (voters, votes, role) => {
      const bench = new Bench({ voters })
      bench.campaign()
      for (const [from, granted] of Object.entries(votes))
        bench.receive({ type: 'vote-answer', from: Number(from), term: 1, granted })
      bench.settle()
      expect({ role: bench.role, term: bench.raft.term }).toEqual({ role, term: 1 })
    },
  )

  test.each([
    [undefined, 2, true],
    [undefined, 3, true],
    [2, 2, true],
    [3, 3, true],
    [2, 3, false],
    [3, 2, false],
  ] as const)(
    'each server votes for at most one candidate in a term: voted for %o, asked by %i: %o',
    (vote, from, granted) => {
      const bench = follower({ term: 1, ...(vote && { vote: id(vote) }) })
      bench.receive(voteRequest(from, 1))
      if (vote === undefined) expect(bench.take()).toEqual([]) // not before the vote is durable
      bench.settle()
      expect(bench.takeOf('vote-answer').map((answer) => [Number(answer.to), answer.granted])).toEqual([
        [from, granted],
      ])
    },
  )

  test.each([1, 2])(
    'while waiting for votes, a candidate recognises a leader whose term is at least its own: term %i',
    (term) => {
      const bench = candidate({ term: 0 })
      bench.receive(append(2, term, [0, 0]))
      const { role } = bench
      expect({ role, term: bench.raft.term, leader: bench.raft.leader }).toEqual({
        role: 'follower',
        term,
        leader: id(2),
      })
    },
  )

  /** Election timeouts of one server, each with a new random number. */
  function waits(make: (random: () => number) => Bench, rounds: number): number[] {
    const random = stream(7, DRAW.election, 1)
    return Array.from({ length: rounds }, () => {
      const bench = make(random)
      const start = bench.nowMs
      bench.timeout()
      return bench.nowMs - start
    })
  }

  test.each([
    ['follower', (random: () => number) => follower({ random })],
    ['candidate', (random: () => number) => candidate({ random })],
  ])('election timeouts are chosen randomly from a fixed interval: %s', (_, make) => {
    const tenths = new Set<number>()
    for (const wait of waits(make, 200)) {
      expect(wait).toBeGreaterThanOrEqual(electionMinMs)
      expect(wait).toBeLessThan(electionMaxMs + 1)
      tenths.add(Math.floor(((wait - electionMinMs) / (electionMaxMs - electionMinMs)) * 10))
    }
    expect([...tenths].filter((tenth) => tenth < 10).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  test.each([
    ['follower', (random: () => number) => follower({ random, voters: 5 })],
    ['candidate', (random: () => number) => candidate({ random, voters: 5 })],
  ])('randomised election timeouts ensure that split votes are rare: %s', (_, make) => {
    const tick = (electionMaxMs - electionMinMs) / 10
    const rounds = 200
    const all = waits(make, 5 * rounds).map((wait) => Math.floor(wait / tick))
    let conflicts = 0
    for (let at = 0; at < all.length; at += 5) {
      const round = all.slice(at, at + 5)
      if (round.filter((one) => one === Math.min(...round)).length > 1) conflicts++
    }
    expect(conflicts / rounds).toBeLessThanOrEqual(0.3)
  })
})

describe('§5.3 log replication', () => {
  test('the leader appends the command to its log and issues AppendEntries to all others in parallel', () => {
    const bench = leader({ term: 0 })
    const last = bench.raft.lastIndex
    bench.node.propose('some data')
    expect(bench.raft.status()).toMatchObject({ lastIndex: last + 1, stableIndex: last, commit: last })
    const appends = bench.takeOf('append').filter(({ entries }) => entries.length > 0)
    expect(to(appends)).toEqual([2, 3])
    for (const message of appends) {
      expect(message).toMatchObject({ prevIndex: last, prevTerm: 1, commit: last })
      expect(message.entries.map((entry) => [entry.index, entry.term, describeEntry(entry)])).toEqual([
        [last + 1, 1, 'some data'],
      ])
    }
  })

  test('when the entry has been safely replicated, the leader applies it and tells the others of its commit index', () => {
    const bench = leader({ term: 0 })
    const last = bench.raft.lastIndex
    bench.node.propose('some data')
    bench.settle()
    bench.take()
    bench.acknowledge()
    expect(bench.raft.commit).toBe(last + 1)
    expect(bench.committedSoFar.at(-1)?.index).toBe(last + 1)
    bench.pass(heartbeatMs)
    const commitsSent = bench
      .take()
      .flatMap((message) => ('commit' in message ? [[Number(message.to), message.commit]] : []))
    expect(commitsSent).toContainEqual([2, last + 1])
    expect(commitsSent).toContainEqual([3, last + 1])
  })

  test.each([
    [1, [], true],
    [3, [], false],
    [3, [2], true],
    [3, [2, 3], true],
    [5, [], false],
    [5, [2], false],
    [5, [2, 3], true],
    [5, [2, 3, 4], true],
    [5, [2, 3, 4, 5], true],
  ])(
    'an entry is committed once it is on a majority: %i servers, acknowledged by %o: %o',
    (voters, acks, committed) => {
      const bench = leader({ term: 0, voters })
      bench.node.propose('some data')
      bench.settle()
      bench.acknowledge(acks)
      expect(bench.raft.commit === bench.raft.lastIndex).toBe(committed)
    },
  )

  test.each([[[]], [[2]], [[1, 2]], [[1]]])(
    'committing an entry commits all preceding entries, of earlier leaders too: %o',
    (terms) => {
      const bench = new Bench({ terms, term: 2 })
      bench.lead()
      expect(bench.raft.term).toBe(3)
      bench.node.propose('some data')
      bench.settle()
      bench.acknowledge()
      expect(bench.committedSoFar.map(({ index, term }) => [index, term])).toEqual(
        [...terms, 3, 3].map((term, at) => [at + 1, term]),
      )
    },
  )

  test.each([
    [[1], 1],
    [[1, 1], 2],
    [[1, 1], 1],
    [[1], 2],
  ])(
    'once a follower learns that an entry is committed, it applies it, in log order: sent %o, committed %i',
    (terms, commit) => {
      const bench = follower({ term: 1 })
      bench.receive(append(2, 1, [0, 0], terms, commit))
      bench.settle()
      const expected = Math.min(commit, terms.length)
      expect(bench.raft.commit).toBe(expected)
      expect(bench.committedSoFar.map(({ index }) => index)).toEqual([1, 2].slice(0, expected))
    },
  )

  test.each([
    [[0, 0], { index: 1 }],
    [[1, 1], { index: 1 }],
    [[2, 2], { index: 2 }],
    [[2, 1], { hint: [1, 1] }],
    [[3, 3], { hint: [2, 2] }],
  ] as const)(
    'a follower that has no entry of that index and term refuses the new entries: previous %o',
    (prev, answer) => {
      const bench = new Bench({ terms: [1, 2], commit: 1, term: 2 })
      bench.receive(append(2, 2, prev))
      bench.settle()
      const [reply, ...more] = bench.take()
      expect(more).toEqual([])
      if ('index' in answer)
        expect(reply).toMatchObject({ type: 'append-accepted', term: 2, index: answer.index })
      else {
        const [hintIndex, hintTerm] = answer.hint
        expect(reply).toMatchObject({ type: 'append-rejected', term: 2, index: prev[0], hintIndex, hintTerm })
      }
    },
  )

  test.each([
    [[2, 2], [3], [1, 2, 3], [3]],
    [
      [1, 1],
      [3, 4],
      [1, 3, 4],
      [3, 4],
    ],
    [[0, 0], [1], [1, 2], []],
    [[0, 0], [3], [3], [3]],
  ] as const)(
    'if an existing entry conflicts, it and all that follow are deleted: previous %o, sent %o',
    (prev, terms, log, written) => {
      const bench = new Bench({ terms: [1, 2], term: 2 })
      bench.receive(append(2, 4, prev, terms))
      expect(bench.terms).toEqual(log)
      expect(bench.outputs.flatMap(({ write }) => write?.entries ?? []).map(({ term }) => term)).toEqual(
        written,
      )
      bench.settle()
      expect(bench.node.disk.log.list.map(({ term }) => term)).toEqual(log)
    },
  )
})

describe('§5.4 safety', () => {
  test.each([[[1]], [[1, 2]]])(
    'a RequestVote includes information about the log of the candidate: %o',
    (terms) => {
      const bench = new Bench({ terms })
      bench.campaign()
      const requests = bench.takeOf('vote-request')
      expect(to(requests)).toEqual([2, 3])
      for (const request of requests)
        expect(request).toMatchObject({
          lastIndex: terms.length,
          lastTerm: terms.at(-1),
          term: bench.raft.term,
        })
    },
  )

  test.each([
    // Same last term: the longer log wins, and so does an equally long one.
    [[1], [1, 1], true],
    [[1], [2, 1], true],
    [[1, 1], [1, 1], false],
    // The candidate's last term is higher: it wins, even if its log is shorter.
    [[1], [1, 2], true],
    [[1], [2, 2], true],
    [[1, 1], [1, 2], true],
    // The voter's last term is higher.
    [[2], [1, 1], false],
    [[2], [2, 1], false],
    [[2, 2], [1, 1], false],
    [[1, 1], [1, 1], false],
  ] as const)(
    'the voter denies its vote if its own log is more up-to-date: own %o, candidate (index, term) %o',
    (terms, last, granted) => {
      const bench = new Bench({ terms, term: 2 })
      bench.receive(voteRequest(2, 3, last))
      bench.settle()
      expect(bench.takeOf('vote-answer').map((answer) => answer.granted)).toEqual([granted])
    },
  )

  test.each([
    [1, 0],
    [2, 0],
    [3, 3],
  ])(
    'only entries from the current term are committed by counting replicas: acknowledged %i, committed %i',
    (index, commit) => {
      const bench = new Bench({ terms: [1, 2], term: 2 })
      bench.lead()
      bench.node.propose('some data')
      bench.settle()
      bench.acknowledge([2], asIndex(index))
      expect(bench.raft.commit).toBe(commit)
    },
  )
})
