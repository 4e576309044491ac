// A leader whose disk is evenly slow, while those of its followers are fast. A batch takes 300 ms, less than an
// election time-out. The limits are far smaller than the shipped ones, so that the test is quick.

import { expect, test } from 'vitest'
import type { NodeLimits } from '../../../jepsen-lite/sim/node-limits.ts'
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
function write(cluster: SimulatedCluster, seconds: number, observe: () => void): (string | undefined)[] {
  const codes: (string | undefined)[] = []
  let waiting: Promised<unknown>[] = []
  for (let step = 0; step < seconds * 20; step++) {
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
    most = Math.max(most, log, overlayBytes / 4)
  })
  expect(most).toBeGreaterThan(200 * KiB)
  expect(most).toBeLessThan(300 * KiB)
  expect(new Set(codes)).toEqual(new Set(['ok', 'overloaded']))
  expect(cluster.leading).not.toBe(slow)
  // With the old leader as the second of two, its backlog has to be written first.
  cluster.followers.find((node) => node !== slow)?.crash()
  const put = cluster.leading.put('x', 'y', 60_000)
  cluster.until(() => put.code !== undefined)
  expect(put.code).toBe('ok')
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
