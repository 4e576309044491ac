// Schedules of simulations shrink to what matters, alone and with fast-check.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  drawSchedule,
  type SimulatedFault,
  SimulatedSchedule,
  shrinkSchedule,
  simulatedFaults,
} from '../../../../jepsen-lite/simulation/schedule/index.ts'
import { Random } from '../../../../jepsen-lite/workload/random.ts'

type Fails = (schedule: SimulatedSchedule) => boolean

interface Case {
  readonly matters: string
  readonly among: string
  readonly fails: Fails
  readonly left: string
}

const some =
  (matters: (fault: SimulatedFault, others: readonly SimulatedFault[]) => boolean): Fails =>
  ({ faults }) =>
    faults.some((fault) =>
      matters(
        fault,
        faults.filter((other) => other !== fault),
      ),
    )

/** Three faults before it, and two after it. */
const amongOthers = (text: string): string =>
  `100 crash n1 for 500; 2340 one-way n1,n2 for 9; 2340 stop n3 for 9; ${text}; 9000 skew n2 by 1.05 for 77; 9000 crash b for 1`

const CASES: readonly Case[] = [
  { matters: 'nothing', among: amongOthers('5 pause a for 5'), fails: () => true, left: '' },
  {
    matters: 'one fault of a kind, one of its names and its duration',
    among: amongOthers('2345 pause n3,a,b for 4710'),
    fails: some(({ fault, on, for: ms }) => fault === 'pause' && on.includes('a') && ms >= 2_000),
    left: '0 pause a for 2000',
  },
  {
    matters: 'when it begins',
    among: amongOthers('4217 power-loss n2 for 1357'),
    fails: some(({ at }) => at >= 4_150 && at <= 4_250),
    left: '4200 crash leader for 1',
  },
  {
    matters: 'an exact time',
    among: amongOthers('4217 slow-disk n3 by 345 for 1357'),
    fails: some(({ at, for: ms }) => at === 4_217 && ms >= 33),
    left: '4217 crash leader for 40',
  },
  {
    matters: 'one node',
    among: amongOthers('700 power-loss n3 for 10'),
    fails: some(({ at, on }) => at >= 600 && at < 1_000 && on.includes('n3')),
    left: '600 crash n3 for 1',
  },
  {
    matters: 'two names together',
    among: amongOthers('4217 partition n2,n3,a,b for 10'),
    fails: some(({ on }) => on.includes('n3') && on.includes('b')),
    left: '0 crash n3,b for 1',
  },
  {
    matters: 'a majority of the nodes, which no fault may down',
    among: amongOthers('4217 partition n2,n3,a,b for 10'),
    fails: some(({ on }) => on.includes('n2') && on.includes('n3')),
    left: '0 partition n2,n3 for 1',
  },
  {
    matters: 'the time between two faults',
    among: amongOthers('4217 pause a for 2345; 5000 crash n1 for 1'),
    fails: some(({ fault, at }, others) => fault === 'pause' && others.some((one) => one.at === at + 783)),
    left: '0 pause a for 1; 783 crash leader for 1',
  },
  {
    matters: 'the delay',
    among: amongOthers('4217 slow-link n1 by 345 for 100'),
    fails: some(({ by }) => by !== undefined && by >= 140),
    left: '0 slow-link leader by 200 for 1',
  },
  {
    matters: 'the rate of a clock that is slow',
    among: amongOthers('4217 skew b by 0.92 for 100'),
    fails: some(({ fault, by = 1 }) => fault === 'skew' && by <= 0.965),
    left: '0 skew b by 0.96 for 1',
  },
  {
    matters: 'a delay, of messages as well as of writes',
    among: amongOthers('4217 slow-disk n1 by 345 for 100'),
    fails: some(({ by }) => by !== undefined && by >= 300),
    left: '0 slow-link leader by 300 for 1',
  },
]

describe('a schedule shrinks to what matters:', () => {
  test.each(CASES)('$matters, alone', async ({ among, fails, left }) => {
    const tried: string[] = []
    const shrunk = await shrinkSchedule(new SimulatedSchedule(among), async (schedule) => {
      tried.push(schedule.text)
      return fails(schedule)
    })
    expect(shrunk.text).toBe(left)
    expect(new Set(tried).size).toBe(tried.length)
    expect(tried.length).toBeLessThan(100)
  })

  test.each(CASES)('$matters, with fast-check', ({ among, fails, left }) => {
    const property = fc.property(simulatedFaults({ processes: ['a', 'b'] }), (schedule) => !fails(schedule))
    const { counterexample } = fc.check(property, { examples: [[new SimulatedSchedule(among)]], numRuns: 1 })
    expect(`${counterexample}`).toBe(`'${left}'`)
  })
})

test('fast-check finds the one necessary fault, and prints it as a literal', () => {
  const fails = some(({ fault, on, at }) => fault === 'partition' && on.includes('n2') && at >= 5_000)
  const property = fc.property(simulatedFaults({ nodes: 5, steps: 6 }), (schedule) => !fails(schedule))
  const { counterexample } = fc.check(property, { numRuns: 10_000 })
  expect(fc.stringify(counterexample?.[0])).toBe("'5000 partition n2 for 1'")
})

test('nothing simpler than the result fails', async () => {
  const random = new Random(1)
  for (let n = 0; n < 50; n++) {
    // Whether a schedule fails is arbitrary, but the same for the same text.
    const fails: Fails = ({ text, faults }) =>
      faults.length > 0 && new Random(`${n} ${text}`).chance(1 - 1 / (faults.length + 1))
    const schedule = drawSchedule(random, { processes: ['a'], steps: 6 })
    const shrunk = await shrinkSchedule(schedule, async (simpler) => fails(simpler))
    const again = await shrinkSchedule(shrunk, async (simpler) => fails(simpler))
    expect(again.text).toBe(shrunk.text)
  }
})

test('shrinking ends after so many tries, with the simplest schedule so far', async () => {
  const schedule = new SimulatedSchedule(amongOthers('2345 pause n3,a,b for 4710'))
  const tried: string[] = []
  const pauses = some(({ fault }) => fault === 'pause')
  const shrunk = await shrinkSchedule(
    schedule,
    async (simpler) => {
      tried.push(simpler.text)
      return pauses(simpler)
    },
    { triesMax: 4 },
  )
  expect(tried).toHaveLength(4)
  expect(shrunk.text).toBe(tried.findLast((text) => text.includes('pause')))
  expect(shrunk.faults.length).toBeLessThan(schedule.faults.length)
})

test('what the caller cannot tell ends shrinking', async () => {
  const run = shrinkSchedule(new SimulatedSchedule('1 crash n1 for 1'), async () => {
    throw new Error('the run cannot begin')
  })
  await expect(run).rejects.toThrow('the run cannot begin')
})

test('arguments are checked', async () => {
  const schedule = new SimulatedSchedule('1 crash n1 for 1')
  const anything = (value: unknown) => value as never
  await expect(shrinkSchedule(anything('1 crash n1 for 1'), async () => true)).rejects.toThrow(
    'schedule must be a SimulatedSchedule',
  )
  await expect(shrinkSchedule(schedule, anything(true))).rejects.toThrow('stillFails must be a function')
  await expect(shrinkSchedule(schedule, async () => true, { triesMax: 0 })).rejects.toThrow('triesMax must')
})
