// 50,000 random configurations, compared with plain counting: try every index, count every vote.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { emptyConfiguration } from '../../src/raft/index.ts'
import { quorumValue, voteResult } from '../../src/raft/quorum.ts'
import { asIndex, type Configuration, type ReplicaId } from '../../src/raft/types.ts'
import { runs } from '../runs.ts'
import { id } from './harness/members.ts'

const half = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 7 })
const configurations = fc.tuple(half, half).map(
  ([voters, outgoing]): Configuration => ({
    ...emptyConfiguration,
    voters: voters.map(id),
    votersOutgoing: outgoing.map(id),
  }),
)
const halvesOf = ({ voters, votersOutgoing }: Configuration) => [voters, votersOutgoing]

test('the committed index is the largest that more than half of each half has acknowledged', () => {
  fc.assert(
    fc.property(
      configurations,
      fc.array(fc.nat(12), { minLength: 10, maxLength: 10 }),
      (configuration, acked) => {
        const match = (replica: ReplicaId) => asIndex(acked[Number(replica)] ?? 0)
        const reachedBy = (index: number) =>
          halvesOf(configuration).every(
            (voters) =>
              voters.length === 0 || 2 * voters.filter((one) => match(one) >= index).length > voters.length,
          )
        let naive = reachedBy(Number.POSITIVE_INFINITY) ? Number.POSITIVE_INFINITY : 0
        for (let index = 1; naive < 13 && index <= 12; index++) if (reachedBy(index)) naive = index
        expect(quorumValue(configuration, match)).toBe(naive)
      },
    ),
    { numRuns: runs(50_000) },
  )
})

test('an election is won, lost or open by counting the ballots of each half', () => {
  const ballots = fc.array(fc.constantFrom(true, false, undefined), { minLength: 10, maxLength: 10 })
  fc.assert(
    fc.property(configurations, ballots, (configuration, cast) => {
      const votes = new Map<ReplicaId, boolean>()
      for (const [voter, granted] of cast.entries()) if (granted !== undefined) votes.set(id(voter), granted)
      /** Whether the half is won if all remaining voters vote like this. */
      const wonIf = (others: boolean) =>
        halvesOf(configuration).every(
          (voters) =>
            voters.length === 0 ||
            2 * voters.filter((one) => votes.get(one) ?? others).length > voters.length,
        )
      const naive = wonIf(false) ? 'won' : wonIf(true) ? 'pending' : 'lost'
      expect(voteResult(configuration, votes)).toBe(naive)
    }),
    { numRuns: runs(50_000) },
  )
})
