import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { poll } from '../../src/local/poll.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

test('a value that is there is returned by the first check', async () => {
  expect(await poll(() => 'there', { timeoutMs: 0 })).toBe('there')
  expect(vi.getTimerCount()).toBe(0)
})

test('a value is found after the interval, and after a change', async () => {
  let value: string | undefined
  const polled = poll(() => value, { timeoutMs: 1000, intervalMs: 10 })
  let onChange: () => void = () => {}
  const unsubscribe = vi.fn()
  const notified = poll(() => value, {
    timeoutMs: 1000,
    subscribe: (listener) => {
      onChange = listener
      return unsubscribe
    },
  })
  await vi.advanceTimersByTimeAsync(1)
  onChange()
  await vi.advanceTimersByTimeAsync(1)
  expect(unsubscribe).not.toHaveBeenCalled()
  value = 'there'
  onChange()
  expect(await notified).toBe('there')
  expect(unsubscribe).toHaveBeenCalledOnce()
  await vi.advanceTimersByTimeAsync(10)
  expect(await polled).toBe('there')
  expect(vi.getTimerCount()).toBe(0)
})

test('a change during a check is not missed', async () => {
  let value: string | undefined
  let onChange: () => void = () => {}
  const check = async (): Promise<string | undefined> => {
    const before = value
    value = 'there'
    onChange()
    return before
  }
  const subscribe = (listener: () => void): (() => void) => {
    onChange = listener
    return () => {}
  }
  expect(await poll(check, { timeoutMs: 1000, subscribe })).toBe('there')
})

test('it checks once more after the timeout', async () => {
  let value: string | undefined
  const found = poll(() => value, { timeoutMs: 100 })
  const missed = poll(() => undefined, { timeoutMs: 100 })
  value = 'there'
  await vi.advanceTimersByTimeAsync(100)
  expect(await found).toBe('there')
  expect(await missed).toBeUndefined()
})

test.each([2 ** 31, Number.POSITIVE_INFINITY])(
  'a timeout of %d ms does not end at once',
  async (timeoutMs) => {
    let value: string | undefined
    const check = vi.fn(() => value)
    const found = poll(check, { timeoutMs })
    // A timer takes a longer delay for 1 ms.
    await vi.advanceTimersByTimeAsync(1_000)
    expect(check).toHaveBeenCalledOnce()
    value = 'there'
    await vi.advanceTimersByTimeAsync(2 ** 31)
    expect(await found).toBe('there')
  },
)

test('an error of a check rejects, and ends the polling', async () => {
  let checks = 0
  const failed = poll(
    () => {
      if (checks++ > 0) throw new Error('broken')
      return undefined
    },
    { timeoutMs: 1000, intervalMs: 10 },
  )
  const rejected = expect(failed).rejects.toThrow('broken')
  await vi.advanceTimersByTimeAsync(1000)
  await rejected
  expect(checks).toBe(2)
})
