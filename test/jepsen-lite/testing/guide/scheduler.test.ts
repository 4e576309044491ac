// The scheduler of docs/guides/simulated-services.md: a leader continues when its lease has expired.

import fc from 'fast-check'
import { test } from 'vitest'
import { type SimulatedSchedule, simulate, simulatedFaults } from '../../../../jepsen-lite/testing/index.ts'
import { tickAsLeader, tickUntilAborted, tickWhileLeading } from './scheduler.ts'
import { expectShown, failureOf } from './shown.ts'

const PAGE = 'docs/guides/simulated-services.md'

const simulateTicks = (schedule: string | SimulatedSchedule, run: typeof tickAsLeader) =>
  simulate({ seed: 1, schedule }, async (world) => {
    const tokens: number[] = []
    world.always('only the last leader ticks', () =>
      tokens.every((token, at) => token >= (tokens[at - 1] ?? 0)),
    )
    for (const name of ['a', 'b'])
      world.process(name, (self) => run(self.client(), (token) => tokens.push(token)))
    await world.after(30_000)
    const { length } = tokens
    await world.eventually('somebody ticks', () => tokens.length > length)
  })

const isRight = (run: typeof tickAsLeader, kind: 'partition' | 'pause') => {
  const faults = { processes: ['a', 'b'], kinds: [kind], ms: 10_000, durationMaxMs: 20_000 }
  return fc.asyncProperty(simulatedFaults(faults), async (schedule) => {
    await simulateTicks(schedule, run)
  })
}

test('a leader that is cut off continues', async () => {
  const error = await failureOf(simulateTicks('20 partition b for 10000', tickAsLeader))
  expectShown(PAGE, String(error))
})

test('a leader that was paused ticks once more', async () => {
  await simulateTicks('20 partition b for 10000', tickUntilAborted)
  const error = await failureOf(simulateTicks('3000 pause b for 8000', tickUntilAborted))
  expectShown(PAGE, String(error))
})

test('one that reads the clock does not', async () => {
  await simulateTicks('20 partition b for 10000', tickWhileLeading)
  await simulateTicks('3000 pause b for 8000', tickWhileLeading)
  await fc.assert(isRight(tickWhileLeading, 'pause'), { numRuns: 3, seed: 1 })
})
