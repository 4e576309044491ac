// Simulations of other people's services: the right ones pass, and planted bugs are found. `services.long.test.ts` does
// so with many seeds, and with those services whose runs are long.

import { expect, test } from 'vitest'
import { drawSchedule } from '../../../jepsen-lite/simulation/schedule/index.ts'
import { SimulationError, type SimulationErrorCode, simulate } from '../../../jepsen-lite/testing/index.ts'
import { Random } from '../../../jepsen-lite/workload/random.ts'
import { SERVICES } from './services/index.ts'

/** A seed and a schedule with which the bug was found. A change of the client or the nodes may need another seed. */
const FOUND: readonly (readonly [name: string, seed: number, schedule: string, code: SimulationErrorCode])[] =
  [
    ['api-limiter', 1, '', 'always'],
    ['inventory', 1, '', 'always'],
    ['invoice-scheduler', 10, '2200 crash scheduler for 1', 'always'],
    ['limits-reloader', 1, '', 'eventually'],
    ['number-server', 18, '2000 pause s2 for 2300', 'always'],
    ['order-saga', 10, '910 crash shop-2 for 1', 'always'],
    ['payments', 1, '1 crash shop for 1', 'failed'],
    ['price-cache', 4, '', 'eventually'],
    ['report-runner', 17, '3100 pause w2 for 2000', 'always'],
    ['ticket-office', 22, '40 partition west for 1930', 'always'],
    ['visit-counter', 1, '', 'failed'],
  ]
/** Seeds that are tried after the first one. */
const SEEDS = 50

test.each(FOUND)('a planted bug is found: %s', async (name, seed, schedule, code) => {
  const { wrong } = SERVICES[name] ?? expect.fail(name)
  for (let at = seed; at < seed + SEEDS; at++) {
    const error = await simulate({ seed: at, schedule }, wrong).catch((thrown: unknown) => thrown)
    if (!(error instanceof SimulationError)) continue
    expect(error.code).toBe(code)
    return
  }
  expect.fail('it is not found')
})

const QUICK = [
  'inventory',
  'invoice-scheduler',
  'limits-reloader',
  'payments',
  'report-runner',
  'visit-counter',
]

test.each(QUICK)('a service that is right passes: %s', async (name) => {
  const { right, processes } = SERVICES[name] ?? expect.fail(name)
  const schedule = drawSchedule(new Random(1), { processes, ms: 3_000 })
  expect(await simulate({ seed: 1, schedule }, right)).toMatchObject({ processes })
})
