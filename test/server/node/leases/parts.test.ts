// A lease with more keys than an entry deletes: it ends in parts, and other requests are served in between.

import { expect, test } from 'vitest'
import type { NodeLimits } from '../../../../jepsen-lite/sim/world/node-limits.ts'
import type { LeaseId } from '../../../../src/operations/forms/index.ts'
import { type Promised, SimulatedCluster, type SimulatedNode, valueAt } from '../../simulated-cluster.ts'

const ID = '7' as LeaseId
const KEYS = 30
/** The setting `rangeKeysMax`. A part has a tenth of it. */
const RANGE_KEYS_MAX = 20
const PARTS = KEYS / (RANGE_KEYS_MAX / 10)

const keyOf = (at: number): string => `leased ${at}`

function done<T>(cluster: SimulatedCluster, promised: Promised<T>): T {
  cluster.until(() => promised.result !== undefined)
  return promised.value
}

function formed(ttlMs = 60_000, limits: Partial<NodeLimits> = {}): SimulatedCluster {
  const cluster = SimulatedCluster.formed(3, { limits })
  done(cluster, cluster.leading.set({ rangeKeysMax: RANGE_KEYS_MAX }))
  done(cluster, cluster.leading.grantLease(ID, ttlMs))
  for (let at = 0; at < KEYS; at++)
    expect(done(cluster, cluster.leading.putLeased(keyOf(at), 'v', { id: ID })).kind).toBe('put')
  cluster.converge()
  return cluster
}

/** A node that does not run has all of them. */
function keysLeft({ driver }: SimulatedNode): number {
  if (driver === undefined) return KEYS
  const values = Array.from({ length: KEYS }, (_, at) => valueAt(driver, keyOf(at)))
  return values.filter((value) => value !== undefined).length
}

/** The store has no other keys. */
function untilHalf(cluster: SimulatedCluster): void {
  cluster.until(() => cluster.nodes.some(({ driver }) => driver !== undefined && driver.keys <= KEYS / 2))
}

test.each(['leading', 'follower'] as const)(
  'a %s node answers a revocation when all keys are deleted, in an entry for each part',
  (role) => {
    const cluster = formed()
    const node = cluster[role]
    const before = node.running.revision
    expect(done(cluster, node.revokeLease(ID))).toMatchObject({ kind: 'revoked', deleted: KEYS })
    expect(keysLeft(node)).toBe(0)
    expect(node.running.revision - before).toBe(PARTS)
    cluster.converge()
    for (const { running } of cluster.nodes) {
      expect(running.lease(ID)).toBeUndefined()
      expect(running.inspect()['leases.revocations']).toBe(0)
    }
  },
)

test('a bounded number of requests waits for the last part', () => {
  const cluster = formed(60_000, { proposalsMax: 2 })
  const { leading } = cluster
  const waiting = () => leading.running.inspect()['leases.revocations']
  const revocations = [leading.revokeLease(ID), leading.revokeLease(ID)]
  cluster.until(() => waiting() === 2)
  const other = leading.revokeLease(ID)
  cluster.until(() => other.result !== undefined)
  expect(other.result).toMatchObject({ ok: false, problem: { code: 'outcome_unknown' } })
  expect(waiting()).toBe(2)
  for (const one of revocations) expect(done(cluster, one)).toMatchObject({ kind: 'revoked' })
})

test('it ends in parts when its time has passed, and no earlier', () => {
  const cluster = formed(5000)
  done(cluster, cluster.leading.keepAlive([ID]))
  const kept = cluster.time.now
  cluster.until(() => keysLeft(cluster.follower) < KEYS)
  expect(cluster.time.now - kept).toBeGreaterThanOrEqual(5000 - 1)
  cluster.until(() => cluster.nodes.every((node) => keysLeft(node) === 0))
  expect(cluster.leading.running.status().leases).toMatchObject({ count: 0, expired: 1 })
  cluster.converge()
})

test('meanwhile other requests are served, and to clients the lease does not exist', () => {
  const cluster = formed()
  const { leading, follower } = cluster
  const revoked = leading.revokeLease(ID)
  untilHalf(cluster)
  for (const node of [leading, follower]) {
    const [put, kept] = [node.put('other', 'v'), node.keepAlive([ID])]
    const attached = node.putLeased(`new of ${node.name}`, 'v', { id: ID })
    expect(done(cluster, put).kind).toBe('put')
    expect(done(cluster, kept)).toEqual([undefined])
    expect(done(cluster, attached)).toMatchObject({ kind: 'refused', code: 'lease_not_found' })
    expect(done(cluster, node.grantLease(ID, 60_000))).toMatchObject({
      kind: 'refused',
      code: 'lease_exists',
    })
    expect(node.running.lease(ID)?.isEnding).toBe(true)
  }
  expect(keysLeft(leading)).toBeGreaterThan(0)
  // A put without the lease takes its key away from it, and it stays.
  const last = keyOf(9)
  const kept = leading.put(last, 'kept')
  const again = follower.revokeLease(ID)
  expect(done(cluster, revoked)).toMatchObject({ kind: 'revoked', deleted: KEYS })
  expect(done(cluster, again)).toMatchObject({ kind: 'revoked' })
  expect(done(cluster, kept).kind).toBe('put')
  expect(valueAt(leading.running, last)).toBe('kept')
  expect(done(cluster, leading.grantLease(ID, 60_000)).kind).toBe('granted')
  cluster.converge()
  expect(leading.running.lease(ID)).toMatchObject({ isEnding: false, keyCount: 0 })
})

test('leases that are due at the same time do not wait for all its parts', () => {
  const cluster = formed(5000)
  const small = Array.from({ length: 5 }, (_, at) =>
    cluster.leading.putLeased(`small ${at}`, 'v', { ttlMs: 5000 }),
  )
  for (const put of small) done(cluster, put)
  const { follower } = cluster
  cluster.until(() => valueAt(follower.running, 'small 4') === undefined)
  expect(keysLeft(follower)).toBeGreaterThan(KEYS / 2)
  cluster.until(() => keysLeft(follower) === 0)
  cluster.converge()
})

test.each(['leader', 'all'] as const)('the next leader deletes the rest, after a crash of %s', (crashed) => {
  const cluster = formed()
  const { leading, follower } = cluster
  const revoked = follower.revokeLease(ID)
  untilHalf(cluster)
  const nodes = crashed === 'all' ? cluster.nodes : [leading]
  for (const node of nodes) node.crash()
  for (const node of nodes) node.start()
  cluster.until(() => cluster.nodes.every((node) => keysLeft(node) === 0))
  if (crashed === 'leader') expect(done(cluster, revoked)).toMatchObject({ kind: 'revoked', deleted: KEYS })
  cluster.converge()
  expect(done(cluster, follower.revokeLease(ID))).toMatchObject({ kind: 'refused', code: 'lease_not_found' })
})

test('a node that ends, or has no time, says that the rest will be deleted, and another request waits for it', () => {
  const cluster = formed()
  const { leading, follower } = cluster
  const [late, ended] = [leading.revokeLease(ID, 15), follower.revokeLease(ID)]
  untilHalf(cluster)
  follower.running.events.stop('stopped')
  cluster.until(() => late.result !== undefined && ended.result !== undefined)
  for (const { result } of [late, ended])
    expect(result).toMatchObject({ ok: false, problem: { code: 'outcome_unknown', written: 'unknown' } })
  expect(done(cluster, leading.revokeLease(ID)).kind).toBe('revoked')
  expect(keysLeft(leading)).toBe(0)
})

test('a lease that fits into an entry ends at one revision, as before', () => {
  const cluster = SimulatedCluster.formed(3)
  const { leading } = cluster
  done(cluster, leading.set({ rangeKeysMax: RANGE_KEYS_MAX }))
  done(cluster, leading.grantLease(ID, 60_000))
  for (let at = 0; at < RANGE_KEYS_MAX; at++) done(cluster, leading.putLeased(keyOf(at), 'v', { id: ID }))
  const before = leading.running.revision
  expect(done(cluster, leading.revokeLease(ID))).toMatchObject({ deleted: RANGE_KEYS_MAX })
  expect(leading.running.revision).toBe(before + 1)
})
