// Raising the cluster version stops every member that does not know it.

import { expect, test } from 'vitest'
import { asReplicaId } from '../../src/raft/types.ts'
import { ClusterVersions } from '../../src/server/cluster-version.ts'
import { ask, putOf } from '../kv/store.ts'

const members = ['1', '2', '3'].map((id) => ({ id: asReplicaId(id), name: `n${id}`, peer: '', url: '' }))
const raise = (clusterVersion: number) => ask({ kind: 'settings', settings: { clusterVersion } })

test('it is refused for each member that is too old or unknown, and for nothing else', () => {
  const versions = new ClusterVersions(asReplicaId('1'))
  versions.heard(asReplicaId('2'), 3)
  expect(versions.refusal(raise(1), members)?.detail).toMatch(
    /members that do not know it: n3 has not been heard of/,
  )
  versions.heard(asReplicaId('3'), 1)
  expect(versions.refusal(raise(1), members)).toBeUndefined()
  expect(versions.refusal(raise(3), members)).toMatchObject({
    code: 'membership_refused',
    written: 'no',
    detail: expect.stringMatching(
      /: n1 knows no version above 2, n3 knows no version above 1\. Start every member/,
    ),
  })
  // Another process of the same replica, upgraded.
  versions.heard(asReplicaId('3'), 3)
  expect(versions.refusal(raise(3), members)?.detail).not.toContain('n3')
  expect(versions.refusal(raise(3), members.slice(1))).toBeUndefined()
  for (const other of [putOf('k', 'v'), { kind: 'settings', settings: { storeBytesMax: 1 } } as const])
    expect(new ClusterVersions(asReplicaId('1')).refusal(ask(other), members)).toBeUndefined()
})
