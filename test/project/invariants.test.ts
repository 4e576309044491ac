// docs/invariants.md names rules and tests: each of them exists, and no rule is counted twice or left out.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

const PAGE = 'docs/invariants.md'
const page = read(PAGE)
/** The cells of each line of a rule: its number, its statement, and one link to a test. */
const RULES = [...page.matchAll(/^\| ([A-Z]+-\d+) \| (.+?) \| (.+) \|$/gm)].map(
  ([, rule = '', statement = '', link = '']) => ({ rule, statement, link }),
)

test('each rule has a number of its own and a statement', () => {
  expect(RULES.length).toBeGreaterThan(150)
  expect(new Set(RULES.map(({ rule }) => rule)).size).toBe(RULES.length)
  expect(RULES.filter(({ statement }) => !statement.endsWith('.'))).toEqual([])
  // The pattern of a rule has skipped no line of the tables.
  expect(page.match(/^\| [A-Z]+-/gm)).toHaveLength(RULES.length)
})

test('each rule links a test that exists, by its name', () => {
  const broken = RULES.filter(({ link }) => {
    const [, name = '', target = ''] = /^\[(.+)\]\(\.\.\/(test\/[^)]+)\)$/.exec(link) ?? []
    if (target === '' || !existsSync(join(root, target))) return true
    if (target.endsWith('.golden')) return name !== 'transcript'
    // A name may be cut short, but not made up. A file that tests nothing else is linked by its own name.
    return name !== basename(target) && !read(target).replaceAll("\\'", "'").includes(name)
  })
  expect(broken).toEqual([])
})

test('every file, folder and symbol that the page names exists', () => {
  const named = [...page.matchAll(/`((?:src|test|jepsen-lite)\/[^`#]+)(?:#([^`]+))?`/g)]
  expect(named.length).toBeGreaterThan(5)
  const missing = named.filter(
    ([, path = '', symbol]) =>
      !existsSync(join(root, path)) || (symbol !== undefined && !read(path).includes(symbol)),
  )
  expect(missing).toEqual([])
})

test('every rule that the simulator names is explained, there or here', () => {
  const sim = join(root, 'jepsen-lite/sim')
  const named = readdirSync(sim, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => [...readFileSync(join(sim, name), 'utf8').matchAll(/'([A-Z]+-\d+)'/g)])
    .map(([, rule = '']) => rule)
  expect(new Set(named).size).toBeGreaterThan(40)
  const table = [...read('docs/reference/jepsen-lite.md').matchAll(/^\| ([A-Z]+-\d+(?:, [A-Z]+-\d+)*) \|/gm)]
  const own = table.flatMap(([, rules = '']) => rules.split(', '))
  expect(own.filter((rule) => !named.includes(rule))).toEqual([])
  const isExplained = (rule: string): boolean =>
    own.includes(rule) !== RULES.some(({ rule: stated }) => stated === rule)
  expect(named.filter((rule) => !isExplained(rule))).toEqual([])
})
