// The bound on the age of the state: echoes of this process's times count, and those of other processes do not, though
// both clocks begin near zero.

import { expect, test } from 'vitest'
import { Freshness } from '../../src/raft/freshness.ts'
import { asIndex } from '../../src/raft/types.ts'

const START = 12
const readIndex = asIndex(7)

test('a stamp is echoed as it was made, never later, to 1/256 ms', () => {
  for (const boot of [1, 2, 255, 256, 4_000_000_000]) {
    const freshness = new Freshness(START, boot)
    freshness.echoed({ at: freshness.stamp(20.123), readIndex }, 30, readIndex)
    expect(freshness.freshAt).toBeLessThanOrEqual(20.123)
    expect(freshness.freshAt).toBeGreaterThan(20.123 - 1 / 256)
  }
})

test.each([
  ['the process before', 1],
  ['one long before', 200],
])('an echo of %s proves nothing, whatever the clocks show', (_, ago) => {
  const boot = 1000
  const before = new Freshness(START, boot - ago)
  for (const toldAt of [15, 3000, 100_000]) {
    const freshness = new Freshness(START, boot)
    freshness.echoed({ at: before.stamp(toldAt), readIndex }, 60_000, readIndex)
    expect(freshness.freshAt).toBeUndefined()
  }
})

test('the state is as fresh as the index that was confirmed, once that is applied', () => {
  const freshness = new Freshness(START, 1)
  freshness.echoed({ at: freshness.stamp(20), readIndex }, 30, asIndex(6))
  expect(freshness.freshAt).toBeUndefined()
  freshness.applied(readIndex)
  expect(freshness.freshAt).toBe(20)
})

test('a moment before the process began, or one still to come, proves nothing; its first and its last do', () => {
  const freshAt = (toldAt: number, now: number): number | undefined => {
    const freshness = new Freshness(START, 1)
    freshness.echoed({ at: freshness.stamp(toldAt), readIndex }, now, readIndex)
    return freshness.freshAt
  }
  expect([freshAt(START - 1, 30), freshAt(START, 30), freshAt(30, 30), freshAt(31, 30)]).toEqual([
    undefined,
    START,
    30,
    undefined,
  ])
})

test('of the contacts that wait for their index the first and the newest count, and the bound never goes back', () => {
  const freshness = new Freshness(START, 1)
  const offer = (at: number, index: number): void =>
    freshness.offer({ at, readIndex: asIndex(index) }, asIndex(0))
  for (const [at, index] of [
    [20, 5],
    [22, 9],
    [30, 8],
    [25, 6],
    [30, 3],
  ] as const) {
    offer(at, index)
  }
  expect(freshness.freshAt).toBe(undefined)
  freshness.applied(asIndex(5))
  expect(freshness.freshAt).toBe(20)
  freshness.applied(asIndex(7))
  expect(freshness.freshAt).toBe(20)
  freshness.applied(asIndex(8))
  expect(freshness.freshAt).toBe(30)
  offer(10, 1)
  freshness.applied(asIndex(8))
  expect(freshness.freshAt).toBe(30)
})
