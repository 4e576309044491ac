// Raising the cluster version stops every member that does not know the new one.

import { expect, test } from 'vitest'
import { CLUSTER_VERSION, featureRefusal } from '../../../src/operations/forms/settings.ts'
import { asIndex, asReplicaId, asTerm } from '../../../src/raft/types.ts'
import { ClusterVersions } from '../../../src/server/node/membership/cluster-version.ts'
import { ask, putOf } from '../../kv/store.ts'

const members = ['1', '2', '3'].map((id) => ({ id: asReplicaId(id), name: `n${id}`, peer: '', url: '' }))
/** One that this program does not know. */
const NEXT = CLUSTER_VERSION + 1
const versionsAt = (clusterVersion: number) =>
  new ClusterVersions(asReplicaId('1'), CLUSTER_VERSION, () => ({ clusterVersion }))
const raise = (clusterVersion: number) => ask({ kind: 'settings', settings: { clusterVersion } })

test('it is refused for each member that is too old or unknown, and for nothing else', () => {
  const versions = versionsAt(1)
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
  // A third one, of the older build again.
  versions.reported(asReplicaId('3'), 1)
  expect(versions.refusal(raise(NEXT), members.slice(1))?.detail).toContain('n3 knows no version above 1')
  for (const other of [putOf('k', 'v'), { kind: 'settings', settings: { storeBytesMax: 1 } } as const])
    expect(versionsAt(1).refusal(ask(other), members)).toBeUndefined()
})

test('a feature is used from its cluster version on, and refused with the next step before', () => {
  expect([versionsAt(1), versionsAt(2)].map((versions) => versions.has('changeTimes'))).toEqual([false, true])
  expect(featureRefusal({ clusterVersion: 2 }, 'revisionRaise')).toBeUndefined()
  expect(featureRefusal({ clusterVersion: 1 }, 'revisionRaise')).toBe(
    'the cluster is at cluster version 1, and this needs 2: when every node runs a version of quorate that knows it, raise it with: quorate settings set cluster_version=2',
  )
})

test('a peer that does not know the cluster version is refused, and no other', () => {
  const greeting = {
    ...{ clusterId: '77', replicaId: asReplicaId('2'), name: 'n2', boot: 1, peer: 'n2:1' },
    ...{ term: asTerm(1), lastIndex: asIndex(1) },
  }
  const objections = [1, 2, 3].map((clusterVersion) =>
    versionsAt(2).objection({ ...greeting, clusterVersion }),
  )
  expect(objections).toEqual([
    'n2 runs a version of quorate that knows cluster versions up to 1, and the cluster is at cluster version 2: start n2 with a version that knows it',
    undefined,
    undefined,
  ])
})
