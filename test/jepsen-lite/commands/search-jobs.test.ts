// Several searches at once: no seed is left out or run twice, and the result is the sum of the separate searches.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { type JobsPlan, merged, plansOf, runJobs } from '../../../jepsen-lite/commands/search-jobs.ts'
import { runSearch, type SimResult } from '../../../jepsen-lite/commands/search-run.ts'

/** With one node, the schedules of this seed and the next are short. */
const SEED = 49
const PLAN: JobsPlan = {
  ...{ nodes: 1, workload: 'kv', seed: SEED, schedulesMax: 2 },
  ...{ secondsMax: Number.POSITIVE_INFINITY, violationsMax: 20, out: '.' },
}

test('the searches share out all seeds, each once', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 }), (jobs, schedulesMax) => {
      const seeds = plansOf({ ...PLAN, schedulesMax }, jobs).flatMap((plan) =>
        Array.from({ length: plan.schedulesMax }, (_, at) => plan.seed + at * plan.step),
      )
      expect(seeds.sort((a, b) => a - b)).toEqual(Array.from({ length: schedulesMax }, (_, at) => SEED + at))
    }),
  )
})

test('without a number of schedules every search goes on until its time is over', () => {
  const plans = plansOf({ ...PLAN, schedulesMax: Number.POSITIVE_INFINITY, secondsMax: 5 }, 3)
  expect(plans.map(({ seed, step, schedulesMax }) => [seed, step, schedulesMax])).toEqual([
    [SEED, 3, Number.POSITIVE_INFINITY],
    [SEED + 1, 3, Number.POSITIVE_INFINITY],
    [SEED + 2, 3, Number.POSITIVE_INFINITY],
  ])
})

test('two workers find what two separate searches find', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'quorate-jobs-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  const alone: SimResult[] = []
  for (const seed of [SEED, SEED + 1])
    alone.push(await runSearch({ ...PLAN, out: dir, seed, step: 2, schedulesMax: 1 }, () => {}))
  const progress: number[] = []
  const together = await runJobs({ ...PLAN, out: dir }, 2, ({ schedules }) => progress.push(schedules))
  const [first, second] = alone
  expect(together).toEqual({ ...merged(alone), wallSeconds: together.wallSeconds })
  expect(together.events).toBe((first?.events ?? 0) + (second?.events ?? 0))
  expect(together.trace).not.toBe(first?.trace)
  expect(progress).toEqual([1, 2])
})
