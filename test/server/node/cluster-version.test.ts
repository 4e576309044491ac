// Raising the cluster version stops every member that does not know the new one.

import { expect, test } from 'vitest'
import { CLUSTER_VERSION } from '../../../src/operations/forms/settings.ts'
import { asReplicaId } from '../../../src/raft/types.ts'
import { ClusterVersions } from '../../../src/server/node/membership/cluster-version.ts'
import { ask, putOf } from '../../kv/store.ts'

const members = ['1', '2', '3'].map((id) => ({ id: asReplicaId(id), name: `n${id}`, peer: '', url: '' }))
/** One that this program does not know. */
const NEXT = CLUSTER_VERSION + 1
const raise = (clusterVersion: number) => ask({ kind: 'settings', settings: { clusterVersion } })

test('it is refused for each member that is too old or unknown, and for nothing else', () => {
  const versions = new ClusterVersions(asReplicaId('1'))
  versions.reported(asReplicaId('2'), NEXT)
  expect(versions.refusal(raise(NEXT), members)?.detail).toMatch(
    /members that do not know it: n1 .*, n3 has not connected since/,
  )
  versions.reported(asReplicaId('3'), 1)
  expect(versions.refusal(raise(1), members)).toBeUndefined()
  expect(versions.refusal(raise(NEXT), members)).toMatchObject({
    code: 'membership_refused',
    written: 'no',
    detail: expect.stringContaining(
      `: n1 knows no version above ${CLUSTER_VERSION}, n3 knows no version above 1. Start every member`,
    ),
  })
  // Another process of the same replica, upgraded.
  versions.reported(asReplicaId('3'), NEXT)
  expect(versions.refusal(raise(NEXT), members)?.detail).not.toContain('n3')
  expect(versions.refusal(raise(NEXT), members.slice(1))).toBeUndefined()
  for (const other of [putOf('k', 'v'), { kind: 'settings', settings: { storeBytesMax: 1 } } as const])
    expect(new ClusterVersions(asReplicaId('1')).refusal(ask(other), members)).toBeUndefined()
})
