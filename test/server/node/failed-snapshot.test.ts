// A follower that needs a snapshot and cannot receive it: the leader tries again with growing pauses, and says why.

import { expect, test } from 'vitest'
import type { Storage } from '../../../src/storage/index.ts'
import { SimulatedCluster, valueAt } from '../simulated-cluster.ts'

test('a snapshot that a follower refuses is sent again ever more rarely; the status says why, until it is received', () => {
  const limits = { logTailEntries: 5, logBehindEntries: 5, compactEntriesMin: 1 }
  const cluster = SimulatedCluster.formed(3, { limits })
  const { leading } = cluster
  const away = cluster.follower
  away.crash()
  for (let i = 0; i < 50; i++) {
    const put = leading.put(`k${i}`, 'v')
    cluster.until(() => put.result !== undefined)
  }
  cluster.advance(1000)
  let begun = 0
  const source = leading.storage.snapshotSource.bind(leading.storage)
  leading.storage.snapshotSource = () => {
    begun++
    return source()
  }
  away.start()
  cluster.until(() => away.driver !== undefined)
  const { storage } = away
  const sink: Storage['snapshotSink'] = storage.snapshotSink.bind(storage)
  storage.snapshotSink = (_id, _from, _meta, done) =>
    done(new Error('the disk of the follower is broken'), undefined)
  cluster.advance(60_000)
  // Pauses of 0.25, 0.5, 1, 2, 4, 8, 16 and 30 s.
  expect(begun).toBeGreaterThan(5)
  expect(begun).toBeLessThan(10)
  const errors = (): readonly string[] => leading.running.status().errors
  expect(errors()).toEqual([
    expect.stringMatching(
      new RegExp(
        `^${away.name} does not catch up: the last \\d snapshots for it failed: the disk of the follower is broken`,
      ),
    ),
  ])
  storage.snapshotSink = sink
  cluster.advance(31_000)
  cluster.converge()
  cluster.advance(1000)
  expect(valueAt(away.running, 'k49')).toBe('v')
  expect(errors()).toEqual([])
})

test('a leader that ends in such a pause keeps nothing', () => {
  const limits = { logTailEntries: 5, logBehindEntries: 5, compactEntriesMin: 1 }
  const cluster = SimulatedCluster.formed(3, { limits })
  const { leading } = cluster
  const away = cluster.follower
  away.crash()
  for (let i = 0; i < 50; i++) {
    const put = leading.put(`k${i}`, 'v')
    cluster.until(() => put.result !== undefined)
  }
  cluster.advance(1000)
  away.start()
  cluster.until(() => away.driver !== undefined)
  away.storage.snapshotSink = (_id, _from, _meta, done) => done(new Error('broken'), undefined)
  cluster.advance(5000)
  leading.crash()
  cluster.advance(120_000)
  expect(leading.end).toBeUndefined()
})
