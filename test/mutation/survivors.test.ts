import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { withEdit } from '../../jepsen-lite/mutants/mutant.ts'
import { targetsOf } from '../../mutation/areas.ts'
import { equivalents, isThe, survivorOf } from '../../mutation/survivors.ts'
import { scoreOf, textOf } from '../../mutation/table.ts'

const source = 'const a = 1\n  if (a < 2 && a < 3) {\n    b()\n  }\n'

const mutant = (start: readonly [number, number], end: readonly [number, number], replacement: string) => ({
  mutatorName: 'EqualityOperator',
  replacement,
  status: 'Survived',
  location: { start: { line: start[0], column: start[1] }, end: { line: end[0], column: end[1] } },
})

describe('a mutant that the tests let live', () => {
  test('is planted where the report says, and nowhere else', () => {
    const survivor = survivorOf('src/x.ts', source, mutant([2, 16], [2, 21], 'a <= 3'))
    expect(withEdit(source, survivor.edit)).toBe(source.replace('a < 3', 'a <= 3'))
    expect(survivor).toMatchObject({ original: 'a < 3', context: 'if (a < 2 && a < 3) {', line: 2 })
  })

  test('may reach over lines', () => {
    const survivor = survivorOf('src/x.ts', source, mutant([2, 23], [4, 4], '{}'))
    expect(withEdit(source, survivor.edit)).toBe('const a = 1\n  if (a < 2 && a < 3) {}\n')
  })

  test('is known as equivalent by its line, not by its number', () => {
    const known = {
      file: 'src/x.ts',
      context: 'if (a < 2 && a < 3) {',
      original: 'a < 3',
      replacement: 'a <= 3',
    }
    const moved = survivorOf('src/x.ts', `\n\n${source}`, mutant([4, 16], [4, 21], 'a <= 3'))
    const other = survivorOf('src/x.ts', source, mutant([2, 7], [2, 12], 'a <= 2'))
    expect(isThe(moved, { ...known, reason: '' })).toBe(true)
    expect(isThe(other, { ...known, reason: '' })).toBe(false)
  })
})

test('what is called equivalent is a line that is there once: the reason holds for that one', () => {
  const strayed = equivalents().filter(({ file, context, original }) => {
    const lines = readFileSync(file, 'utf8').split('\n')
    const isThere = lines.filter((line) => line.trim() === context).length === 1
    return !(isThere && context.includes(original.split('\n')[0] ?? ''))
  })
  expect(strayed).toEqual([])
})

describe('what is mutated', () => {
  test('is each file in one area, however the areas lie in each other', () => {
    const [server] = targetsOf(['src/server/'])
    expect(server?.mutate).toEqual(['src/server/**/*.ts', '!src/server/http/**/*.ts'])
    expect(
      targetsOf(['./src/server/http/body.ts', 'src/server/node/driver.ts']).map(({ mutate }) => mutate),
    ).toEqual([['src/server/http/body.ts'], ['src/server/node/driver.ts']])
  })

  test('is refused elsewhere', () => {
    expect(() => targetsOf(['src/cli'])).toThrow('src/cli is in none of the areas')
  })
})

test('the share of killed mutants leaves out the equivalent ones', () => {
  const row = { file: 'src/kv/a.ts', mutants: 12, tests: 6, types: 1, simulator: 2, equivalent: 2 }
  expect(scoreOf([row])).toBe(90)
  expect(textOf([row])).toContain('| src/kv/a.ts | 12 | 6 | 1 | 2 | 2 | 1 | 90.0 % |')
})
