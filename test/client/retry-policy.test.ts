// The token bucket that bounds how many tries are given up.

import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { COPIES_MIN, COPIES_SHARE, RetryBudget, TOKENS_MIN } from '../../src/client/retry-policy.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

const spent = (budget: RetryBudget): number => {
  let count = 0
  while (budget.tryAcquire(1_000_000)) count += 1
  return count
}

test.each([
  [1, TOKENS_MIN],
  [300, 300],
])('a burst: for %d calls at most %d', (callsMax, burst) => {
  expect(spent(new RetryBudget(callsMax))).toBe(burst)
})

test('then one in twenty, and one each second', () => {
  const budget = new RetryBudget(1)
  budget.callEnded(spent(budget))
  for (let calls = 0; calls < 200; calls++) budget.callEnded(0)
  expect(spent(budget)).toBe(10)
  vi.advanceTimersByTime(5_000)
  expect(spent(budget)).toBe(5)
})

test.each([1, 256])('of %d calls in flight few at a time', (calls) => {
  const budget = new RetryBudget(256)
  let count = 0
  while (budget.tryAcquire(calls)) count += 1
  expect(count).toBe(Math.max(COPIES_MIN, calls * COPIES_SHARE))
  budget.callEnded(1)
  expect(budget.tryAcquire(calls)).toBe(true)
})

test('calls that end give all of their places back, however many they had', () => {
  const budget = new RetryBudget(256)
  for (let round = 0; round < 100; round++) {
    const copies = 1 + (round % 3)
    for (let n = 0; n < copies; n++) expect(budget.tryAcquire(1)).toBe(true)
    budget.callEnded(copies)
    vi.advanceTimersByTime(5_000)
  }
})
