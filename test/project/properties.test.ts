// Properties try lists as long as they say.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import '../runs.ts'

const TESTS = join(import.meta.dirname, '..')

test('lists are drawn up to the length that is given, not only up to ten elements', () => {
  const [lists, text] = [fc.array(fc.nat(), { maxLength: 60 }), fc.string({ maxLength: 60 })]
  const longest = (arbitrary: fc.Arbitrary<{ readonly length: number }>) =>
    Math.max(...fc.sample(arbitrary, 500).map(({ length }) => length))
  expect(longest(lists)).toBeGreaterThan(50)
  expect(longest(text)).toBeGreaterThan(50)
})

test('every file that asks for more than ten elements has this setting', () => {
  const files = readdirSync(TESTS, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.test.ts'),
  )
  const lacking = files.filter((file) => {
    const text = readFileSync(join(TESTS, file), 'utf8')
    return /fc\.[\s\S]*maxLength: \d\d/.test(text) && !/from '.*\/runs\.ts'|import '.*\/runs\.ts'/.test(text)
  })
  expect(lacking).toEqual([])
})
