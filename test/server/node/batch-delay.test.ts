import { expect, test } from 'vitest'
import { BatchDelay } from '../../../src/server/node/batch-delay.ts'
import { driverLimits } from '../../../src/server/node/limits.ts'
import { SimulatedCluster } from '../simulated-cluster.ts'

const limits = { ...driverLimits, batchDelayFrom: 8, batchDelayMsMax: 5 }

/** One that has seen a write take so long; `at` asks it at a time. */
function delayAfter(writeMs: number) {
  const clock = { time: 0, now: () => clock.time }
  const made = new BatchDelay(clock, limits)
  made.proposed(1)
  clock.time = writeMs
  made.ended(1)
  return {
    waitMs(fresh: number, underway: number, at: number): number {
      clock.time = writeMs + at
      return made.waitMs(fresh, underway)
    },
  }
}

test('a few clients never wait', () => {
  const few = delayAfter(2)
  expect(few.waitMs(7, 7, 0)).toBe(0)
  expect(few.waitMs(1, 7, 1)).toBe(0)
})

test('the first of a crowd that come back wait for the others, as long as two writes take', () => {
  const crowd = delayAfter(2)
  expect(crowd.waitMs(64, 64, 0)).toBe(0)
  expect(crowd.waitMs(1, 1, 10)).toBe(4)
  expect(crowd.waitMs(30, 30, 11)).toBe(3)
  expect(crowd.waitMs(58, 58, 12)).toBe(0)
  expect(crowd.waitMs(6, 64, 13)).toBe(4)
  expect(crowd.waitMs(8, 64, 17)).toBe(0)
})

test('where writes take long, nobody waits for longer than the limit', () => {
  const crowd = delayAfter(100)
  crowd.waitMs(64, 64, 0)
  expect(crowd.waitMs(1, 1, 10)).toBe(5)
  expect(crowd.waitMs(1, 1, 15)).toBe(0)
})

test('a crowd that has left is forgotten', () => {
  const crowd = delayAfter(2)
  crowd.waitMs(64, 64, 0)
  let waited = 0
  for (let now = 10; now < 1000; now += 10) {
    if (crowd.waitMs(1, 1, now) === 0) continue
    waited++
    expect(crowd.waitMs(1, 1, now + 4)).toBe(0)
  }
  expect(waited).toBeGreaterThan(10)
  expect(waited).toBeLessThan(60)
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
      // One after the other, as the answers come: some are in time for the next batch and some are not.
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

test('a write is measured from when it was handed in to its own end, and one that never ends is given up', () => {
  const clock = { time: 0, now: () => clock.time }
  const made = new BatchDelay(clock, { ...limits, batchDelayMsMax: 1_000_000 })
  const waited = (): number => {
    made.waitMs(1000, 1000)
    const ms = made.waitMs(1, 1)
    clock.time += 2 * ms
    made.waitMs(1, 1)
    return ms
  }
  expect(waited()).toBe(0)
  made.proposed(1)
  clock.time += 3
  // Another, and its end: neither says anything of the first.
  made.proposed(2)
  made.ended(2)
  clock.time += 4
  made.ended(1)
  expect(waited()).toBe(14)
  made.proposed(3)
  clock.time += 1000
  made.proposed(4)
  made.ended(4)
  expect(waited()).toBe(14)
  clock.time += 1
  made.proposed(5)
  clock.time += 9
  made.ended(5)
  expect(waited()).toBe(18)
})

test('a crowd is one as soon as so many are under way, and has come back with nine tenths of them', () => {
  expect(delayAfter(2).waitMs(7, 8, 0)).toBe(4)
  expect(delayAfter(2).waitMs(8, 8, 0)).toBe(0)
  expect(delayAfter(2).waitMs(9, 10, 0)).toBe(0)
  expect(delayAfter(2).waitMs(8, 10, 0)).toBe(4)
  expect(delayAfter(2).waitMs(1, 7, 0)).toBe(0)
})

test('who has waited to the end begins anew the next time', () => {
  const crowd = delayAfter(2)
  expect(crowd.waitMs(1, 64, 0)).toBe(4)
  expect(crowd.waitMs(1, 64, 4)).toBe(0)
  expect(crowd.waitMs(1, 64, 5)).toBe(4)
})
