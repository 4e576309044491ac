// The limit on concurrent writes of an import, with clusters whose rate at each number of writes is known.

import { expect, test } from 'vitest'
import { ImportPace, WINDOW_MS, WRITES_MAX, WRITES_MIN, WRITES_START } from '../../src/cli/import-pace.ts'

/** The largest number of writes in flight in each window, when `rate(n)` of them end in a millisecond. */
function windows(count: number, rate: (underway: number, window: number) => number, isFull = true): number[] {
  let now = 0
  const pace = new ImportPace(() => now)
  const limits: number[] = []
  for (let window = 0; window < count; window++) {
    let limit = 1
    while (isFull ? pace.hasRoom(limit) : limit < 10) limit += 1
    limits.push(limit)
    const perMs = rate(limit, window)
    const writes = Math.max(limit, Math.ceil(perMs * WINDOW_MS))
    for (let write = 0; write < writes; write++) {
      now += 1 / perMs
      // The last one ends when the window does.
      if (write === writes - 1) now = Math.ceil(now + 0.001)
      pace.ended()
    }
  }
  return limits
}

test('more writes are under way as long as that is faster, up to the bound', () => {
  expect(windows(8, (n) => n / 20)).toEqual([WRITES_START, 256, 384, 512, 512, 512, 512, 512])
  expect(WRITES_MAX).toBe(512)
})

test('where more of them are no faster the number goes back, and is tried again later', () => {
  const limits = windows(30, (n) => Math.min(n, 256) / 20)
  expect(limits.slice(0, 5)).toEqual([128, 256, 384, 256, 256])
  expect(limits.filter((n) => n === 384).length).toBeLessThanOrEqual(4)
  expect(limits.slice(5)).toContain(384)
  expect(Math.max(...limits)).toBe(384)
})

test('a cluster that becomes slow is given half as many, again and again, and more when it has recovered', () => {
  const limits = windows(40, (n, window) => (window < 4 || window >= 11 ? n / 20 : 10 ** (3 - window)))
  expect(limits.slice(3, 12)).toEqual([512, 512, 256, 128, 64, 32, 16, WRITES_MIN, WRITES_MIN])
  expect(limits.at(-1)).toBe(WRITES_MAX)
})

test('a slow source does not raise the number', () => {
  let now = 0
  const pace = new ImportPace(() => now)
  for (let write = 0; write < 1000; write++) {
    now += 50
    pace.ended()
  }
  expect([pace.hasRoom(WRITES_START - 1), pace.hasRoom(WRITES_START)]).toEqual([true, false])
})

/**
 * The largest number of writes in flight in each burst of a source that pauses after each. `rate(n)` writes end in a
 * millisecond when n are in flight.
 */
function bursts(
  count: number,
  writes: number,
  pauseMs: number,
  rate: (underway: number) => number,
): number[] {
  let now = 0
  const pace = new ImportPace(() => now)
  return Array.from({ length: count }, () => {
    let underway = 0
    let most = 0
    for (let begun = 0; begun < writes || underway > 0; ) {
      while (begun < writes) {
        pace.begins(underway)
        begun += 1
        underway += 1
        most = Math.max(most, underway)
        if (!pace.hasRoom(underway)) break
      }
      now += 1 / rate(underway)
      pace.ended()
      underway -= 1
    }
    now += pauseMs
    return most
  })
}

test('the pauses of a source change nothing', () => {
  const without = bursts(40, 1_200, 0, () => 8)
  expect(without).toContain(256)
  expect(bursts(40, 1_200, 10_000, () => 8)).toEqual(without)
})

test('a source whose bursts are shorter than a window is made faster, too', () => {
  const limits = bursts(100, 1_200, 1, (n) => n / 20)
  expect([limits[0], Math.max(...limits)]).toEqual([WRITES_START, WRITES_MAX])
})
