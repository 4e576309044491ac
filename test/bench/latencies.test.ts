import { expect, test } from 'vitest'
import { Latencies } from '../../bench/load/latencies.ts'

test.each([1e-3, 1, 1e3])('percentiles are exact to three figures, in steps of %s ms', (step) => {
  const latencies = new Latencies()
  for (let number = 1; number <= 10_000; number++) latencies.record(number * step)
  expect(latencies.count).toBe(10_000)
  for (const percent of [50, 99, 99.9, 100]) {
    const exact = percent * 100 * step
    expect(Math.abs(latencies.percentile(percent) / exact - 1)).toBeLessThan(0.001)
  }
  expect(Math.abs(latencies.max / (10_000 * step) - 1)).toBeLessThan(0.001)
})

test('a histogram of nothing has only zeros', () => {
  const { count, max } = new Latencies()
  expect([count, max, new Latencies().percentile(99)]).toEqual([0, 0, 0])
})
