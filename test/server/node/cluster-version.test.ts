// Raising the cluster version stops every member that does not know it, and so does a request of a kind that it does
// not know.

import { describe, expect, test } from 'vitest'
import { asRevision, CLUSTER_VERSION, type Request } from '../../../src/kv/index.ts'
import { asReplicaId } from '../../../src/raft/types.ts'
import { ClusterVersions } from '../../../src/server/node/cluster-version.ts'
import { ask, putOf } from '../../kv/store.ts'
import { SimulatedCluster } from '../simulated-cluster.ts'

const members = ['1', '2', '3'].map((id) => ({ id: asReplicaId(id), name: `n${id}`, peer: '', url: '' }))
/** One that this program does not know. */
const NEXT = CLUSTER_VERSION + 1
const raise = (clusterVersion: number) => ask({ kind: 'settings', settings: { clusterVersion } })

test('it is refused for each member that is too old or unknown, and for nothing else', () => {
  const versions = new ClusterVersions(asReplicaId('1'))
  versions.heard(asReplicaId('2'), NEXT)
  expect(versions.refusal(raise(1), members, 3)?.detail).toMatch(
    /members that do not know it: n3 has not been heard of/,
  )
  versions.heard(asReplicaId('3'), 1)
  expect(versions.refusal(raise(1), members, 3)).toBeUndefined()
  expect(versions.refusal(raise(NEXT), members, 3)).toMatchObject({
    code: 'membership_refused',
    written: 'no',
    detail: expect.stringContaining(
      `: n1 knows no version above ${CLUSTER_VERSION}, n3 knows no version above 1. Start every member`,
    ),
  })
  // Another process of the same replica, upgraded.
  versions.heard(asReplicaId('3'), NEXT)
  expect(versions.refusal(raise(NEXT), members, 3)?.detail).not.toContain('n3')
  expect(versions.refusal(raise(NEXT), members.slice(1), 3)).toBeUndefined()
  for (const other of [putOf('k', 'v'), { kind: 'settings', settings: { storeBytesMax: 1 } } as const])
    expect(new ClusterVersions(asReplicaId('1')).refusal(ask(other), members, 1)).toBeUndefined()
})

test.each([
  ['opening a session', ask({ kind: 'open-session' })],
  ['a put in a session', ask(putOf('k', 'v'), { session: 1, slot: 0, seq: 1 })],
  ['a batch', ask({ kind: 'batch', commands: [] })],
])('%s is proposed from cluster version 2 on', (_, request) => {
  expectFrom(2, request)
})

test.each([
  ['a compaction', ask({ kind: 'compact', revision: asRevision(7) })],
  ['a transaction', ask({ kind: 'txn', txn: { compare: [], success: [], failure: [] } })],
  ['a delete of a range', ask({ kind: 'delete-range', range: { start: new Uint8Array(), end: undefined } })],
  ['a setting of history', ask({ kind: 'settings', settings: { historyRevisionsMax: 7 } })],
])('%s is proposed from cluster version 3 on', (_, request) => {
  expectFrom(3, request)
})

function expectFrom(version: number, request: Request): void {
  const versions = new ClusterVersions(asReplicaId('1'))
  expect(versions.refusal(request, members, version)).toBeUndefined()
  expect(versions.refusal(request, members, version - 1)).toEqual({
    code: 'not_ready',
    written: 'no',
    detail: expect.stringContaining(`needs cluster version ${version}, this node has applied ${version - 1}`),
  })
}

describe('a leader raises it', () => {
  const limits = { hashIdleMs: 5000 }
  const versionsOf = (cluster: SimulatedCluster) =>
    cluster.nodes.map(({ driver }) => driver?.status().settings.clusterVersion)

  test('once, when every member knows the newest, and never again', () => {
    const cluster = SimulatedCluster.formed(3, { limits, clusterVersion: 1 })
    const early = cluster.follower.open()
    cluster.until(() => early.result !== undefined)
    expect(early.result).toMatchObject({ ok: false, problem: { code: 'not_ready', written: 'no' } })
    cluster.until(() => versionsOf(cluster).every((version) => version === CLUSTER_VERSION))
    const opened = cluster.follower.open()
    cluster.until(() => opened.result !== undefined)
    expect(opened.result).toMatchObject({ ok: true, value: { kind: 'session', session: 1 } })
    const last = cluster.leading.storage.log.lastIndex()
    cluster.advance(5 * limits.hashIdleMs)
    expect(cluster.leading.storage.log.lastIndex()).toBe(last)
  })

  test('not before it has heard every member', () => {
    const cluster = SimulatedCluster.formed(3, { limits, clusterVersion: 1 })
    const [silent, ...others] = cluster.nodes
    for (const node of cluster.nodes) node.crash()
    for (const node of others) node.start()
    cluster.until(() => cluster.leader !== undefined)
    cluster.advance(5 * limits.hashIdleMs)
    expect(versionsOf(cluster)).toEqual([undefined, 1, 1])
    silent?.start()
    cluster.until(() => versionsOf(cluster).every((version) => version === CLUSTER_VERSION))
  })

  test('again, if it was not the leader any more when it was to be written', () => {
    const cluster = SimulatedCluster.formed(3, { limits, clusterVersion: 1 })
    const cut = cluster.leading
    cluster.isolate(cut)
    cluster.until(() => cluster.leader !== undefined && cluster.leading !== cut)
    cluster.advance(2 * limits.hashIdleMs)
    // The new leader has heard both others before.
    expect(versionsOf(cluster).filter((version) => version === CLUSTER_VERSION)).toHaveLength(2)
    cluster.heal()
    cluster.until(() => versionsOf(cluster).every((version) => version === CLUSTER_VERSION))
  })
})
