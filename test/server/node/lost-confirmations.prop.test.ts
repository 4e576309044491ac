// Linearizable reads while a message is lost: the request for a confirmation, or the confirmation itself, is lost on
// the way. It is requested again after a pause, long before the leader would be given up.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { driverLimits, raftTiming } from '../../../src/server/node/limits.ts'
import { runs } from '../../runs.ts'
import { SimulatedCluster } from '../simulated-cluster.ts'

/** One pause fits, and the time after which the core refuses a read without an answer does not. */
const TIMEOUT_MS = raftTiming.electionMaxMs - driverLimits.readRetryMs

test('a read with little time is answered, whichever one of the messages for it is lost', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('follower', 'follower', 'leader'),
      fc.constantFrom('linearizable', 'lease'),
      fc.array(fc.nat(5), { minLength: 2, maxLength: 4 }),
      (at, consistency, reads) => {
        const cluster = SimulatedCluster.formed(3)
        const node = at === 'leader' ? cluster.leading : cluster.follower
        for (const lost of reads) {
          cluster.advance(2 * raftTiming.electionMaxMs)
          let left = lost
          cluster.loses = () => left-- === 0
          const read = node.grant(consistency, TIMEOUT_MS)
          cluster.until(() => read.code !== undefined)
          expect(read.code).toBe('ok')
        }
      },
    ),
    { numRuns: runs(200) },
  )
})
