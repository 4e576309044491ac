import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { until } from '../../src/local/until.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('what is there at once is found at once', async () => {
  expect(await until(() => 'there', { limitMs: 0 })).toBe('there')
  expect(vi.getTimerCount()).toBe(0)
})

test('it is found at the next look, and when a change is told', async () => {
  let there: string | undefined
  const polled = until(() => there, { limitMs: 1000, everyMs: 10 })
  let tell: () => void = () => {}
  const stopTelling = vi.fn()
  const told = until(() => there, {
    limitMs: 1000,
    onChange: (look) => {
      tell = look
      return stopTelling
    },
  })
  tell()
  expect(stopTelling).not.toHaveBeenCalled()
  there = 'there'
  tell()
  expect(await told).toBe('there')
  expect(stopTelling).toHaveBeenCalledOnce()
  await vi.advanceTimersByTimeAsync(10)
  expect(await polled).toBe('there')
  expect(vi.getTimerCount()).toBe(0)
})

test('it looks once more when the time is up', async () => {
  let there: string | undefined
  const found = until(() => there, { limitMs: 100 })
  const missed = until(() => undefined, { limitMs: 100 })
  there = 'there'
  await vi.advanceTimersByTimeAsync(100)
  expect(await found).toBe('there')
  expect(await missed).toBeUndefined()
})

test.each([2 ** 31, Number.POSITIVE_INFINITY])('a limit of %d ms is not over at once', async (limitMs) => {
  const setTimer = vi.spyOn(globalThis, 'setTimeout')
  let there: string | undefined
  const found = until(() => there, { limitMs, everyMs: 10 })
  // More than a timer takes would be taken for 1 ms.
  expect(setTimer.mock.lastCall?.[1]).toBeLessThan(2 ** 31)
  there = 'there'
  await vi.advanceTimersByTimeAsync(10)
  expect(await found).toBe('there')
})

test('an error of a look is that of the wait, and ends it', async () => {
  let looks = 0
  const failed = until(
    () => {
      if (looks++ > 0) throw new Error('broken')
      return undefined
    },
    { limitMs: 1000, everyMs: 10 },
  )
  const refused = expect(failed).rejects.toThrow('broken')
  await vi.advanceTimersByTimeAsync(1000)
  await refused
  expect(looks).toBe(2)
})
