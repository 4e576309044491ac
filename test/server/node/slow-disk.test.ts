// A leader whose disk is evenly slow, while those of its followers are fast. A batch takes 300 ms, less than an
// election timeout. The limits are far smaller than the shipped ones, so that the test is quick.

import { expect, test } from 'vitest'
import type { NodeLimits } from '../../../jepsen-lite/sim/world/node-limits.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { type Promised, SimulatedCluster, type SimulatedNode } from '../simulated-cluster.ts'

const KiB = 1024
const VALUE = 'v'.repeat(4 * KiB)
const LIMITS: Partial<NodeLimits> = {
  batchBytesMax: 16 * KiB,
  proposedBytesMax: 48 * KiB,
  uncommittedBytesMax: 256 * KiB,
  inflightBytesMax: 16 * KiB,
  applyBytesMax: 16 * KiB,
  proposalBytesMax: 1024 * KiB,
  logTailBytes: 512 * KiB,
  logBehindBytes: 4096 * KiB,
}
const CLIENTS = 8

function slowLeader(limits: Partial<NodeLimits> = {}): { cluster: SimulatedCluster; slow: SimulatedNode } {
  const cluster = SimulatedCluster.formed(3, { limits: { ...LIMITS, ...limits } })
  const slow = cluster.leading
  slow.slowDisk(300)
  return { cluster, slow }
}

/** Clients that write as fast as they are answered. Returns the codes of the answers. */
function write(
  cluster: SimulatedCluster,
  seconds: number,
  observe: () => void,
  mayContinue = (): boolean => true,
): (string | undefined)[] {
  const codes: (string | undefined)[] = []
  let waiting: Promised<unknown>[] = []
  for (let step = 0; step < seconds * 20 && mayContinue(); step++) {
    codes.push(...waiting.flatMap(({ code }) => code ?? []))
    waiting = waiting.filter(({ code }) => code === undefined)
    while (waiting.length < CLIENTS && cluster.leader !== undefined)
      waiting.push(cluster.leading.put(`k${waiting.length}`, VALUE))
    cluster.advance(50)
    cluster.sent.length = 0
    observe()
  }
  return codes
}

test('the leader refuses what its disk cannot keep up with, and hands over; one dead follower costs less than a minute', () => {
  const { cluster, slow } = slowLeader()
  let most = 0
  const codes = write(cluster, 5, () => {
    const { 'raft.undurableBytes': log = 0, overlayBytes = 0 } = slow.running.inspect()
    most = Math.max(most, log + overlayBytes)
  })
  // A batch of 300 ms stores a third more or less than this.
  const storedIn4s = (4000 / 300) * 2 * 12 * KiB
  expect(most).toBeGreaterThan(storedIn4s / 2)
  expect(most).toBeLessThan(storedIn4s * 1.5)
  expect(new Set(codes)).toEqual(new Set(['ok', 'overloaded']))
  expect(cluster.leading).not.toBe(slow)
  // With the old leader as the second of two, it has to store first what the others have.
  cluster.followers.find((node) => node !== slow)?.crash()
  const put = cluster.leading.put('x', 'y', 60_000)
  cluster.until(() => put.code !== undefined)
  expect(put.code).toBe('ok')
})

test('the former leader serves reads and writes of its clients, while its disk is as slow and others write on', () => {
  const { cluster, slow } = slowLeader()
  write(
    cluster,
    30,
    () => {},
    () => cluster.leader?.machine === slow.machine,
  )
  expect(cluster.leading).not.toBe(slow)
  const [read, put] = [slow.read('k0', 4000), slow.put('a', 'x', 4000)]
  for (let ms = 0; read.code === undefined || put.code === undefined; ms += 50) {
    cluster.advance(50)
    if (ms % 500 === 0) cluster.leading.put('b', 'x')
  }
  expect([read.code, put.code]).toEqual(['ok', 'ok'])
  expect(slow.running.inspect()['raft.undurableBytes']).toBeGreaterThan(0)
})

test('a follower with a slow disk takes no more than it stores in time, and votes with its next batch', () => {
  const cluster = SimulatedCluster.formed(3, { limits: { ...LIMITS, inflightBytesMax: 1024 * KiB } })
  const [slow, other] = cluster.followers
  if (slow === undefined || other === undefined) throw new Error('no followers')
  slow.slowDisk(300)
  let most = 0
  write(cluster, 10, () => {
    const { 'raft.undurableBytes': log = 0, overlayBytes = 0 } = slow.running.inspect()
    most = Math.max(most, log + overlayBytes)
  })
  expect(most).toBeLessThan((4000 / 300) * 2 * 12 * KiB * 1.5)
  expect(most).toBeGreaterThan(100 * KiB)
  const leader = cluster.leading
  leader.crash()
  // Its vote is needed, and waits for the batch in flight and for the next one.
  const began = cluster.time.now
  cluster.until(() => cluster.leader !== undefined && cluster.leader.machine === other.machine)
  expect(cluster.time.now - began).toBeLessThan(2500)
})

test('a node with a slow disk stops in time, and has all of its log after the next start', () => {
  const { cluster, slow } = slowLeader()
  write(cluster, 5, () => {})
  const others = cluster.leading.running.status().raft.lastIndex
  const began = cluster.time.now
  let stopped = Number.POSITIVE_INFINITY
  const { running } = slow
  running.drain(() => running.close(() => (stopped = cluster.time.now)))
  cluster.until(() => stopped < Number.POSITIVE_INFINITY)
  const { closeMsMax, handOverMsMax } = driverLimits
  expect(stopped - began).toBeLessThan(handOverMsMax + closeMsMax + 2 * 300)
  expect(slow.storage.log.lastIndex()).toBeLessThan(others)
  slow.crash()
  slow.slowDisk(0.5)
  slow.start()
  cluster.converge()
})

test('applying waits while too many rows are not durable', () => {
  const { cluster, slow } = slowLeader({ overlayBytesMax: 64 * KiB, uncommittedBytesMax: 64 * 1024 * KiB })
  let [most, unapplied] = [0, 0]
  write(cluster, 2, () => {
    const counts = slow.running.inspect()
    most = Math.max(most, counts.overlayBytes ?? 0)
    unapplied = Math.max(unapplied, counts['raft.unappliedEntries'] ?? 0)
  })
  // Its followers have committed what all clients wait for.
  expect(unapplied).toBe(CLIENTS)
  expect(most).toBeLessThan(64 * KiB + 2 * 48 * KiB)
  slow.slowDisk(0.5)
  cluster.converge()
})
