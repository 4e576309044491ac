// Far more waiting calls than an application has: their cost does not grow with the square of their number.

import { expect, test } from 'vitest'
import { ConcurrencyLimiter } from '../../src/client/concurrency-limiter.ts'

/** If each searched all, they would not end within the time of the test. */
const MANY = 150_000

test('many that wait, each with its own signal, end when their signals fire', {
  timeout: 60_000,
}, async () => {
  const turns = new ConcurrencyLimiter(1)
  turns.tryAcquire()
  const aborts = Array.from({ length: MANY }, () => new AbortController())
  const ends = aborts.map(({ signal }) => turns.wait(60_000, signal))
  const last = turns.wait(60_000, undefined)
  for (const abort of aborts) abort.abort()
  expect(turns.waiting).toBe(1)
  turns.release()
  expect(await last).toBe(true)
  expect(new Set(await Promise.all(ends))).toEqual(new Set([false]))
  turns.release()
  expect([turns.acquired, turns.waiting]).toEqual([0, 0])
})
