// The reach of a search: nearly every kind of fault takes effect, and most rare paths are met.

import { expect, test } from 'vitest'
import { PROBES, Search } from '../../../jepsen-lite/sim/index.ts'

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
  // Every history is judged, and nearly every search ends within its budget.
  expect(search.checked + search.undecided).toBe(seeds)
  expect(search.undecided).toBeLessThan(seeds / 4)
})
