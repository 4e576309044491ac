// The decisions that a core reports to those who watch it, with their reasons.

import { expect, test } from 'vitest'
import { asIndex, asTerm, type Decision } from '../../src/raft/types.ts'
import { append, Bench, follower, leader, voteRequest } from './harness/bench.ts'
import { id } from './harness/members.ts'

/** A follower acknowledges the log up to `index`. */
function acknowledge(bench: Bench, from: number, index: number): void {
  const answer = { from, term: bench.raft.term, round: bench.round, sentAt: 1, applied: asIndex(0) }
  bench.receive({ ...answer, type: 'append-accepted', index: asIndex(index) })
}

const lastOf = (bench: Bench): Decision | undefined => bench.decisions.at(-1)
const kinds = (bench: Bench): string[] => bench.decisions.map(({ kind }) => kind)

test('an election: pre-vote, campaign, and the votes that decide it', () => {
  const bench = new Bench()
  bench.lead()
  expect(bench.decisions).toEqual([
    { kind: 'campaign', term: 1, preVote: true, transfer: false },
    { kind: 'campaign', term: 1, preVote: false, transfer: false },
    { kind: 'elected', term: 1, votes: [id(1), id(2)] },
  ])
})

test('a vote is granted', () => {
  const bench = new Bench({ terms: [1, 2] })
  bench.receive(voteRequest(3, 3, [2, 2]))
  expect(lastOf(bench)).toEqual({
    ...{ kind: 'vote', candidate: id(3), term: 3, preVote: false, refusal: undefined },
  })
})

test.each<[string, () => Bench, object]>([
  [
    'its log ends in a later term',
    () => new Bench({ terms: [1, 2] }),
    { because: 'log', own: { index: 2, term: 2 }, other: { index: 5, term: 1 } },
  ],
  [
    'it has voted for another replica in this term',
    () => new Bench({ term: 3, vote: id(2) }),
    { because: 'voted', for: id(2) },
  ],
  ['it hears a leader', () => follower(), { because: 'leader', leader: id(2) }],
  ['it leads', () => leader(), { because: 'leader', leader: id(1) }],
])('a vote is refused: %s', (_, make, refusal) => {
  const bench = make()
  bench.receive(voteRequest(3, 3, [5, 1]))
  expect(lastOf(bench)).toEqual({ kind: 'vote', candidate: id(3), term: 3, preVote: false, refusal })
})

test('a message of an older term is ignored', () => {
  const bench = new Bench({ term: 3 })
  bench.receive(append(2, 2, [0, 0]))
  expect(bench.decisions).toEqual([{ kind: 'old-term', from: id(2), type: 'append', term: 2 }])
})

test('a message of a newer term is obeyed', () => {
  const bench = new Bench({ term: 3 })
  bench.receive(voteRequest(2, 5, [0, 0]))
  expect(bench.decisions[0]).toEqual({ kind: 'newer-term', from: id(2), type: 'vote-request', term: 5 })
})

test('an append is rejected where the logs differ, or where this log has nothing', () => {
  const bench = new Bench({ terms: [1, 1, 2] })
  bench.receive(append(2, 4, [3, 3], [4]))
  bench.receive(append(2, 4, [7, 3], [4]))
  const rejected = { kind: 'append-rejected', leader: id(2) }
  expect(bench.decisions).toEqual([
    { ...rejected, previous: { index: 3, term: 3 }, own: 2 },
    { ...rejected, previous: { index: 7, term: 3 }, own: undefined },
  ])
})

test('entries of another leader are deleted', () => {
  const bench = new Bench({ terms: [1, 1, 2, 2] })
  bench.receive(append(3, 4, [2, 1], [4]))
  expect(bench.decisions).toEqual([{ kind: 'truncated', leader: id(3), index: 3, last: 4 }])
})

test('a leader commits what is durable on a majority, and says where', () => {
  const bench = new Bench({ voters: 5 })
  bench.lead()
  bench.acknowledge([2, 4])
  expect(lastOf(bench)).toEqual({ kind: 'committed', index: 1, durableOn: [id(1), id(2), id(4)] })
})

test('an entry of an older term is durable on a majority, and not committed', () => {
  const bench = new Bench({ voters: 5, terms: [1, 2], term: 3 })
  bench.lead()
  for (const from of [2, 3]) acknowledge(bench, from, 2)
  expect(lastOf(bench)).toEqual({ kind: 'commit-waits', index: 2, term: 2 })
  bench.acknowledge([2, 3])
  expect(kinds(bench).slice(-2)).toEqual(['commit-waits', 'committed'])
})

test('a follower needs entries that the leader has no longer', () => {
  const bench = new Bench({ base: 5, terms: [1, 1] })
  bench.lead()
  bench.receive({
    ...{ type: 'append-rejected', from: 3, term: bench.raft.term, index: asIndex(7), hintIndex: asIndex(2) },
    ...{ hintTerm: asTerm(1), lastIndex: asIndex(2), round: bench.round, sentAt: 1 },
  })
  expect(lastOf(bench)).toEqual({ kind: 'snapshot', follower: id(3), atLeast: 5 })
})
