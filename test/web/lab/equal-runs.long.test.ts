// The same schedule gives the same run in a page and in Node: two hundred of them.

import { test } from 'vitest'
import { describeConsole, needsChromium } from '../browser.ts'
import { expectEqualRuns } from './equal-runs.ts'

const SCHEDULES = 200

describeConsole(needsChromium('many schedules in a page'), () => {
  test(
    'run as in Node',
    async () => {
      await expectEqualRuns(Array.from({ length: SCHEDULES }, (_, at) => at + 1))
    },
    SCHEDULES * 60_000,
  )
})
