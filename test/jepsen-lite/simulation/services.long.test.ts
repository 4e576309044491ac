// Simulations of other people's services, with as many seeds as it takes: planted bugs are found, and those that are
// right pass.

import { expect, test } from 'vitest'
import { searchSeeds } from '../../../jepsen-lite/simulation/seed-search.ts'
import { simulate, type World } from '../../../jepsen-lite/testing/index.ts'
import { SERVICES } from './services/index.ts'

const NAMES = Object.keys(SERVICES)
/** Seeds of each service that is right. */
const SEEDS = Number(process.env.QUORATE_SEEDS ?? 100)

const search = (body: (world: World) => Promise<void>, seeds: number) =>
  searchSeeds(
    (seed, schedule) => simulate({ seed, schedule }, body),
    { seed: 1, seeds },
    () => {},
  )

test.each(NAMES)('a planted bug is found, with few faults: %s', async (name) => {
  const began = performance.now()
  const { failure, runs } = await search(SERVICES[name]?.wrong ?? expect.fail(name), 1_000)
  expect(failure?.shrunk.schedule.faults.length).toBeLessThanOrEqual(3)
  const s = (performance.now() - began) / 1_000
  console.log(
    `${name}: found and shrunk in ${runs} runs, ${s.toFixed(1)} s: ${failure?.shrunk.schedule.text}`,
  )
})

test.each(NAMES)(
  `a service that is right passes ${SEEDS} seeds: %s`,
  async (name) => {
    const { passed, failure } = await search(SERVICES[name]?.right ?? expect.fail(name), SEEDS)
    expect(failure?.first.error).toBeUndefined()
    expect(passed).toBe(SEEDS)
  },
  SEEDS * 60_000,
)

test.each(NAMES)('two runs of a seed are equal: %s', async (name) => {
  const { right, wrong } = SERVICES[name] ?? expect.fail(name)
  const result = await searchSeeds(
    (seed, schedule) => simulate({ seed, schedule, determinism: 'check' }, right),
    { seed: 1, seeds: 3 },
    () => {},
  )
  expect(result.failure?.first.error).toBeUndefined()
  const failed = await simulate({ seed: 1, determinism: 'check' }, wrong).catch(({ code }) => code)
  expect(failed).not.toBe('not_deterministic')
})
