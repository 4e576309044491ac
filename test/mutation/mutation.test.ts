import { describe, expect, test } from 'vitest'
import { targetsOf } from '../../mutation/areas.ts'
import { scoreOf, survivorsOf } from '../../mutation/score.ts'

const mutant = (status: string, start: readonly [number, number], end: readonly [number, number]) => ({
  mutatorName: 'EqualityOperator',
  replacement: 'a <= 3',
  status,
  location: { start: { line: start[0], column: start[1] }, end: { line: end[0], column: end[1] } },
})
const at = [
  [2, 16],
  [2, 21],
] as const
const source = 'const a = 1\n  if (a < 2 && a < 3) {\n    b()\n  }\n'

test('a survivor is described by its place and both versions of the code', () => {
  const mutants = [mutant('Killed', ...at), mutant('Survived', ...at), mutant('NoCoverage', [2, 23], [4, 4])]
  expect(survivorsOf({ 'src/x.ts': { source, mutants } })).toEqual([
    'src/x.ts:2 EqualityOperator\n- a < 3\n+ a <= 3',
    'src/x.ts:2 EqualityOperator\n- {\n    b()\n  }\n+ a <= 3',
  ])
})

test('the score is the percentage of killed mutants, without ignored ones', () => {
  const statuses = ['Killed', 'Timeout', 'RuntimeError', 'Survived', 'Ignored']
  const mutants = statuses.map((status) => mutant(status, ...at))
  expect(scoreOf({ 'src/x.ts': { source, mutants } })).toBe(75)
  expect(scoreOf({})).toBe(100)
})

describe('what is mutated', () => {
  test('is each file in one area, also where areas contain each other', () => {
    const [server] = targetsOf(['src/server/'])
    expect(server?.mutate).toEqual(['src/server/**/*.ts', '!src/server/http/**/*.ts'])
    expect(
      targetsOf(['./src/server/http/body.ts', 'src/server/node/driver.ts']).map(({ mutate }) => mutate),
    ).toEqual([['src/server/http/body.ts'], ['src/server/node/driver.ts']])
  })

  test('is refused outside of the areas', () => {
    expect(() => targetsOf(['src/cli'])).toThrow('src/cli is in none of the areas')
  })
})
