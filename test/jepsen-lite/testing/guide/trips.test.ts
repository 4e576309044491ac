// The saga of docs/guides/simulated-services.md: a process dies while it compensates, and another one compensates
// again.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { test } from 'vitest'
import { type SimulatedSchedule, simulate, simulatedFaults } from '../../../../jepsen-lite/testing/index.ts'
import { expectShown, failureOf } from './shown.ts'
import { trips, tripsWithToken } from './trips.ts'

const simulateTrip = (schedule: string | SimulatedSchedule, create: typeof trips) =>
  simulate({ seed: 1, schedule }, async (world) => {
    const paid = new Map<string, number>()
    const balance = () => [...paid.values()].reduce((sum, amount) => sum + amount, 0)
    world.always('no refund without a payment', () => balance() >= 0)
    world.process('payments', async (self) => {
      world.connect(async ({ url, headers }) => {
        paid.set(headers.get('Idempotency-Key') ?? '', url.endsWith('/refund') ? -100 : 100)
        await sleep(200)
        return new Response()
      })
      await once(self.signal, 'abort')
    })
    await world.after(1)
    world.process('a', async (self) => {
      await create(self.client())
        .run('trip 1', {})
        .catch(() => {})
      await once(self.signal, 'abort')
    })
    world.process('b', async (self) => {
      await create(self.client()).keepResuming({ signal: self.signal, onError: () => {} })
    })
    await world.after(20_000)
    await world.eventually('the trip is paid back', () => balance() === 0)
  })

const faults = simulatedFaults({ processes: ['a'], ms: 1_000, durationMaxMs: 20_000 })
const isRight = (create: typeof trips) =>
  fc.asyncProperty(faults, async (schedule) => {
    await simulateTrip(schedule, create)
  })

test('a process that dies while it compensates leaves the compensation to another one', async () => {
  const error = await failureOf(simulateTrip('300 crash a for 1', trips))
  expectShown('docs/guides/simulated-services.md', String(error))
})

test('with the token the second refund is none', async () => {
  await simulateTrip('300 crash a for 1', tripsWithToken)
  await fc.assert(isRight(tripsWithToken), { numRuns: 3, seed: 1 })
})
