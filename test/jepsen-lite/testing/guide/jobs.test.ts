// The job runner of docs/guides/simulated-services.md: a holder of a lock that was paused writes over a later one.

import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { test } from 'vitest'
import { type SimulatedSchedule, simulate, simulatedFaults } from '../../../../jepsen-lite/testing/index.ts'
import { doJobs, doJobsGuarded } from './jobs.ts'
import { expectShown, failureOf } from './shown.ts'

const jobs = Array.from({ length: 5 }, () => () => sleep(1_000))

const simulateJobs = (schedule: string | SimulatedSchedule, run: typeof doJobs) =>
  simulate({ seed: 1, schedule }, async (world) => {
    const done: number[] = []
    world.always('no job is done again', () => done.every((count, at) => count > (done[at - 1] ?? 0)))
    world.process('observer', async (self) => {
      for await (const { events } of self.client().watch({ key: 'jobs/done', only: 'put' }))
        for (const event of events) if (event.type === 'put') done.push(Number(event.kv.text()))
    })
    await world.after(100)
    const workers = ['a', 'b'].map((name) =>
      world.process(name, async (self) => {
        await using kv = self.client()
        while (done.at(-1) !== jobs.length) await run(kv, jobs).catch(() => sleep(1_000))
      }),
    )
    await Promise.all(workers.map(({ ended }) => ended))
  })

const isRight = (run: typeof doJobs) => {
  const pauses = { processes: ['a', 'b'], kinds: ['pause'], ms: 5_000, durationMaxMs: 30_000 } as const
  return fc.asyncProperty(simulatedFaults(pauses), async (schedule) => {
    await simulateJobs(schedule, run)
  })
}

test('a paused holder writes over a later one', async () => {
  const error = await failureOf(simulateJobs('200 pause b for 10000', doJobs))
  expectShown('docs/guides/simulated-services.md', String(error))
})

test('with the guard it does not', async () => {
  await simulateJobs('200 pause b for 10000', doJobsGuarded)
  await fc.assert(isRight(doJobsGuarded), { numRuns: 3, seed: 1 })
})
