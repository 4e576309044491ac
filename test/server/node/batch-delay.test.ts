// Proposals wait for others that will share their batch, if many clients write.

import { expect, test } from 'vitest'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { BatchDelay } from '../../../src/server/node/write/batch-delay.ts'
import { SimulatedCluster } from '../simulated-cluster.ts'

const delayLimits = { ...driverLimits, batchDelayFrom: 8, batchDelayMsMax: 5 }

/** A delay after it has measured a write of this duration. `at`: the time of a request. */
function delayAfter(writeMs: number) {
  const clock = { time: 0, now: () => clock.time }
  const delay = new BatchDelay(clock, delayLimits)
  delay.proposed(1)
  clock.time = writeMs
  delay.ended(1)
  return {
    leftMs(queued: number, pending: number, at: number): number {
      clock.time = writeMs + at
      return delay.leftMs(queued, pending)
    },
  }
}

test('a few clients never wait', () => {
  const few = delayAfter(2)
  expect(few.leftMs(7, 7, 0)).toBe(0)
  expect(few.leftMs(1, 7, 1)).toBe(0)
})

test('the first of a crowd that come back wait for the others, as long as two writes take', () => {
  const crowd = delayAfter(2)
  expect(crowd.leftMs(64, 64, 0)).toBe(0)
  expect(crowd.leftMs(1, 1, 10)).toBe(4)
  expect(crowd.leftMs(30, 30, 11)).toBe(3)
  expect(crowd.leftMs(58, 58, 12)).toBe(0)
  expect(crowd.leftMs(6, 64, 13)).toBe(4)
  expect(crowd.leftMs(8, 64, 17)).toBe(0)
})

test('where writes take long, nobody waits for longer than the limit', () => {
  const crowd = delayAfter(100)
  crowd.leftMs(64, 64, 0)
  expect(crowd.leftMs(1, 1, 10)).toBe(5)
  expect(crowd.leftMs(1, 1, 15)).toBe(0)
})

test('clients in a closed loop come to share their batches', () => {
  const CLIENTS = 20
  const batchesOf = (batchDelayFrom: number): number => {
    const cluster = SimulatedCluster.formed(3, { limits: { batchDelayFrom } })
    const leader = cluster.leading
    const pending = Array.from({ length: CLIENTS }, (_, i) => leader.put(`k${i}`, 'v'))
    const written = leader.storage.applied.index
    cluster.sent.length = 0
    let done = 0
    while (done < 50 * CLIENTS) {
      // Clients write again as outcomes arrive: some are in time for the next batch and some are not.
      const at = pending.findIndex(({ result }) => result !== undefined)
      if (at < 0) {
        cluster.until(() => pending.some(({ result }) => result !== undefined))
        continue
      }
      pending[at] = leader.put(`k${at}`, 'v')
      done++
      cluster.advance(0.05)
    }
    expect(leader.storage.applied.index).toBeGreaterThan(written + 40 * CLIENTS)
    return cluster.sent.filter(({ type }) => type === 'append').length
  }
  expect(batchesOf(2)).toBeLessThan(batchesOf(1_000_000) / 2)
})
