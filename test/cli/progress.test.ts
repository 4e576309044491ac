// The numbers in the progress line of a long command.

import { expect, test } from 'vitest'
import { bar, Rate } from '../../src/cli/progress.ts'

test('the rate is that of the last seconds, and the time left follows from it', () => {
  let now = 0
  const rate = new Rate(() => now)
  const after = (ms: number, keys: number, part?: number): string => {
    now += ms
    return rate.text({ keys, part })
  }
  expect(after(100, 10, 0.01)).toBe('')
  expect(after(900, 100, 0.1)).toBe('100 keys/s, 9 s left')
  for (let second = 2; second <= 6; second++) after(1_000, 100, 0.1)
  // It stands still: what was before is forgotten.
  expect(after(1_000, 100, 0.1)).toBe('0 keys/s')
  expect(after(1_000, 600, 0.6)).toMatch(/^1\d\d keys\/s, [34] s left$/)
  expect(after(1_000, 700)).toMatch(/^\d+ keys\/s$/)
})

test('long times are told in minutes and hours', () => {
  let now = 0
  const rate = new Rate(() => now)
  now = 1_000
  expect(rate.text({ keys: 1, part: 0.001 })).toBe('1 keys/s, 17 min left')
  expect(rate.text({ keys: 1, part: 0.00002 })).toBe('1 keys/s, 14 h left')
})

test('of a source that has grown since it was measured nothing is left', () => {
  let now = 0
  const rate = new Rate(() => now)
  for (const part of [1, 1.1, 1.2, Number.POSITIVE_INFINITY]) {
    now += 5_000
    expect(rate.text({ keys: now / 1_000, part })).toMatch(/^1 keys\/s(, 0 s left)?$/)
  }
})

test('a bar has the same width throughout', () => {
  expect([0, 0.5, 0.999, 1, 1.2].map(bar)).toEqual([
    `${'░'.repeat(10)}   0 %`,
    `${'█'.repeat(5)}${'░'.repeat(5)}  50 %`,
    `${'█'.repeat(9)}░  99 %`,
    `${'█'.repeat(10)} 100 %`,
    `${'█'.repeat(10)} 100 %`,
  ])
})
