// The simulator as a property: no schedule breaks a rule. Seeds are new each time and printed; what once failed is
// replayed every time. `npx jepsen-lite sim` searches with any budget.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  generate,
  judged,
  PROBES,
  parseSchedule,
  runSchedule,
  Search,
} from '../../../jepsen-lite/sim/index.ts'
import { runs } from '../../runs.ts'

const seeds = fc.nat(0x7fff_ffff)

test('no schedule of faults breaks a promise of five nodes', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      expect(judged(generate(seed)).violation).toBeUndefined()
    }),
    { numRuns: runs(60), interruptAfterTimeLimit: 5_000, endOnFailure: true },
  )
})

test('nor of one, two, three, four or seven', () => {
  fc.assert(
    fc.property(seeds, fc.constantFrom(1, 2, 3, 4, 7), (seed, nodes) => {
      expect(judged(generate(seed, nodes)).violation).toBeUndefined()
    }),
    { numRuns: runs(30), interruptAfterTimeLimit: 2_500, endOnFailure: true },
  )
})

test('the generator is not blind: most of what is rare happens', () => {
  const search = new Search(5)
  const seeds = 9
  for (let seed = 1; seed <= seeds; seed++) search.run(seed)
  const { faults, probes } = search.probeCoverage
  const unfelt = Object.keys(faults).filter((kind) => faults[kind] === 0)
  expect(unfelt.length, unfelt.join()).toBeLessThan(8)
  const missed = PROBES.filter((probe) => probes[probe] === 0)
  expect(missed.length, missed.join()).toBeLessThan(PROBES.length / 4)
  expect(search.ok).toBeGreaterThan(seeds * 50)
  for (const probe of ['list of several slices', 'condition failed under a token'] as const)
    expect(probes[probe], probe).toBeGreaterThan(0)
  // Every history is judged, and nearly every search ends within its budget.
  expect(search.checked + search.undecided).toBe(seeds)
  expect(search.undecided).toBeLessThan(seeds / 4)
})

test('a schedule runs alike every time', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const schedule = generate(seed, 3)
      const first = runSchedule(schedule)
      expect(runSchedule(structuredClone(schedule))).toEqual(first)
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
