// The same schedule gives the same run in a page and in Node.

import { test } from 'vitest'
import { WRONG_RULES } from '../../../jepsen-lite/sim/index.ts'
import { describeConsole, needsChromium } from '../browser.ts'
import { expectEqualRuns } from './equal-runs.ts'

describeConsole(needsChromium('schedules in a page'), () => {
  test('run as in Node', async () => {
    // Short ones among the first.
    await expectEqualRuns(
      [7, 3],
      WRONG_RULES.map(({ name }) => name),
    )
  })
})
