// Watches on whole nodes, in virtual time: the events that they receive across changes of leader and missed entries,
// and the report when a node stops.

import { expect, test } from 'vitest'
import { asRevision, type Revision } from '../../../../src/operations/forms/index.ts'
import { errorOfWatch } from '../../../../src/server/api/watch.ts'
import { driverLimits } from '../../../../src/server/node/limits.ts'
import type {
  EventsMessage,
  PermittedWatch,
  WatchEnd,
  WatchHandle,
  WatchSink,
} from '../../../../src/server/node/watch/index.ts'
import { SimulatedCluster, type SimulatedNode } from '../../simulated-cluster.ts'

/** A client that reads everything at once. */
class Taker implements WatchSink {
  readonly isFull = false
  readonly told: [revision: number, ...keys: string[]][] = []
  readonly progresses: number[] = []
  end: WatchEnd | undefined
  /** The revision of the store when it began. */
  created: number | undefined
  watch: WatchHandle | undefined
  problem: string | undefined

  waits(): void {
    throw new Error('it is never full')
  }

  events({ revision, events }: EventsMessage): void {
    this.told.push([revision, ...events.map(({ key }) => Buffer.from(key).toString())])
  }

  progress(revision: Revision): void {
    this.progresses.push(revision)
  }

  ended(end: WatchEnd): void {
    this.end = end
  }

  get revisions(): number[] {
    return this.told.map(([revision]) => revision)
  }
}

const ALL: PermittedWatch = {
  where: { start: new Uint8Array(), end: undefined },
  ...{ from: undefined, only: undefined, prev: false, values: true, progressMs: 1000 },
}

/** With these limits, a follower that misses a few entries needs a snapshot. */
const SHORT_LOG = { logTailEntries: 5, logBehindEntries: 5, compactEntriesMin: 1 }

/** Begins a watch as an API does: when a linearizable read is granted. */
function watching(cluster: SimulatedCluster, node: SimulatedNode, from?: number): Taker {
  const taker = new Taker()
  const { running } = node
  const options = { consistency: 'linearizable', maxStalenessMs: undefined, minRevision: undefined } as const
  running.read({ ...options, timeoutMs: 5000 }, (result) => {
    if (!result.ok) {
      taker.problem = result.problem.code
      return
    }
    taker.created = result.value.revision
    const begun = running.watch({ ...ALL, from: from === undefined ? undefined : asRevision(from) }, taker)
    if (begun.ok) taker.watch = begun.value
    else taker.problem = begun.problem.detail
  })
  cluster.until(() => taker.watch !== undefined || taker.problem !== undefined)
  return taker
}

function put(cluster: SimulatedCluster, node: SimulatedNode, ...keys: readonly string[]): void {
  for (const key of keys) {
    const done = node.put(key, 'v')
    cluster.until(() => done.result !== undefined)
    expect(done.code).toBe('ok')
  }
}

const upTo = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, at) => from + at)

test('every node tells every change, also when the leader is gone', () => {
  const cluster = SimulatedCluster.formed(3)
  const before = cluster.leading.running.revision
  const takers = new Map(cluster.nodes.map((node) => [node, watching(cluster, node)]))
  put(cluster, cluster.follower, 'a', 'b')
  const { leading } = cluster
  leading.crash()
  cluster.until(() => cluster.leader !== undefined)
  put(cluster, cluster.leading, 'c', 'd')
  cluster.converge()
  for (const [node, taker] of takers) {
    const last = before + (node === leading ? 2 : 4)
    expect(taker.revisions).toEqual(upTo(before + 1, last))
  }
})

test('a watch begins after every change that was answered before, on whatever node', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading, follower } = cluster
  // Its disk is slow, so it applies committed entries late.
  follower.slowDisk(200)
  put(cluster, leading, 'a', 'b', 'c')
  const taker = watching(cluster, follower)
  const { revision } = leading.running
  expect(taker.created).toBe(revision)
  put(cluster, leading, 'd')
  cluster.until(() => taker.told.length > 0)
  expect(taker.told).toEqual([[revision + 1, 'd']])
})

test('a watch goes on from history where a snapshot has brought what its node had missed', () => {
  const cluster = SimulatedCluster.formed(3, { limits: SHORT_LOG })
  const { follower } = cluster
  const before = cluster.leading.running.revision
  const [all, later] = [watching(cluster, follower), watching(cluster, follower, before + 100)]
  cluster.isolate(follower)
  const { leading } = cluster
  put(cluster, leading, ...upTo(1, 120).map((at) => `k${at}`))
  const installed = cluster.probeCoverage.probes['snapshot installed'] ?? 0
  expect(all.told).toEqual([])
  cluster.heal()
  cluster.converge()
  expect(cluster.probeCoverage.probes['snapshot installed']).toBe(installed + 1)
  put(cluster, leading, 'last')
  cluster.converge()
  const { revision } = leading.running
  cluster.until(() => all.revisions.at(-1) === revision && later.revisions.at(-1) === revision)
  expect(all.revisions).toEqual(upTo(before + 1, revision))
  expect(later.revisions).toEqual(upTo(before + 100, revision))
})

test('a watch ends where a snapshot no longer has the events that it needs', () => {
  const cluster = SimulatedCluster.formed(3, { limits: SHORT_LOG })
  const { follower } = cluster
  const taker = watching(cluster, follower)
  const begun = follower.running.revision
  cluster.isolate(follower)
  const { leading } = cluster
  put(cluster, leading, ...upTo(1, 60).map((at) => `k${at}`))
  const settings = leading.set({ historyRevisionsMax: 1 })
  cluster.until(() => settings.result !== undefined)
  cluster.advance(5000)
  cluster.heal()
  cluster.converge()
  cluster.until(() => taker.end !== undefined)
  const compactRevision = follower.running.history.compacted
  expect(taker.end).toMatchObject({ kind: 'compacted', next: begun + 1, resumeFrom: compactRevision + 1 })
  const again = watching(cluster, follower, taker.end?.resumeFrom)
  put(cluster, leading, 'last')
  cluster.converge()
  cluster.until(() => again.revisions.at(-1) === leading.running.revision)
})

test('progress is told while nothing happens, and is not ahead of what was told', () => {
  const cluster = SimulatedCluster.formed(1)
  const [node] = cluster.nodes
  if (node === undefined) throw new Error('no node')
  const taker = watching(cluster, node)
  const { revision } = node.running
  cluster.advance(2500)
  expect(taker.progresses).toEqual([revision, revision])
  put(cluster, node, 'a')
  cluster.advance(2500)
  expect(taker.progresses.slice(2)).toEqual([revision + 1, revision + 1])
  taker.watch?.cancel()
  expect(
    Object.entries(node.running.inspect()).filter(([name, count]) => name.startsWith('watches') && count > 0),
  ).toEqual([])
})

test('a node without a leader ends its watches, which go on elsewhere', () => {
  const cluster = SimulatedCluster.formed(3)
  const { follower, leading } = cluster
  const [taker, there] = [watching(cluster, follower), watching(cluster, leading)]
  put(cluster, leading, 'a')
  cluster.converge()
  const { revision } = follower.running
  cluster.isolate(follower)
  put(cluster, leading, 'b')
  cluster.until(() => taker.end !== undefined)
  expect(taker.end).toMatchObject({ kind: 'no-leader', resumeFrom: revision + 1 })
  expect(taker.end && errorOfWatch(taker.end)).toMatchObject({ code: 'no_leader' })
  expect(taker.revisions).toEqual([revision])
  expect(follower.running.inspect()['watches.open']).toBe(0)
  const elsewhere = watching(cluster, leading, taker.end?.resumeFrom)
  cluster.until(() => elsewhere.told.length > 0)
  expect(elsewhere.told).toEqual([[revision + 1, 'b']])
  // With a leader again, a watch can begin here, and remains open.
  cluster.heal()
  const again = watching(cluster, follower, revision + 1)
  put(cluster, cluster.leading, 'c')
  cluster.advance(20_000)
  expect(again.revisions).toEqual([revision + 1, revision + 2])
  for (const each of [again, elsewhere, there]) expect(each.end).toBeUndefined()
  // It has no leader for a moment, and then for a second time.
  leading.crash()
  cluster.until(() => follower.running.leaderName !== leading.name && cluster.leader !== undefined)
  cluster.advance(10_000)
  expect(again.end).toBeUndefined()
  cluster.isolate(follower)
  cluster.until(() => again.end !== undefined)
  expect(again.end).toMatchObject({ kind: 'no-leader', resumeFrom: revision + 3 })
})

test('a node whose full disk keeps it behind ends its watches, which go on elsewhere', () => {
  const cluster = SimulatedCluster.formed(3)
  const { follower, leading } = cluster
  const [taker, there] = [watching(cluster, follower), watching(cluster, leading)]
  put(cluster, leading, 'a')
  cluster.converge()
  const { revision } = follower.running
  follower.machine.space.fixed = 0
  cluster.until(() => follower.running.status().diskSpace === 'none')
  // No event has been missed yet.
  cluster.advance(20_000)
  expect(taker.end).toBeUndefined()
  const missed = cluster.time.now
  put(cluster, leading, 'b')
  cluster.until(() => taker.end !== undefined)
  expect(taker.end).toMatchObject({ kind: 'no-room', resumeFrom: revision + 1 })
  expect(taker.end && errorOfWatch(taker.end)).toMatchObject({ code: 'not_ready' })
  expect(cluster.time.now - missed).toBeGreaterThanOrEqual(driverLimits.watchLeaderlessMs)
  expect(follower.running.inspect()['watches.open']).toBe(0)
  expect(watching(cluster, follower).problem).toBe('not_ready')
  const elsewhere = watching(cluster, leading, taker.end?.resumeFrom)
  cluster.until(() => elsewhere.told.length > 0)
  expect(elsewhere.told).toEqual([[revision + 1, 'b']])
  // With room again, a watch can begin here, and remains open.
  follower.machine.space.fixed = Number.POSITIVE_INFINITY
  cluster.converge()
  const again = watching(cluster, follower, revision + 1)
  put(cluster, leading, 'c')
  cluster.advance(20_000)
  expect(again.revisions).toEqual([revision + 1, revision + 2])
  for (const each of [again, elsewhere, there]) expect(each.end).toBeUndefined()
})

test('a node that is stopped ends its watches, and says from where to go on', () => {
  const cluster = SimulatedCluster.formed(3)
  const { follower, leading } = cluster
  const taker = watching(cluster, follower)
  put(cluster, leading, 'a')
  cluster.converge()
  const { revision } = follower.running
  follower.running.drain(() => {})
  expect(taker.end).toMatchObject({ kind: 'stopped', resumeFrom: revision + 1 })
  expect(follower.running.watch(ALL, new Taker())).toMatchObject({
    ok: false,
    problem: { code: 'not_ready' },
  })
  put(cluster, leading, 'b')
  const elsewhere = watching(cluster, leading, taker.end?.resumeFrom)
  cluster.until(() => elsewhere.told.length > 0)
  expect(elsewhere.told).toEqual([[revision + 1, 'b']])
})

test('a leader that stops hands over before it ends its watches', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  const taker = watching(cluster, leading)
  let isDrained = false
  leading.running.drain(() => {
    isDrained = true
  })
  expect(taker.end).toBeUndefined()
  expect(leading.running.watch(ALL, new Taker())).toMatchObject({ ok: false, problem: { code: 'not_ready' } })
  cluster.until(() => taker.end !== undefined)
  expect(leading.running.leaderName).not.toBe(leading.name)
  expect(taker.end).toMatchObject({ kind: 'stopped' })
  cluster.until(() => isDrained)
})
