// The time that a proposer adds to changes.

import { expect, test } from 'vitest'
import { decodeRequest, type Request, SYSTEM_PRINCIPAL } from '../../../src/kv/index.ts'
import type { LeaseId } from '../../../src/operations/forms/index.ts'
import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import { BODY_AT, type Proposal, readHeader } from '../../../src/raft/index.ts'
import { asReplicaId } from '../../../src/raft/types.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { ClusterVersions } from '../../../src/server/node/membership/cluster-version.ts'
import { Proposer } from '../../../src/server/node/write/proposer.ts'
import { ask, batchOf, deleteOf, putOf } from '../../kv/store.ts'
import { VirtualClock } from '../virtual-clock.ts'

const id = asReplicaId('1')

/** The requests of the entries that a node proposes at this cluster version, while its clock shows this time of day. */
function proposed(requests: readonly Request[], clusterVersion: number, wallTimeMs: number): Request[] {
  const clock = new (class extends VirtualClock {
    override wallTimeMs() {
      return wallTimeMs
    }
  })()
  const entries: Proposal[] = []
  const nothing = () => {}
  const proposer = new Proposer({
    ...{ clock, limits: driverLimits, boot: 1, raft: { id, leader: id, proposedBytes: 0 } },
    ...{ lifecycle: { end: undefined, isDraining: false }, waits: { check: nothing } },
    ...{ observer: { proposalEnded: nothing } },
    traces: { isEmpty: true, proposed: nothing, renewed: nothing, failed: nothing },
    members: {
      configuration: { members: [] },
      versions: new ClusterVersions(id, CLUSTER_VERSION, () => ({ clusterVersion })),
    },
    events: {
      wake: nothing,
      step: (input) => void (input.kind === 'propose' && entries.push(...input.proposals)),
    },
  })
  for (const request of requests) {
    proposer.propose(request, 1000, nothing)
    proposer.proposeQueued()
    clock.advance(10)
  }
  return entries.map(({ frame }) => {
    const { kind, version } = readHeader(frame)
    return decodeRequest(kind, version, frame.subarray(BODY_AT, frame.length))
  })
}

const lease = '7' as LeaseId
const CHANGES: readonly Request[] = [
  ask(putOf('k', 'v'), { token: 't', since: undefined }),
  ask(deleteOf('k')),
  ask(batchOf(putOf('k', 'v'))),
  ask({ kind: 'revoke', id: lease }),
  { ...ask({ kind: 'expire', leases: [{ id: lease, deadlineMs: 1 }] }), principal: SYSTEM_PRINCIPAL },
]
const OTHERS: readonly Request[] = [
  ask({ kind: 'grant', id: lease, ttlMs: 1000 }),
  ask({ kind: 'open-session' }),
]

test.each([
  [1_795_953_600_123, 1_795_953_600_123],
  [0.75, 0],
  [-5, 0],
  [2 ** 60, 2 ** 48 - 1],
])('a change of keys has the time of its node, %d as %d, from cluster version 2 on', (wallTimeMs, timeMs) => {
  expect(proposed(CHANGES, 2, wallTimeMs).map((request) => request.timeMs)).toEqual(CHANGES.map(() => timeMs))
  expect(proposed(CHANGES, 1, wallTimeMs).map((request) => request.timeMs)).toEqual(
    CHANGES.map(() => undefined),
  )
  expect(proposed(OTHERS, 2, wallTimeMs).map((request) => request.timeMs)).toEqual([undefined, undefined])
})
