// Three of the mutants, of different kinds and quickly caught: the simulator still finds what is planted, and a change
// that is no bug is not found.

import { expect, test } from 'vitest'
import { MUTANTS } from '../../../jepsen-lite/mutants/catalogue/index.ts'
import { type MutantResult, study } from '../../../jepsen-lite/mutants/study.ts'

const PLANTED = ['M08', 'M43', 'M54']

const budget = { seed: 1, searches: 1, schedules: 100, seconds: 40, shrinkSeconds: 0 }

test('planted bugs are caught', async () => {
  const mutants = MUTANTS.filter(({ id }) => PLANTED.includes(id))
  expect(mutants).toHaveLength(PLANTED.length)
  const results = await study(mutants, ['sim'], budget, 1, () => {})
  expect(results.filter(({ caught }) => caught === undefined).map(({ id }) => id)).toEqual([])
})

test('what is no bug is not caught', async () => {
  const harmless = {
    id: 'M00',
    title: 'the same under another name',
    why: 'nothing goes wrong',
    layers: ['sim'],
    edits: [{ file: 'src/raft/quorum.ts', find: 'let granted = 0', replace: 'let granted = 1 - 1' }],
  } as const
  const results: MutantResult[] = []
  await study([harmless], ['sim'], { ...budget, schedules: 3 }, 1, (result) => results.push(result))
  expect(results).toMatchObject([{ id: 'M00', caught: undefined, missedBy: ['sim'] }])
})
