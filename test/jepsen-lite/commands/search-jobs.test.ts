// Several searches at once: no seed is left out or run twice.

import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type JobsPlan, splitPlan } from '../../../jepsen-lite/commands/search-jobs.ts'

/** With one node, the schedules of this seed and the next are short. */
const SEED = 49
const PLAN: JobsPlan = {
  ...{ nodes: 1, workload: 'kv', seed: SEED, schedulesMax: 2 },
  ...{ secondsMax: Number.POSITIVE_INFINITY, violationsMax: 20, out: '.' },
}

test('the searches share out all seeds, each once', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 }), (jobs, schedulesMax) => {
      const seeds = splitPlan({ ...PLAN, schedulesMax }, jobs).flatMap((plan) =>
        Array.from({ length: plan.schedulesMax }, (_, at) => plan.seed + at * plan.step),
      )
      expect(seeds.sort((a, b) => a - b)).toEqual(Array.from({ length: schedulesMax }, (_, at) => SEED + at))
    }),
  )
})

test('without a number of schedules every search goes on until its time is over', () => {
  const plans = splitPlan({ ...PLAN, schedulesMax: Number.POSITIVE_INFINITY, secondsMax: 5 }, 3)
  expect(plans.map(({ seed, step, schedulesMax }) => [seed, step, schedulesMax])).toEqual([
    [SEED, 3, Number.POSITIVE_INFINITY],
    [SEED + 1, 3, Number.POSITIVE_INFINITY],
    [SEED + 2, 3, Number.POSITIVE_INFINITY],
  ])
})
