// Numbers as text: each text, read again by its units, is the number it stands for, within what it leaves out.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatLatency,
  formatPercent,
  formatRate,
  plural,
} from '../../web/src/design/numbers.ts'
import { runs } from '../runs.ts'

const UNITS: Readonly<Record<string, number>> = {
  ...{ B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40, PiB: 2 ** 50 },
  ...{ ms: 1, s: 1_000, min: 60_000, h: 3_600_000, days: 86_400_000, µs: 0.001 },
  ...{ '/s': 1, '%': 0.01, '': 1 },
}

/** The number that a text stands for: the sum of its parts, each of which has a unit. */
function readNumber(text: string): number {
  const parts = [...text.matchAll(/(−?)([\d,]+(?:\.\d+)?) ?([^\d\s−]*)/g)]
  if (parts.map(([part]) => part).join(' ') !== text) throw new Error(`${text} is no number`)
  return parts.reduce((sum, [, sign, digits = '', unit = '']) => {
    const size = UNITS[unit]
    if (size === undefined) throw new Error(`${text} has no known unit`)
    return sum + (sign === '−' ? -1 : 1) * Number(digits.replaceAll(',', '')) * size
  }, 0)
}

/** Numbers of each size, and those near the limits between two units. */
const near = (limits: readonly number[]) =>
  fc.tuple(fc.constantFrom(...limits), fc.integer({ min: -600, max: 600 })).map(([limit, by]) => limit + by)
const sized = (most: number) =>
  fc.double({ min: 0, max: Math.log2(most), noNaN: true }).map((power) => 2 ** power)

const HOUR = 3_600_000
test('a duration is what it says, within half a second, a minute above an hour, and a day above two', () => {
  const limits = [1_000, 120_000, 150_000, 60 * 60_000, 90 * 60_000, 47 * HOUR, 48 * HOUR, 72 * HOUR]
  const values = fc.oneof(
    sized(400 * 24 * HOUR).map(Math.round),
    near(limits),
    near(limits.map((each) => each - 30_000)),
  )
  fc.assert(
    fc.property(values, (ms) => {
      const left = ms < HOUR - 500 ? 500 : ms < 48 * HOUR - 500 ? 60_000 : 24 * HOUR
      const read = readNumber(formatDuration(ms))
      expect(read, formatDuration(ms)).toBeLessThanOrEqual(ms + 500)
      expect(read, formatDuration(ms)).toBeGreaterThanOrEqual(ms - left)
      if (ms > 0) expect(formatDuration(-ms)).toBe(`−${formatDuration(ms)}`)
    }),
    { numRuns: runs(500) },
  )
})

test.each([
  ['bytes', formatBytes, 1, 2 ** 55],
  ['a count', formatCount, 1, Number.MAX_SAFE_INTEGER],
  ['a rate', formatRate, 1, 1e7],
  ['a share', formatPercent, 1, 1],
  ['seconds', formatLatency, 1_000, 1e4],
] as const)(
  '%s are what they say, to a twentieth, and never fall while the number rises',
  (_, format, unit, most) => {
    const least = most / 2 ** 50
    const values = sized(2 ** 50).map((each) => each * least)
    fc.assert(
      fc.property(values, values, (one, other) => {
        const [less, more] = one < other ? [one, other] : [other, one]
        const read = (value: number): number => readNumber(format(value)) / unit
        expect(read(less), `${format(less)}, ${format(more)}`).toBeLessThanOrEqual(read(more))
        for (const value of [less, more]) {
          // Whole numbers, tenths of a percent, and microseconds are the smallest steps.
          const step =
            format === formatPercent
              ? 0.001
              : format === formatLatency
                ? 1e-6
                : format === formatRate
                  ? 0.1
                  : 1
          expect(Math.abs(read(value) - value), format(value)).toBeLessThanOrEqual(
            value / 20 + step / 2 + 1e-12,
          )
        }
      }),
      { numRuns: runs(300) },
    )
  },
)

test.each([
  [0, '0 keys'],
  [1, '1 key'],
  [2, '2 keys'],
  [1_001, '1,001 keys'],
])('%d: %s', (count, text) => {
  expect(plural(count, 'key')).toBe(text)
})
