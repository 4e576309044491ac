// The counter of docs/guides/testing-your-service.md, in simulations: the faults that show that it loses visits, and
// the counter that loses none.

import { once } from 'node:events'
import { setTimeout as after } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  checkLinearizable,
  checkTransactions,
  recorded,
  type SimulatedSchedule,
  simulate,
  simulatedFaults,
} from '../../../../jepsen-lite/testing/index.ts'
import type { Client } from '../../../../src/index.ts'
import { Counter, FailOver, SafeCounter } from './counter.ts'
import { expectShown, failureOf } from './shown.ts'

const PAGE = 'docs/guides/testing-your-service.md'

async function countVisits(
  schedule: string | SimulatedSchedule,
  create: (kv: Client) => Pick<Counter, 'increment'>,
) {
  await simulate({ seed: 1, schedule }, async (world) => {
    const instance = (name: string) => {
      world.process(name, async (self) => {
        const counter = create(recorded(self.client(), { history: world.history }))
        world.connect(async () => {
          try {
            return Response.json(await world.history.transaction(() => counter.increment()))
          } catch {
            return new Response(null, { status: 503 })
          }
        })
        await once(self.signal, 'abort')
      })
      return async () => {
        const response = await fetch(`http://${name}/visits`, { method: 'POST' })
        return (await response.json()) as number
      }
    }
    const visits = new FailOver([instance('a'), instance('b')])
    for (let visit = 0; visit < 10; visit++) {
      await after(100)
      await visits.increment()
    }
    checkLinearizable(world.history)
    checkTransactions(world.history)
  })
}

const faults = simulatedFaults({ processes: ['a', 'b'], ms: 1_000, durationMaxMs: 1_000 })
const isRight = (create: (kv: Client) => Pick<Counter, 'increment'>) =>
  fc.asyncProperty(faults, (schedule) => countVisits(schedule, create))

test('faults are found under which the counter loses visits', async () => {
  const found = await fc.check(
    isRight((kv) => new Counter(kv)),
    { seed: 4, endOnFailure: true },
  )
  expect(found).toMatchObject({ failed: true, errorInstance: { cause: { name: 'AnomalyError' } } })
})

test('the shrunk schedule shows it again', async () => {
  const error = await failureOf(countVisits('1 pause a for 400', (kv) => new Counter(kv)))
  expectShown(PAGE, String(error))
})

test('a put under a condition loses none', async () => {
  await countVisits('1 pause a for 400', (kv) => new SafeCounter(kv))
  await fc.assert(
    isRight((kv) => new SafeCounter(kv)),
    { numRuns: 5, seed: 7 },
  )
})
