// Seeds of a scenario that only says how its runs end.

import { expect, test } from 'vitest'
import { SimulationError, type SimulationErrorCode } from '../../../jepsen-lite/simulation/error.ts'
import { SimulatedSchedule } from '../../../jepsen-lite/simulation/schedule/index.ts'
import {
  type SeedProgress,
  type SeedSearchPlan,
  searchSeeds,
} from '../../../jepsen-lite/simulation/seed-search.ts'
import { simulate, type World } from '../../../jepsen-lite/testing/index.ts'

interface Run {
  readonly seed: number
  readonly schedule: SimulatedSchedule
}

/** How a run fails; undefined: it passes. */
type Ending = (run: Run) => SimulationErrorCode | undefined

async function search(
  endingOf: Ending,
  plan: SeedSearchPlan,
  processesOf: (run: Run) => readonly string[] = () => ['a', 'b'],
) {
  const runs: Run[] = []
  const progress: SeedProgress[] = []
  const result = await searchSeeds(
    async (seed, schedule) => {
      runs.push({ seed, schedule })
      const code = endingOf({ seed, schedule })
      if (code === undefined)
        return {
          ...{ virtualMs: 700, events: 10, faults: 2, faultsEndedMs: 600 },
          processes: processesOf({ seed, schedule }),
        }
      const run = { seed, schedule: schedule.text, subject: '', virtualMs: 5, trace: [], report: undefined }
      throw new SimulationError(code, 'a rule is broken', run)
    },
    plan,
    (one) => progress.push(one),
  )
  return { runs, progress, result }
}

test('each seed draws faults, of the processes that the run without faults had, until its faults end', async () => {
  const { runs, result, progress } = await search(() => undefined, { seed: 5, seeds: 200, nodes: 5 })
  expect(result).toEqual({
    runs: 201,
    passed: 200,
    virtualMs: 201 * 700,
    events: 2_010,
    faults: 402,
    processes: ['a', 'b'],
    missing: [],
  })
  expect(progress).toHaveLength(200)
  expect(runs.map(({ seed }) => seed)).toEqual([5, ...Array.from({ length: 200 }, (_, n) => 5 + n)])
  const [first, ...others] = runs.map(({ schedule }) => schedule)
  expect(first?.faults).toEqual([])
  expect(new Set(others.map(({ text }) => text)).size).toBe(200)
  const faults = others.flatMap((schedule) => schedule.faults)
  expect(new Set(faults.flatMap(({ on }) => on))).toEqual(
    new Set(['leader', 'n1', 'n2', 'n3', 'n4', 'n5', 'a', 'b']),
  )
  expect(Math.max(...faults.map(({ at }) => at))).toBeLessThanOrEqual(600)
  // The same again.
  const again = await search(() => undefined, { seed: 5, seeds: 200, nodes: 5 })
  expect(again.runs).toEqual(runs)
})

test('the first failure ends the search, and its schedule is shrunk for the same seed', async () => {
  const isBroken: Ending = ({ schedule }) =>
    schedule.faults.some(({ on }) => on.includes('b')) ? 'always' : undefined
  const { runs, result, progress } = await search(isBroken, { seed: 1, seeds: 100 })
  const { failure, passed } = result
  expect(failure?.shrunk.schedule.text).toBe('0 crash b for 1')
  expect(failure?.shrunk.error.schedule).toBe('0 crash b for 1')
  expect(failure?.first.seed).toBe(1 + passed)
  expect(failure?.shrunk.seed).toBe(1 + passed)
  expect(result.runs).toBe(runs.length)
  expect(failure?.shrinkRuns).toBe(runs.length - 1 - passed - 1)
  expect(progress.at(-1)?.failed).toEqual(failure?.shrunk)
})

test('another failure of a simpler schedule is not the same', async () => {
  const schedule = new SimulatedSchedule('900 pause a for 700; 1000 crash n1 for 50')
  const endingOf: Ending = ({ schedule: { faults } }) => {
    if (faults.length === 0) return undefined
    return faults.some(({ fault }) => fault === 'pause') ? 'eventually' : 'deadlock'
  }
  const { result } = await search(endingOf, { seed: 1, seeds: 1, schedule })
  expect(result.failure?.shrunk.schedule.text).toBe('0 pause a for 1')
})

test('of two failures with one code, shrinking keeps that which was found', async () => {
  const schedule = new SimulatedSchedule('100 crash worker for 100')
  const searchFailure = async (short: (world: World) => void, long: (world: World) => void) => {
    const run = (seed: number, schedule: SimulatedSchedule) =>
      simulate({ seed, schedule, nodes: 1 }, async (world) => {
        const worker = world.process('worker', () => new Promise<never>(() => {}))
        let down = 0
        for (let at = 0; at < 20; at++) {
          await world.after(10)
          if (!worker.running) down++
          else if (down > 0) break
        }
        if (down >= 10) long(world)
        else if (down > 0) short(world)
        await world.after(1)
      })
    const { failure } = await searchSeeds(run, { seed: 1, seeds: 1, schedule }, () => {})
    return [failure?.first.error.what, failure?.shrunk.error.what].map((what) => what?.split('\n')[0])
  }
  const isNever = (name: string) => (world: World) => world.always(name, () => false)
  const never = '"it is never away for long" does not hold'
  expect(await searchFailure(isNever('it is never away'), isNever('it is never away for long'))).toEqual([
    never,
    never,
  ])
  const fail = (ErrorClass: typeof Error, text: string) => () => {
    throw new ErrorClass(text)
  }
  expect(await searchFailure(fail(TypeError, 'short'), fail(RangeError, 'long'))).toEqual([
    'body has thrown: RangeError: long',
    'body has thrown: RangeError: long',
  ])
})

test('a given schedule is that of every seed, and no run is without it', async () => {
  const schedule = new SimulatedSchedule('10 crash a for 5')
  const { runs, result } = await search(() => undefined, { seed: 7, seeds: 3, schedule })
  expect(runs).toEqual([7, 8, 9].map((seed) => ({ seed, schedule })))
  expect(result).toMatchObject({ runs: 3, passed: 3, missing: [] })
})

test('processes that a given schedule names and no run has are missing', async () => {
  const schedule = new SimulatedSchedule('10 crash a,c,n1 for 5; 20 pause leader,d for 5')
  const { result } = await search(() => undefined, { seed: 7, seeds: 2, schedule })
  expect(result.missing).toEqual(['c', 'd'])
  // A scenario may begin other processes with another seed.
  const some = await search(
    () => undefined,
    { seed: 7, seeds: 3, schedule },
    ({ seed }) => (seed === 8 ? ['a', 'c'] : ['a']),
  )
  expect(some.result.missing).toEqual(['d'])
})

test('the seed after the largest one is 0', async () => {
  const { runs, result } = await search(() => undefined, { seed: 2 ** 32 - 1, seeds: 3 })
  expect(runs.map(({ seed }) => seed)).toEqual([2 ** 32 - 1, 2 ** 32 - 1, 0, 1])
  expect(result.passed).toBe(3)
})

test('a run that fails without faults needs none', async () => {
  const { runs, result } = await search(() => 'failed', { seed: 7, seeds: 3 })
  expect(result).toMatchObject({ runs: 1, passed: 0, failure: { shrinkRuns: 0 } })
  expect(result.failure?.shrunk.schedule.text).toBe('')
  expect(runs).toHaveLength(1)
})

test('a scenario that cannot be run ends the search', async () => {
  const run = searchSeeds(
    async () => {
      throw new TypeError('simulate: nodes must be a number')
    },
    { seed: 1, seeds: 5 },
    () => {},
  )
  await expect(run).rejects.toThrow('simulate: nodes must be a number')
})
