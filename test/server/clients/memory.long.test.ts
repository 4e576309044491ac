// Clients of all wires begin, hold and leave, in any order. The heap of the node has not much more than the node counts
// for them, and nothing is counted when they have left. The gauges are exact. The bound of the heap is wide: what a few
// connections hold may stay below it.

import fc from 'fast-check'
import { onTestFinished, test } from 'vitest'
import { runs } from '../../runs.ts'
import { schedule, WatchedPort } from './memory.ts'

test.each([false, true])(
  'what clients make a node hold counts; rights are checked: %s',
  async (isChecked) => {
    const port = await WatchedPort.open(isChecked)
    onTestFinished(() => port.close())
    await port.runEachAlone()
    await fc.assert(
      fc.asyncProperty(schedule, (visits) => port.run(visits)),
      { numRuns: runs(10), endOnFailure: true },
    )
  },
  1_800_000,
)
