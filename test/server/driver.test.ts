// The driver in virtual time: whole nodes on memory disks and a network of queues.

import { expect, test } from 'vitest'
import { SimulatedCluster, valueAt } from './simulated-cluster.ts'

const settle = (cluster: SimulatedCluster, reached: () => boolean): void =>
  cluster.clock.advanceUntil(reached)

function leaderOf(cluster: SimulatedCluster) {
  const { leader } = cluster
  if (leader === undefined) throw new Error('no leader')
  return leader
}

test('a founder elects itself, and others join as learners and are promoted', () => {
  const cluster = SimulatedCluster.formed(3)
  const { voters, learners } = leaderOf(cluster).running.configuration
  expect(voters).toHaveLength(3)
  expect(learners).toHaveLength(0)
})

test('a write at any node is read at every other node', () => {
  const cluster = SimulatedCluster.formed(3)
  for (const node of cluster.nodes) {
    const put = node.put('k', node.name)
    settle(cluster, () => put.result !== undefined)
    expect(put.code).toBe('ok')
    for (const other of cluster.nodes) {
      const read = other.read('k')
      settle(cluster, () => read.result !== undefined)
      expect(read.value).toBe(node.name)
    }
  }
})

test('many writes of one turn become durable in few batches', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = leaderOf(cluster)
  const appends = (): number =>
    cluster.traffic.filter(({ type, from }) => type === 'append' && from === leader.id).length
  const before = appends()
  const puts = Array.from({ length: 200 }, (_, i) => leader.put(`k${i}`, 'v'))
  settle(cluster, () => puts.every(({ result }) => result !== undefined))
  expect(puts.every(({ code }) => code === 'ok')).toBe(true)
  expect(appends() - before).toBeLessThan(20)
})

test('nothing is answered before a majority has it on disk', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = leaderOf(cluster)
  for (const node of cluster.followers) node.fsyncMs = 100
  const start = cluster.clock.now()
  const put = leader.put('k', 'v')
  settle(cluster, () => put.result !== undefined)
  expect(cluster.clock.now() - start).toBeGreaterThan(100)
})

test('a single voter answers only after its own disk', () => {
  const cluster = SimulatedCluster.formed(1)
  const leader = leaderOf(cluster)
  leader.fsyncMs = 77
  const start = cluster.clock.now()
  const put = leader.put('k', 'v')
  settle(cluster, () => put.result !== undefined)
  expect(cluster.clock.now() - start).toBeGreaterThanOrEqual(77)
})

test('a client of a survivor sees the death of the leader as a delay', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = leaderOf(cluster)
  const [survivor] = cluster.followers
  const puts = Array.from({ length: 20 }, (_, i) => survivor?.put(`k${i}`, 'v'))
  cluster.clock.advance(0.3) // forwarded, some of them appended by the leader
  leader.crash()
  const start = cluster.clock.now()
  settle(cluster, () => puts.every((put) => put?.result !== undefined))
  expect(puts.map((put) => put?.code)).toEqual(puts.map(() => 'ok'))
  expect(cluster.clock.now() - start).toBeLessThan(250)
  cluster.converge()
  for (const node of cluster.followers)
    for (let i = 0; i < 20; i++) expect(valueAt(node.running, `k${i}`)).toBe('v')
})

test('what a restarted node acknowledged is there, whatever the crash did to the batch in flight', () => {
  for (const inFlight of ['lost', 'kept'] as const) {
    const cluster = SimulatedCluster.formed(3)
    const leader = leaderOf(cluster)
    const puts = Array.from({ length: 50 }, (_, i) => leader.put(`k${i}`, 'v'))
    settle(cluster, () => puts.some(({ result }) => result !== undefined))
    for (const node of cluster.nodes) node.crash(inFlight)
    const acknowledged = puts.flatMap(({ code }, i) => (code === 'ok' ? [i] : []))
    expect(acknowledged.length).toBeGreaterThan(0)
    for (const node of cluster.nodes) node.start()
    settle(cluster, () => cluster.leader !== undefined)
    cluster.converge()
    const read = leaderOf(cluster).read('k0')
    settle(cluster, () => read.result !== undefined)
    for (const i of acknowledged) expect(valueAt(leaderOf(cluster).running, `k${i}`)).toBe('v')
  }
})

test('the minority side: a write is unknown or refused in time, a read is refused, a stale read says how old it is', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = leaderOf(cluster)
  const [a, b] = cluster.followers
  const before = leader.put('k', 'old')
  settle(cluster, () => before.result !== undefined)
  cluster.clock.advance(200)
  cluster.partition(
    [leader],
    [a, b].filter((node) => node !== undefined),
  )
  const lost = leader.put('k', 'lost', 3000)
  const readAtOnce = leader.read('k', 'linearizable', 3000)
  cluster.clock.advance(2000)
  const refused = leader.put('k', 'refused', 1000)
  const readLater = leader.read('k', 'linearizable', 1000)
  const stale = leader.grant('stale')
  cluster.clock.advance(1500)
  expect(lost.code).toBe('outcome_unknown')
  expect(refused.code).toBe('no_leader')
  expect([readAtOnce.code, readLater.code]).toEqual(['no_leader', 'no_leader'])
  expect(stale.value.served).toBe('stale')
  expect(stale.value.stalenessMs).toBeGreaterThan(1900)
  expect(stale.value.stalenessMs).toBeLessThan(2300)
  const other = a?.put('k', 'new')
  settle(cluster, () => other?.result !== undefined)
  cluster.heal()
  cluster.converge()
  for (const node of cluster.nodes) expect(valueAt(node.running, 'k')).toBe('new')
})

test('graceful stop hands leadership over and finishes what is under way', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = leaderOf(cluster)
  const puts = Array.from({ length: 20 }, (_, i) => leader.put(`k${i}`, 'v'))
  let drained = false
  leader.running.drain(() => {
    drained = true
  })
  const late = leader.put('late', 'v')
  const start = cluster.clock.now()
  settle(cluster, () => drained)
  expect(cluster.clock.now() - start).toBeLessThan(100)
  expect([...puts, late].map(({ code }) => code)).toEqual([...puts, late].map(() => 'ok'))
  expect(leaderOf(cluster)).not.toBe(leader)
})

test('a follower that was away for longer than the log is kept gets a snapshot, and nobody campaigns', () => {
  const cluster = SimulatedCluster.formed(3, { limits: { logTailEntries: 50, compactEntriesMin: 10 } })
  const leader = leaderOf(cluster)
  const [away] = cluster.followers
  away?.crash()
  for (let round = 0; round < 10; round++) {
    const puts = Array.from({ length: 50 }, (_, i) => leader.put(`k${round}-${i}`, 'v'))
    settle(cluster, () => puts.every(({ result }) => result !== undefined))
  }
  cluster.clock.advance(100)
  const term = leader.running.term
  away?.start()
  const during = Array.from({ length: 100 }, (_, i) => leader.put(`d${i}`, 'v'))
  settle(cluster, () => during.every(({ result }) => result !== undefined))
  cluster.converge()
  expect(leader.running.term).toBe(term)
  expect(valueAt(away?.running ?? leader.running, 'k0-0')).toBe('v')
  expect(away?.running.status().raft.firstIndex).toBeGreaterThan(100)
})

test('a replica whose rows differ from the majority stops and says how to rejoin', () => {
  const cluster = SimulatedCluster.formed(3)
  const [bad] = cluster.followers
  const put = leaderOf(cluster).put('k', 'v')
  settle(cluster, () => put.result !== undefined)
  cluster.clock.advance(100)
  if (bad?.storage === undefined) throw new Error('no follower')
  Object.defineProperty(bad.storage, 'stateHash', { get: () => 1n })
  settle(cluster, () => bad?.end !== undefined)
  expect(bad?.end?.reason).toMatch(/diverged.*kv cluster rejoin/)
  expect(cluster.nodes.filter((node) => node.end !== undefined)).toEqual([bad])
})

test('the first storage error ends the node, and whoever waits is told the truth', () => {
  const cluster = SimulatedCluster.formed(1)
  const leader = leaderOf(cluster)
  const put = leader.put('k', 'v')
  cluster.clock.advance(0.1)
  const { storage } = leader
  if (storage === undefined) throw new Error('no storage')
  leader.running.stop('the disk is full')
  expect(put.code).toBe('outcome_unknown')
  expect(leader.end).toEqual({ kind: 'failed', reason: 'the disk is full' })
})

test('a removed replica ends, and its old id never comes back', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = leaderOf(cluster)
  const [gone] = cluster.followers
  if (gone === undefined) throw new Error('no follower')
  let removed = false
  leader.running.change({ kind: 'change', steps: [{ kind: 'remove', id: gone.id }] }, 5000, (result) => {
    removed = result.ok
  })
  settle(cluster, () => removed)
  expect(leader.running.configuration.removed).toContain(gone.id)
  if (gone.driver !== undefined) gone.crash()
  gone.start()
  settle(cluster, () => gone.end !== undefined)
  expect(gone.end?.reason).toMatch(/removed from the cluster/)
})

test('leases are a setting of the cluster: once on, reads under them need no round', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = leaderOf(cluster)
  const before = leader.grant('lease')
  settle(cluster, () => before.result !== undefined)
  expect(before.value.served).toBe('linearizable')
  let on = false
  leader.running.setLeases({ on: true, durationMs: 500 }, 5000, (result) => {
    on = result.ok && result.value.on
  })
  settle(cluster, () => on)
  cluster.clock.advance(300)
  const start = cluster.clock.now()
  const read = leader.grant('lease')
  settle(cluster, () => read.result !== undefined)
  expect(read.value.served).toBe('lease')
  expect(cluster.clock.now() - start).toBeLessThan(0.2)
})

test('runs the same way each time', () => {
  const trace = (): string => {
    const cluster = SimulatedCluster.formed(3, { seed: 7 })
    const puts = Array.from({ length: 30 }, (_, i) => cluster.followers[0]?.put(`k${i}`, 'v'))
    cluster.clock.advance(0.4)
    cluster.leader?.crash()
    settle(cluster, () => puts.every((put) => put?.result !== undefined))
    return JSON.stringify([
      cluster.clock.now(),
      cluster.traffic.map(({ type, from, to, term }) => [type, from, to, term]),
    ])
  }
  expect(trace()).toBe(trace())
})

test('a transfer to a voter that cannot be reached is refused with the reason', () => {
  const cluster = SimulatedCluster.formed(3)
  const leader = leaderOf(cluster)
  const [away] = cluster.followers
  away?.crash()
  cluster.clock.advance(1500)
  let problem = ''
  leader.running.transfer(away?.id, 5000, (result) => {
    problem = result.ok ? '' : `${result.problem.code}: ${result.problem.detail}`
  })
  cluster.clock.advance(1)
  expect(problem).toBe('membership_refused: n2 cannot be reached')
})

test('a transfer without a leader is refused as that', () => {
  const cluster = SimulatedCluster.formed(3)
  const [alone] = cluster.followers
  if (alone === undefined) throw new Error('no follower')
  cluster.partition(
    [alone],
    cluster.nodes.filter((node) => node !== alone),
  )
  cluster.clock.advance(2000)
  let code = ''
  alone.running.transfer(undefined, 5000, (result) => {
    code = result.ok ? '' : result.problem.code
  })
  cluster.clock.advance(1)
  expect(code).toBe('no_leader')
})

test('a replica that is told of its lost state stops and says how to rejoin', () => {
  const cluster = SimulatedCluster.formed(3)
  const [lost] = cluster.followers
  const leader = leaderOf(cluster)
  if (lost === undefined) throw new Error('no follower')
  const detail = 'n2 has lost durable state'
  lost.running.message({
    type: 'lost-state',
    from: leader.id,
    to: lost.id,
    term: leader.running.term,
    detail,
  })
  expect(lost.end?.reason).toMatch(/lost durable state.*kv cluster rejoin n2/)
})
