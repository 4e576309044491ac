// The simulator as a property: no schedule breaks a rule. Seeds are new each time and printed; what once failed is
// replayed every time. `npx jepsen-lite sim` searches with any budget. harness.test.ts shows that each fault takes
// effect, search.long.test.ts that a search reaches what is rare.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { generate, judged, parseSchedule, runSchedule } from '../../../jepsen-lite/sim/index.ts'
import { expectEqual } from '../../expect-equal.ts'
import { runs } from '../../runs.ts'

const seeds = fc.nat(0x7fff_ffff)

test('no schedule of faults breaks a promise', () => {
  fc.assert(
    fc.property(seeds, fc.constantFrom(5, 5, 5, 5, 1, 2, 3, 4, 7), (seed, nodes) => {
      expect(judged(generate(seed, nodes)).violation).toBeUndefined()
    }),
    { numRuns: runs(20), interruptAfterTimeLimit: 6_000, endOnFailure: true },
  )
})

test('a schedule runs alike every time', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const drawn = generate(seed, 3)
      const schedule = { ...drawn, config: { ...drawn.config, ms: 8_000 } }
      const first = runSchedule(schedule)
      expectEqual(runSchedule(structuredClone(schedule)), first)
    }),
    { numRuns: runs(5), endOnFailure: true },
  )
})

const regressions = join(import.meta.dirname, '../regressions/testdata')

test.each(readdirSync(regressions).filter((name) => name.endsWith('.json')))(
  'what once failed does not any more: %s',
  (name) => {
    const schedule = parseSchedule(readFileSync(join(regressions, name), 'utf8'))
    expect(judged(schedule).violation).toBeUndefined()
  },
)
