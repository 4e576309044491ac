// The numbers of a seed. A saved schedule holds seeds and no draws, so it replays its violation only as long as these
// numbers stay the same.

import { expect, test } from 'vitest'
import { bits, mixed, Random, uniform } from '../../../jepsen-lite/workload/random.ts'

test('a seed draws the same numbers in every version', () => {
  expect([bits(7, 15, 3, 0), bits(7, 15, 3, 1), bits(0xffff_ffff, 1, 0, 9), mixed(1)]).toEqual([
    3013079471, 1793627275, 1753084985, 1364076727,
  ])
  expect(uniform(7, 15, 3, 0)).toBe(bits(7, 15, 3, 0) / 2 ** 32)
  const random = new Random(7, 15, 3)
  const drawn = [random.below(100), random.int(5, 9), random.ms(0, 1_000), random.chance(0.5)]
  expect([...drawn, random.pick(['a', 'b', 'c']), random.shuffled([1, 2, 3, 4])]).toEqual([
    70,
    6,
    581,
    false,
    'c',
    [2, 1, 4, 3],
  ])
  expect([new Random(7).named('faults').below(1_000), new Random('7').below(1_000)]).toEqual([11, 765])
})
