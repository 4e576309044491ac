// The clock of a simulated machine remembers when it showed what.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { MachineClock } from '../../../jepsen-lite/sim/world/clock.ts'

const change = fc.record({
  afterMs: fc.double({ min: 0.001, max: 10_000, noNaN: true }),
  jumpMs: fc.integer({ min: 1, max: 20_000 }),
  rate: fc.option(fc.double({ min: 0.5, max: 2, noNaN: true })),
})

test('what it jumped over, it showed at the jump; everything else when it showed it', () => {
  fc.assert(
    fc.property(
      fc.array(change, { maxLength: 5 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (changes, part) => {
        const clock = new MachineClock(1, 500)
        let now = 0
        for (const { afterMs, jumpMs, rate } of changes) {
          const then = now + afterMs * part
          expect(clock.trueTime(clock.at(then))).toBeCloseTo(then, 3)
          now += afterMs
          if (rate !== null) {
            clock.setRate(now, rate)
            continue
          }
          const before = clock.at(now)
          clock.jump(now, jumpMs)
          expect(clock.trueTime(before + jumpMs * part)).toBeCloseTo(now, 3)
        }
        expect(clock.trueTime(0)).toBe(0)
      },
    ),
  )
})
