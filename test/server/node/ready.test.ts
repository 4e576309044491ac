// A node says that it is ready only while it serves linearizable reads and forwards changes, and otherwise why not.

import { expect, test } from 'vitest'
import { raftTiming } from '../../../src/server/node/limits.ts'
import { SimulatedCluster, type SimulatedNode } from '../simulated-cluster.ts'

const { electionMaxMs } = raftTiming

const reasons = (node: SimulatedNode): readonly string[] => node.running.status().notReady
const serves = (cluster: SimulatedCluster, node: SimulatedNode): boolean => {
  const [read, put] = [node.read('k', 1000), node.put('k', 'v', 1000)]
  cluster.until(() => read.code !== undefined && put.code !== undefined)
  return read.code === 'ok' && put.code === 'ok'
}

test('every node of a cluster at rest is ready, and stays ready under load', () => {
  const cluster = SimulatedCluster.formed(3)
  for (let ms = 0; ms < 5000; ms += 20) {
    for (const node of cluster.nodes) node.put('k', `${ms}`)
    cluster.advance(20)
    expect(cluster.nodes.map(reasons)).toEqual([[], [], []])
  }
})

test('a follower that has come back is ready when the snapshot that it needs is installed', () => {
  const cluster = SimulatedCluster.formed(3, {
    limits: { logTailEntries: 5, logBehindEntries: 10, compactEntriesMin: 1, chunkRows: 1 },
  })
  const late = cluster.follower
  late.crash()
  for (let count = 0; count < 60; count++) {
    cluster.leading.put(`k${count}`, 'v')
    cluster.advance(20)
  }
  // The snapshot takes a while.
  late.start()
  cluster.until(() => late.driver !== undefined)
  late.slowDisk(200)
  cluster.until(() => late.running.status().raft.leader !== undefined)
  cluster.advance(100)
  expect(late.running.status().raft.applied).toBeLessThan(cluster.leading.running.status().raft.commit)
  expect(reasons(late)).toEqual(['catching up: it is not known what is committed'])
  cluster.until(() => reasons(late).length === 0)
  expect(serves(cluster, late)).toBe(true)
})

test('a follower is not ready without a connection to its leader', () => {
  const cluster = SimulatedCluster.formed(3)
  const { follower, leading } = cluster
  cluster.refuse(follower, leading)
  cluster.until(() => reasons(follower).length > 0)
  expect(serves(cluster, follower)).toBe(false)
  cluster.heal()
  cluster.until(() => reasons(follower).length === 0)
  expect(serves(cluster, follower)).toBe(true)
})

test('a node without a majority is not ready', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading, follower } = cluster
  for (const node of [leading, follower]) cluster.isolate(node)
  cluster.advance(3 * electionMaxMs)
  for (const node of cluster.nodes) expect(reasons(node)).toContain('no leader is known')
})

test('a node that applies nothing because its disk is too slow is not ready', () => {
  const cluster = SimulatedCluster.formed(3, { limits: { overlayBytesMax: 2000 } })
  const { follower } = cluster
  follower.slowDisk(6000)
  for (let count = 0; count < 20; count++) {
    cluster.leading.put(`k${count}`, 'v'.repeat(200))
    cluster.advance(200)
  }
  expect(reasons(follower)).toEqual([
    expect.stringMatching(/^catching up: applied \d+, which is \d\.\d s old$/),
  ])
  follower.slowDisk(1)
  cluster.until(() => reasons(follower).length === 0)
  expect(serves(cluster, follower)).toBe(true)
})

test('a disk that does not come to an end of a write is an error, and a reason', () => {
  const cluster = SimulatedCluster.formed(3)
  const { follower } = cluster
  follower.slowDisk(60_000)
  cluster.leading.put('k', 'v')
  cluster.advance(7 * electionMaxMs)
  expect(follower.running.status()).toMatchObject({ notReady: [], errors: [] })
  cluster.advance(2 * electionMaxMs)
  const slow = 'the disk is slow: a write has waited for it for 9 s'
  expect(follower.running.status()).toMatchObject({ notReady: [slow], errors: [slow] })
})

test('a former leader with a slow disk is ready while it serves', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  leading.slowDisk(5000)
  leading.put('k', 'v')
  cluster.until(() => cluster.leader !== undefined && cluster.leader.machine !== leading.machine)
  cluster.advance(500)
  expect([reasons(leading), serves(cluster, leading)]).toEqual([[], true])
})
