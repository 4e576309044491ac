// The reach of a search with any seeds. search.prop.test.ts tries a few that reach much.

import { expect, test } from 'vitest'
import { Search } from '../../../jepsen-lite/sim/index.ts'
import { expectRare } from './rare.ts'

test('the generator is not blind: most of what is rare happens', () => {
  const search = new Search(5)
  const seeds = 9
  for (let seed = 1; seed <= seeds; seed++) search.run(seed)
  expectRare(search)
  expect(search.ok).toBeGreaterThan(seeds * 50)
  // Every history is judged, and nearly every search ends within its budget.
  expect(search.checked + search.undecided).toBe(seeds)
  expect(search.undecided).toBeLessThan(seeds / 4)
})
