// A test that fails now and then has not caught the mutant that was planted when it did.

import { expect, test } from 'vitest'
import type { Mutant } from '../../../jepsen-lite/mutants/mutant.ts'
import { study } from '../../../jepsen-lite/mutants/study.ts'

const budget = { seed: 1, searches: 1, schedules: 1, seconds: 1, shrinkSeconds: 0 }
const FILE = 'test/raft/golden.test.ts'

/** A line in a file of tests, run when they are loaded. */
const failing = (when: string): Mutant => ({
  id: 'M00',
  title: 'nothing of the store',
  why: 'the test itself fails',
  layers: ['unit'],
  tests: [FILE],
  edits: [
    {
      file: FILE,
      find: "const folder = join(import.meta.dirname, 'golden')\n",
      replace: `const folder = join(import.meta.dirname, 'golden')
const failsNow = ${when}
writeFileSync('failed-before', '')
test('of the mutant', () => expect(failsNow).toBe(false))
`,
    },
  ],
})
const ONCE = "!readdirSync('.').includes('failed-before')"

test('one that fails once catches nothing, one that fails each time does', async () => {
  const told = await study([failing(ONCE)], ['unit'], budget, 1, () => {})
  expect(told).toMatchObject([{ caught: undefined, missedBy: ['unit'] }])
  const always = await study([failing('true')], ['unit'], budget, 1, () => {})
  expect(always).toMatchObject([{ caught: { layer: 'unit', by: 'of the mutant' }, missedBy: [] }])
})
