// Tables of majorities, with and without a second half. The property test beside this file compares with plain
// counting.

import { describe, expect, test } from 'vitest'
import { emptyConfiguration } from '../../src/raft/index.ts'
import { committedIndex, majorityCommitted, majorityVote, voteResult } from '../../src/raft/quorum.ts'
import { asIndex, type Configuration, type ReplicaId } from '../../src/raft/types.ts'
import { id } from './harness/members.ts'

const ids = (numbers: readonly number[]): ReplicaId[] => numbers.map(id)
const joint = (voters: readonly number[], outgoing: readonly number[]): Configuration => ({
  ...emptyConfiguration,
  voters: ids(voters),
  votersOutgoing: ids(outgoing),
})
/** Acknowledged indexes by replica. A missing replica has acknowledged nothing. */
const matches = (acked: Readonly<Record<number, number>>) => (replica: ReplicaId) =>
  asIndex(acked[Number(replica)] ?? 0)
const ballots = (votes: Readonly<Record<number, boolean>>) =>
  new Map(Object.entries(votes).map(([voter, granted]) => [id(Number(voter)), granted]))

describe('majority_commit: the highest index that a majority has acknowledged', () => {
  test.each([
    // No voters, so no limit. That is why a missing outgoing half has no effect.
    [[], {}, Number.POSITIVE_INFINITY],
    [[1], {}, 0],
    [[1], { 1: 12 }, 12],
    [[1, 2], {}, 0],
    [[1, 2], { 1: 12 }, 0],
    [[1, 2], { 1: 12, 2: 5 }, 5],
    [[1, 2, 3], { 1: 12 }, 0],
    [[1, 2, 3], { 1: 12, 3: 5 }, 5],
    [[1, 2, 3], { 1: 12, 2: 5, 3: 6 }, 6],
    [[1, 2, 3], { 1: 12, 2: 5, 3: 13 }, 12],
    [[1, 2, 3], { 1: 100, 2: 101, 3: 103 }, 101],
    [[1, 2, 3], { 1: 103, 2: 104, 3: 104 }, 104],
    // An even number needs one more than half.
    [[1, 2, 3, 4], { 1: 101, 2: 104, 3: 103, 4: 103 }, 103],
    [[1, 2, 3, 4], { 2: 102, 3: 103, 4: 103 }, 102],
    [[1, 2, 3, 4], { 3: 103, 4: 103 }, 0],
    [[1, 2, 3, 4, 5], { 1: 101, 2: 104, 3: 103, 4: 103 }, 103],
    [[1, 2, 3, 4, 5], { 1: 101, 2: 102, 3: 103, 4: 103, 5: 104 }, 103],
    [[1, 2, 3, 4, 5], { 1: 101, 2: 102 }, 0],
  ])('%o, acknowledged %o: %d', (voters, acked, index) => {
    expect(majorityCommitted(ids(voters), matches(acked))).toBe(index)
  })
})

describe('joint_commit: what both halves have acknowledged', () => {
  test.each([
    [[1, 2, 3], [], { 1: 100, 2: 101, 3: 99 }, 100],
    [[1], [1], { 1: 12 }, 12],
    [[1], [2], {}, 0],
    [[1], [2], { 1: 100 }, 0],
    [[1], [2], { 2: 100 }, 0],
    [[1], [2], { 1: 13, 2: 12 }, 12],
    [[1, 2], [3, 4], { 1: 12, 2: 13, 3: 14 }, 0],
    [[1, 2], [3, 4], { 1: 12, 2: 13, 3: 14, 4: 11 }, 11],
    // One replica in both halves.
    [[1, 2], [2], { 1: 5, 2: 9 }, 5],
    [[1, 2], [2, 3], { 1: 12, 2: 13, 3: 11 }, 11],
    [[1, 2, 3], [3, 4, 5], { 1: 9, 2: 9 }, 0],
    [[1, 2, 3], [3, 4, 5], { 1: 9, 2: 9, 3: 9 }, 0],
    [[1, 2, 3], [3, 4, 5], { 1: 9, 2: 8, 3: 7, 4: 6, 5: 5 }, 6],
    [[1, 2, 3], [1, 2, 3, 4, 5], { 1: 20, 2: 21, 3: 22 }, 20],
    [[1, 2, 3], [1, 2, 3, 4, 5], { 1: 20, 2: 21 }, 0],
    [[1, 2, 3], [4, 5], { 1: 20, 2: 21, 3: 22, 4: 19 }, 0],
  ])('%o and %o, acknowledged %o: %d', (voters, outgoing, acked, index) => {
    expect(committedIndex(joint(voters, outgoing), matches(acked))).toBe(index)
    if (outgoing.length > 0) expect(committedIndex(joint(outgoing, voters), matches(acked))).toBe(index)
  })
})

describe('majority_vote', () => {
  test.each([
    [[], {}, 'won'],
    [[1], {}, 'pending'],
    [[1], { 1: false }, 'lost'],
    [[1], { 1: true }, 'won'],
    [[1, 2], { 1: false }, 'lost'],
    [[1, 2], { 1: true }, 'pending'],
    [[1, 2], { 1: true, 2: false }, 'lost'],
    [[1, 2], { 1: true, 2: true }, 'won'],
    [[1, 2, 3], { 1: false }, 'pending'],
    [[1, 2, 3], { 1: true }, 'pending'],
    [[1, 2, 3], { 1: false, 2: true }, 'pending'],
    [[1, 2, 3], { 1: false, 2: false }, 'lost'],
    [[1, 2, 3], { 1: true, 3: true }, 'won'],
    [[1, 2, 3], { 1: true, 2: false, 3: false }, 'lost'],
    [[1, 2, 3, 4], { 1: true, 2: true }, 'pending'],
    [[1, 2, 3, 4], { 1: true, 2: true, 3: false }, 'pending'],
    [[1, 2, 3, 4], { 1: false, 2: false }, 'lost'],
    [[1, 2, 3, 4], { 1: true, 2: true, 4: true }, 'won'],
    [[1, 2, 3, 4, 5], { 1: true, 2: true, 3: false, 4: false }, 'pending'],
    [[1, 2, 3, 4, 5], { 1: true, 2: true, 3: true }, 'won'],
    // Votes of others do not count.
    [[1, 2], { 3: true, 4: true, 1: true }, 'pending'],
  ] as const)('%o, votes %o: %s', (voters, votes, result) => {
    expect(majorityVote(ids(voters), ballots(votes))).toBe(result)
  })
})

describe('joint_vote', () => {
  test.each([
    [[1], [], { 1: true }, 'won'],
    [[1], [1], {}, 'pending'],
    [[1], [1], { 1: true }, 'won'],
    [[1], [1], { 1: false }, 'lost'],
    [[1], [2], { 1: true }, 'pending'],
    [[1], [2], { 2: false }, 'lost'],
    [[1], [2], { 1: true, 2: false }, 'lost'],
    [[1], [2], { 1: true, 2: true }, 'won'],
    // A majority of the union is not enough.
    [[1, 2, 3], [3, 4, 5], { 1: true, 2: true, 3: true }, 'pending'],
    [[1, 2, 3], [3, 4, 5], { 1: true, 2: true, 3: true, 4: true }, 'won'],
    [[1, 2, 3], [4, 5, 6], { 1: true, 2: true, 3: true, 4: true }, 'pending'],
    [[1, 2, 3], [4, 5, 6], { 1: true, 2: true, 4: false, 5: false }, 'lost'],
    [[1, 2, 3, 4], [2, 3], { 2: true, 3: true }, 'pending'],
    [[1, 2, 3, 4], [2, 3], { 2: true, 3: true, 4: true }, 'won'],
    [[1, 2, 3, 4], [2, 3], { 2: true, 3: false, 4: true, 1: true }, 'lost'],
  ] as const)('%o and %o, votes %o: %s', (voters, outgoing, votes, result) => {
    expect(voteResult(joint(voters, outgoing), ballots(votes))).toBe(result)
    if (outgoing.length > 0) expect(voteResult(joint(outgoing, voters), ballots(votes))).toBe(result)
  })
})
