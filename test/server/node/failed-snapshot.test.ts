// A follower that needs a snapshot and cannot receive it: the leader tries again with growing pauses, and says why.

import { expect, test } from 'vitest'
import type { Storage } from '../../../src/storage/index.ts'
import { SimulatedCluster, type SimulatedNode, valueAt } from '../simulated-cluster.ts'

const limits = { logTailEntries: 5, logBehindEntries: 5, compactEntriesMin: 1 }

/** Stops a node until the others no longer keep the log that it lacks. */
function leaveBehind(cluster: SimulatedCluster, node: SimulatedNode): void {
  node.crash()
  for (let i = 0; i < 50; i++) {
    const put = cluster.leading.put(`k${i}`, 'v')
    cluster.until(() => put.result !== undefined)
  }
  cluster.advance(1000)
}

/** Counts the snapshots that a node begins to send. */
function countSources({ storage }: SimulatedNode): () => number {
  let begun = 0
  const source = storage.snapshotSource.bind(storage)
  storage.snapshotSource = () => {
    begun++
    return source()
  }
  return () => begun
}

test('a snapshot that a follower refuses is sent again ever more rarely; the status says why, until it is received', () => {
  const cluster = SimulatedCluster.formed(3, { limits })
  const { leading } = cluster
  const away = cluster.follower
  leaveBehind(cluster, away)
  const begun = countSources(leading)
  away.start()
  cluster.until(() => away.driver !== undefined)
  const { storage } = away
  const sink: Storage['snapshotSink'] = storage.snapshotSink.bind(storage)
  storage.snapshotSink = (_id, _from, _meta, done) =>
    done(new Error('the disk of the follower is broken'), undefined)
  cluster.advance(60_000)
  // Pauses of 0.25, 0.5, 1, 2, 4, 8, 16 and 30 s.
  expect(begun()).toBeGreaterThan(5)
  expect(begun()).toBeLessThan(10)
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
  const cluster = SimulatedCluster.formed(3, { limits })
  const { leading } = cluster
  const away = cluster.follower
  leaveBehind(cluster, away)
  away.start()
  cluster.until(() => away.driver !== undefined)
  away.storage.snapshotSink = (_id, _from, _meta, done) => done(new Error('broken'), undefined)
  cluster.advance(5000)
  leading.crash()
  cluster.advance(120_000)
  expect(leading.end).toBeUndefined()
})

test('a snapshot that is received ends the count of those that failed', () => {
  const cluster = SimulatedCluster.formed(3, { limits })
  const { leading } = cluster
  const away = cluster.follower
  const begun = countSources(leading)
  for (let round = 1; round <= 3; round++) {
    leaveBehind(cluster, away)
    away.start()
    cluster.until(() => away.driver !== undefined)
    const { storage } = away
    const sink: Storage['snapshotSink'] = storage.snapshotSink.bind(storage)
    let refused = 0
    storage.snapshotSink = (_id, _from, _meta, done) => {
      refused++
      done(new Error('the disk of the follower is broken'), undefined)
    }
    cluster.until(() => refused === 1)
    storage.snapshotSink = sink
    // The first pause, in every round.
    cluster.advance(200)
    expect(begun()).toBe(2 * round - 1)
    expect(leading.running.status().errors).toEqual([])
    cluster.advance(200)
    expect(begun()).toBe(2 * round)
    cluster.converge()
  }
})

test('a leader that is elected again in such a pause keeps it', () => {
  const cluster = SimulatedCluster.formed(3, { limits })
  const { leading } = cluster
  const away = cluster.follower
  leaveBehind(cluster, away)
  const begun = countSources(leading)
  away.start()
  cluster.until(() => away.driver !== undefined)
  away.storage.snapshotSink = (_id, _from, _meta, done) => done(new Error('broken'), undefined)
  // The last of these begins a pause of 16 s.
  cluster.until(() => begun() === 7)
  cluster.advance(100)
  const moveTo = (node: SimulatedNode): void => {
    let isMoved = false
    cluster.leading.running.transfer(node.id, 3000, ({ ok }) => {
      isMoved = ok
    })
    cluster.until(() => isMoved)
  }
  const [other] = cluster.followers.filter((node) => node !== away)
  if (other === undefined) throw new Error('no other follower')
  moveTo(other)
  moveTo(leading)
  cluster.advance(5000)
  expect(cluster.leading).toBe(leading)
  expect(begun()).toBe(7)
  expect(leading.running.inspect()).toMatchObject({ snapshotsSending: 1 })
  cluster.advance(15_000)
  expect(begun()).toBe(8)
})

test('snapshots that fail after a minute are counted all the same', () => {
  const cluster = SimulatedCluster.formed(3, { limits: { ...limits, chunkRows: 1 } })
  const { leading } = cluster
  const away = cluster.follower
  leaveBehind(cluster, away)
  away.start()
  cluster.until(() => away.driver !== undefined)
  const { storage } = away
  const sinkOf: Storage['snapshotSink'] = storage.snapshotSink.bind(storage)
  const writes: ((error?: Error) => void)[] = []
  storage.snapshotSink = (id, from, meta, done) =>
    sinkOf(id, from, meta, (error, sink) => {
      if (sink === undefined) return done(error, undefined)
      done(undefined, {
        get nextChunk() {
          return sink.nextChunk
        },
        write: (number, chunk, written) =>
          void writes.push((broken) =>
            broken === undefined ? sink.write(number, chunk, written) : written(broken),
          ),
        finish: (finished) => sink.finish(finished),
        abort: () => sink.abort(),
      })
    })
  const fail = (): void => {
    cluster.until(() => writes.length > 0)
    for (const write of writes.splice(0)) write(new Error('the disk of the follower is broken'))
  }
  fail()
  for (const until = cluster.time.now + 62_000; cluster.time.now < until; writes.shift()?.()) {
    cluster.until(() => writes.length > 0)
    cluster.advance(2000)
  }
  fail()
  cluster.advance(400)
  expect(leading.running.status().errors).toEqual([
    expect.stringContaining('the last 2 snapshots for it failed: the disk of the follower is broken'),
  ])
})
