// Leases in whole clusters, in virtual time: the lifetime of their keys, and the entries of the log.

import { expect, test } from 'vitest'
import { decodeState } from '../../../../src/kv/index.ts'
import type { LeaseId } from '../../../../src/operations/forms/index.ts'
import { asIndex, ENTRY_KINDS_OF_CORE, frameBody, frameKind } from '../../../../src/raft/index.ts'
import { Promised, SimulatedCluster, type SimulatedNode, valueAt } from '../../simulated-cluster.ts'

const ID = '7' as LeaseId
const TTL = 3000
/** The default of `leaseCheckpointMs`. */
const CHECKPOINT = 5000

function done<T>(cluster: SimulatedCluster, promised: Promised<T>): T {
  cluster.until(() => promised.result !== undefined)
  return promised.value
}

/** Grants a lease with one key. Returns the latest possible time of the grant. */
function granted(cluster: SimulatedCluster, node: SimulatedNode, ttlMs = TTL): number {
  done(cluster, node.grantLease(ID, ttlMs))
  const at = cluster.time.now
  done(cluster, node.putLeased('k', 'v', { id: ID }))
  return at
}

/** The time until the key is deleted on every running node. */
function untilGone(cluster: SimulatedCluster): number {
  const running = () => cluster.nodes.flatMap(({ driver }) => driver ?? [])
  cluster.until(() => running().every((driver) => valueAt(driver, 'k') === undefined))
  return cluster.time.now
}

/** The entries of clients in the log of a node after an index. */
function entriesAfter({ storage: { log } }: SimulatedNode, index: number): Uint8Array[] {
  if (log.lastIndex() <= index) return []
  const entries = log.entries(asIndex(index + 1), asIndex(log.lastIndex() + 1), Number.MAX_SAFE_INTEGER)
  return entries.map(({ frame }) => frame).filter((frame) => frameKind(frame) >= ENTRY_KINDS_OF_CORE)
}

const kindsAfter = (node: SimulatedNode, index: number): number[] => entriesAfter(node, index).map(frameKind)

const RENEW = 25
const EXPIRE = 27

test.each(['leading', 'follower'] as const)(
  'a lease of a %s node lives for its time to live, and then its keys are gone on all nodes',
  (role) => {
    const cluster = SimulatedCluster.formed(3)
    const asked = cluster.time.now
    const at = granted(cluster, cluster[role])
    cluster.advance(TTL - 50 - (cluster.time.now - at))
    for (const { running } of cluster.nodes) expect(valueAt(running, 'k')).toBe('v')
    const gone = untilGone(cluster)
    expect(gone - asked).toBeGreaterThanOrEqual(TTL)
    expect(gone - at).toBeLessThan(TTL + 100)
    cluster.converge()
    expect(cluster.leading.running.lease(ID)).toBeUndefined()
  },
)

test('a key with a lease of its own goes when its time has passed', () => {
  const cluster = SimulatedCluster.formed(3)
  const asked = cluster.time.now
  done(cluster, cluster.follower.putLeased('k', 'v', { ttlMs: TTL }))
  const gone = untilGone(cluster)
  expect(gone - asked).toBeGreaterThanOrEqual(TTL)
  expect(gone - asked).toBeLessThan(TTL + 100)
})

test.each(['leading', 'follower'] as const)(
  'a lease that a %s node keeps alive lives on, for its whole time to live after the last answer',
  (role) => {
    const cluster = SimulatedCluster.formed(3)
    granted(cluster, cluster.leading)
    let asked = 0
    for (let time = 0; time < 10; time++) {
      cluster.advance(TTL - 100)
      asked = cluster.time.now
      expect(done(cluster, cluster[role].keepAlive([ID, '8' as LeaseId]))).toEqual([TTL, undefined])
    }
    const answered = cluster.time.now
    const gone = untilGone(cluster)
    expect(gone - asked).toBeGreaterThanOrEqual(TTL)
    expect(gone - answered).toBeLessThan(TTL + 100)
    expect(done(cluster, cluster[role].keepAlive([ID]))).toEqual([undefined])
  },
)

test.each(['leading', 'follower'] as const)(
  'a keep-alive at a %s node is an entry once in a checkpoint time, and none in between',
  (role) => {
    const cluster = SimulatedCluster.formed(3)
    granted(cluster, cluster.leading, 10_000)
    const before = cluster.leading.storage.log.lastIndex()
    for (let time = 0; time < 60; time++) {
      cluster.advance(500)
      expect(done(cluster, cluster[role].keepAlive([ID, '8' as LeaseId]))).toEqual([10_000, undefined])
    }
    const kinds = kindsAfter(cluster.leading, before)
    expect(new Set(kinds)).toEqual(new Set([RENEW]))
    expect(kinds.length).toBeGreaterThanOrEqual(5)
    // One entry for each checkpoint, and at most one more that advances cluster time.
    expect(kinds.length).toBeLessThanOrEqual(2 * (30_000 / CHECKPOINT))
    expect(cluster[role].running.inspect()).toMatchObject({ forwardedKeepAlives: 0 })
  },
)

test('every node reports the time that the leader knows, and never more than was granted', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, 20_000)
  const remaining = (node: SimulatedNode): number => {
    const asked = new Promised<readonly (number | undefined)[]>()
    node.running.remainingTtls([ID], 1000, (ttlsMs) => asked.settle({ ok: true, value: ttlsMs }))
    return done(cluster, asked)[0] ?? node.running.lease(ID)?.remainingTtlMs ?? 0
  }
  const everywhere = () => cluster.nodes.map(remaining).toSorted((a, b) => a - b)
  const expectAbout = (ms: number) => {
    const [least = 0, , most = 0] = everywhere()
    expect(most).toBeLessThanOrEqual(ms)
    expect(least).toBeGreaterThan(ms - 100)
  }
  cluster.advance(3000)
  done(cluster, cluster.leading.keepAlive([ID]))
  cluster.advance(1000)
  expectAbout(19_000)
  const old = cluster.leading
  old.crash()
  cluster.until(() => cluster.leader !== undefined)
  old.start()
  cluster.until(() => cluster.nodes.every(({ driver }) => driver?.status().notReady.length === 0))
  for (const ms of everywhere()) expect(ms).toBeLessThanOrEqual(20_000)
  cluster.advance(10_000)
  const [least = 0, , most = 0] = everywhere()
  expect(most - least).toBeLessThan(100)
})

test('a question that the leader does not answer any more is answered by the next one', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, 20_000)
  const [old, others] = [cluster.leading, cluster.followers]
  cluster.isolate(old)
  const kept = others.map((node) => node.keepAlive([ID]))
  for (const each of kept) expect(done(cluster, each)).toEqual([20_000])
  expect(old.running.status().raft.term).toBeLessThan(others[0]?.running.status().raft.term ?? 0)
})

test('a question that is asked while the connection to the leader is broken does not wait until its time is over', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, 60_000)
  const { leading, follower } = cluster
  cluster.reconnect(follower, leading)
  cluster.until(() => follower.running.inspect()[`links.broken of ${leading.id}`] === 1)
  const asked = cluster.time.now
  const kept = follower.keepAlive([ID], 5000)
  cluster.until(() => kept.result !== undefined)
  expect(kept.code).toBe('ok')
  expect(cluster.time.now - asked).toBeLessThan(1000)
  expect(cluster.leading).toBe(leading)
})

test('a leader without a majority answers no keep-alive of a follower on its side', () => {
  const cluster = SimulatedCluster.formed(5)
  granted(cluster, cluster.leading, 20_000)
  const { leading, followers } = cluster
  const [near, ...far] = followers
  if (near === undefined) throw new Error('no follower')
  for (const node of far) {
    cluster.part(leading, node)
    cluster.part(near, node)
  }
  const kept = near.keepAlive([ID], 3000)
  const there = far.map((node) => node.keepAlive([ID]))
  for (const each of there) expect(done(cluster, each)).toEqual([20_000])
  cluster.until(() => kept.result !== undefined)
  expect(kept.code).not.toBe('ok')
})

test('while there are leases, an idle cluster writes an entry once in a checkpoint time, and none without', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, 3_600_000)
  const { leading } = cluster
  const before = leading.storage.log.lastIndex()
  cluster.advance(10 * CHECKPOINT + 100)
  expect(kindsAfter(leading, before)).toEqual(Array.from({ length: 10 }, () => RENEW))
  done(cluster, leading.revokeLease(ID))
  const last = leading.storage.log.lastIndex()
  cluster.advance(10 * CHECKPOINT)
  expect(kindsAfter(leading, last)).toEqual([])
})

test.each([
  ['crashes', (cluster: SimulatedCluster) => cluster.leading.crash()],
  ['is cut off', (cluster: SimulatedCluster) => cluster.isolate(cluster.leading)],
])('after a leader %s a lease lives on with what was left, at most a checkpoint longer', (_, lose) => {
  const ttlMs = 20_000
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, ttlMs)
  cluster.advance(3000)
  // Renewed in memory only.
  const asked = cluster.time.now
  expect(done(cluster, cluster.leading.keepAlive([ID]))).toEqual([ttlMs])
  cluster.advance(10_000)
  const old = cluster.leading
  lose(cluster)
  cluster.until(() =>
    cluster.nodes.some((node) => node !== old && node.driver?.status().raft.role === 'leader'),
  )
  const others = cluster.nodes.filter((node) => node !== old)
  cluster.until(() => others.every(({ running }) => valueAt(running, 'k') === undefined))
  const gone = cluster.time.now
  expect(gone - asked).toBeGreaterThanOrEqual(ttlMs)
  expect(gone - asked).toBeLessThan(ttlMs + CHECKPOINT + 100)
})

test('after a change of leader a lease that is kept alive does not end, and its first keep-alive is an entry', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading)
  for (let time = 0; time < 4; time++) {
    const old = cluster.leading
    cluster.advance(1000)
    expect(done(cluster, old.keepAlive([ID]))).toEqual([TTL])
    old.crash()
    cluster.until(() => cluster.leader !== undefined && cluster.leading !== old)
    old.start()
    cluster.until(() => cluster.nodes.every(({ driver }) => driver?.status().notReady.length === 0))
    const { leading } = cluster
    const before = leading.storage.log.lastIndex()
    expect(done(cluster, leading.keepAlive([ID]))).toEqual([TTL])
    expect(kindsAfter(leading, before)).toEqual([RENEW])
    cluster.advance(TTL - 500)
    expect(valueAt(leading.running, 'k')).toBe('v')
    expect(done(cluster, leading.keepAlive([ID]))).toEqual([TTL])
  }
})

test('what one leader has kept alive for long, the next one keeps as well', () => {
  const ttlMs = 10_000
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, ttlMs)
  for (let time = 0; time < 60; time++) {
    cluster.advance(500)
    done(cluster, cluster.leading.keepAlive([ID]))
  }
  const asked = cluster.time.now
  done(cluster, cluster.leading.keepAlive([ID]))
  cluster.leading.crash()
  const gone = untilGone(cluster)
  expect(gone - asked).toBeGreaterThanOrEqual(ttlMs)
  expect(gone - asked).toBeLessThan(ttlMs + CHECKPOINT + 100)
})

test('leaders may change again and again: no lease begins anew', () => {
  const ttlMs = 30_000
  const cluster = SimulatedCluster.formed(3)
  const asked = cluster.time.now
  granted(cluster, cluster.leading, ttlMs)
  for (let time = 0; time < 4; time++) {
    cluster.advance(6000)
    const old = cluster.leading
    old.crash()
    cluster.until(() => cluster.leader !== undefined && cluster.leading !== old)
    old.start()
    cluster.until(() => cluster.nodes.every(({ driver }) => driver?.status().notReady.length === 0))
  }
  const gone = untilGone(cluster)
  expect(gone - asked).toBeGreaterThanOrEqual(ttlMs)
  expect(gone - asked).toBeLessThan(ttlMs + CHECKPOINT + 500)
})

test('a node that was away knows the time again when it is back: leaders may change ten times', () => {
  const ttlMs = 60_000
  const cluster = SimulatedCluster.formed(3)
  const asked = cluster.time.now
  granted(cluster, cluster.leading, ttlMs)
  for (let time = 0; time < 10; time++) {
    const old = cluster.leading
    old.crash()
    cluster.until(() => cluster.leader !== undefined && cluster.leading !== old)
    // The crashed node receives this entry late.
    done(cluster, cluster.leading.put('x', `${time}`))
    cluster.advance(2000)
    old.start()
    cluster.until(() => cluster.nodes.every(({ driver }) => driver?.status().notReady.length === 0))
    // Makes it the next leader.
    while (cluster.leader === undefined || cluster.leading !== old) {
      if (cluster.leader !== undefined) cluster.leading.running.transfer(old.id, 300, () => {})
      cluster.advance(300)
    }
  }
  const gone = untilGone(cluster)
  expect(gone - asked).toBeGreaterThanOrEqual(ttlMs)
  expect(gone - asked).toBeLessThan(ttlMs + CHECKPOINT + 500)
})

test('a whole cluster that was restarted goes on from its last checkpoint', () => {
  const ttlMs = 60_000
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, ttlMs)
  cluster.advance(50_000)
  for (const node of cluster.nodes) node.crash()
  for (const node of cluster.nodes) node.start()
  const started = cluster.time.now
  cluster.until(() => cluster.leader !== undefined)
  const gone = untilGone(cluster)
  // The remaining time, one checkpoint for keep-alives that a leader may have confirmed, and one for the time since
  // the last entry.
  expect(gone - started).toBeGreaterThanOrEqual(10_000 - 1)
  expect(gone - started).toBeLessThan(10_000 + 2 * CHECKPOINT + 2000)
})

test('a follower whose leader goes before it answers keeps a lease alive by an entry of the next one', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, 60_000)
  const { leading: old, follower } = cluster
  const kept = follower.keepAlive([ID, '8' as LeaseId], 20_000)
  expect(follower.running.inspect()).toMatchObject({ forwardedKeepAlives: 1 })
  old.crash()
  cluster.until(() => kept.result !== undefined)
  expect(kept.value).toEqual([60_000, undefined])
  expect(follower.running.inspect()).toMatchObject({ forwardedKeepAlives: 0 })
})

test('a node that ends answers those that wait for the leader', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, 60_000)
  const { follower } = cluster
  cluster.isolate(follower)
  const kept = follower.keepAlive([ID], 60_000)
  const { running } = follower
  expect(running.inspect()).toMatchObject({ forwardedKeepAlives: 1 })
  running.events.stop('stopped')
  cluster.until(() => kept.result !== undefined)
  expect(kept.code).toBe('not_ready')
})

test('a node that has ended does not wait for the leader', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, 60_000)
  const { running } = cluster.follower
  running.events.stop('stopped')
  running.keepAlive([ID], 60_000, () => {})
  expect(running.inspect()).toMatchObject({ forwardedKeepAlives: 0 })
})

test('a follower that is cut off keeps nothing alive, and nothing waits afterwards', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading, 60_000)
  const { follower } = cluster
  cluster.isolate(follower)
  const kept = [follower.keepAlive([ID], 2000), follower.keepAlive([ID], 50)]
  cluster.until(() => kept.every(({ result }) => result !== undefined))
  expect(kept.map(({ code }) => code)).not.toContain('ok')
  expect(follower.running.inspect()).toMatchObject({ forwardedKeepAlives: 0 })
  cluster.heal()
  cluster.converge()
  expect(done(cluster, follower.keepAlive([ID]))).toEqual([60_000])
})

test('a leader that is cut off keeps nothing alive and ends nothing', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading)
  const old = cluster.leading
  cluster.isolate(old)
  const kept = old.keepAlive([ID], 2000)
  cluster.until(() => kept.result !== undefined)
  expect(kept.code).not.toBe('ok')
  cluster.until(() => cluster.leader !== undefined && cluster.leading !== old)
  const { leading } = cluster
  for (let time = 0; time < 5; time++) {
    expect(done(cluster, leading.keepAlive([ID]))).toEqual([TTL])
    cluster.advance(TTL - 500)
  }
  expect(done(cluster, leading.keepAlive([ID]))).toEqual([TTL])
  cluster.heal()
  cluster.converge()
  expect(valueAt(old.running, 'k')).toBe('v')
  untilGone(cluster)
})

test('leases that end together do so in many entries, and a put in between is quick', () => {
  const count = 700
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  const puts = Array.from({ length: count }, (_, i) => leading.putLeased(`k${i}`, 'v', { ttlMs: TTL }))
  cluster.until(() => puts.every(({ result }) => result !== undefined))
  const before = leading.storage.log.lastIndex()
  const remaining = (): number => decodeState(leading.storage.applied.kv).leases.count
  cluster.until(() => remaining() < count)
  const asked = cluster.time.now
  done(cluster, leading.put('other', 'v'))
  expect(cluster.time.now - asked).toBeLessThan(50)
  cluster.until(() => remaining() === 0)
  const ends = kindsAfter(leading, before).filter((kind) => kind === EXPIRE)
  expect(ends.length).toBeGreaterThanOrEqual(Math.ceil(count / 128))
  for (const frame of entriesAfter(leading, before)) expect(frameBody(frame).length).toBeLessThan(4096)
  cluster.converge()
})

test('at rest nothing of leases is under way', () => {
  const cluster = SimulatedCluster.formed(3)
  granted(cluster, cluster.leading)
  done(cluster, cluster.follower.keepAlive([ID]))
  untilGone(cluster)
  cluster.advance(1000)
  for (const { running } of cluster.nodes) {
    const counts = Object.entries(running.inspect()).filter(([name]) => name.startsWith('leases.'))
    expect(counts.length).toBeGreaterThan(0)
    expect(counts.filter(([, count]) => count !== 0)).toEqual([])
  }
})
