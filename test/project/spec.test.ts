// docs/SPEC.md names files, symbols and tests; all of them exist, and nothing is counted twice or left out.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const spec = readFileSync(join(root, 'docs/SPEC.md'), 'utf8')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

/** `path` or `path#symbol`, optionally followed by › "name of a test", which may be on two lines. */
const references = [
  ...spec.replaceAll('\n', ' ').matchAll(/`((?:src|test)\/[^`#]+)(?:#([^`]+))?`(?: › "([^"]+)")?/g),
].map(([, path = '', symbol, name]) => ({ path, symbol, name }))

test('every file, symbol and test that the specification names exists', () => {
  expect(references.length).toBeGreaterThan(100)
  const missing = references.filter(({ path, symbol, name }) => {
    if (!existsSync(join(root, path))) return true
    // A name may be cut short, and may be broken over string literals, but not made up.
    const text = read(path).replaceAll("\\'", "'")
    return !text.includes(symbol ?? '') || !text.includes(name ?? '')
  })
  expect(missing).toEqual([])
})

test('every invariant has a number of its own, and says where it is tested', () => {
  const statements = spec.split(/\n(?=\*\*[A-Z]+-\d+ )/).slice(1)
  const numbers = statements.map((statement) => /^\*\*([A-Z]+-\d+)/.exec(statement)?.[1])
  expect(new Set(numbers).size).toBe(numbers.length)
  expect(statements.filter((statement) => !/`test\//.test(statement)).map((one) => one.slice(0, 60))).toEqual(
    [],
  )
})

test('every rule that the simulator names is explained, there or here', () => {
  const sim = join(root, 'jepsen-lite/sim')
  const named = readdirSync(sim)
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => [...readFileSync(join(sim, name), 'utf8').matchAll(/'([A-Z]+-\d+)'/g)])
    .map(([, rule = '']) => rule)
  expect(new Set(named).size).toBeGreaterThan(40)
  const table = [...read('docs/reference/jepsen-lite.md').matchAll(/^\| ([A-Z]+-\d+(?:, [A-Z]+-\d+)*) \|/gm)]
  const own = table.flatMap(([, rules = '']) => rules.split(', '))
  expect(own.filter((rule) => !named.includes(rule))).toEqual([])
  const explained = (rule: string): boolean => own.includes(rule) !== spec.includes(`\n**${rule} `)
  expect(named.filter((rule) => !explained(rule))).toEqual([])
})

test('each of the 87 pitfalls has one line', () => {
  const numbers = [...spec.matchAll(/^\| (\d+) \|/gm)].map(([, number]) => Number(number))
  expect(numbers).toEqual(Array.from({ length: 87 }, (_, at) => at + 1))
})
