// The code that the lab shows with a decision: found in the sources of the core when the page is built.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, test } from 'vitest'
import { findDecisionCode } from '../../../web/decision-code.ts'

const root = join(import.meta.dirname, '../../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const code = findDecisionCode(root)
const excerpts = Object.values(code).flat()

/** The union of decisions, which ends at the next line across the file. */
const [, union = ''] = /^export type Decision =\n([\s\S]*?)\n\/\/ ---/m.exec(read('src/raft/types.ts')) ?? []
const KINDS = [...union.matchAll(/kind: '([\w-]+)'/g)].map(([, kind = '']) => kind)

test('each decision of the core has code', () => {
  expect(KINDS.length).toBeGreaterThan(10)
  expect(Object.keys(code).sort()).toEqual(KINDS.sort())
})

it('is at these lines of its file', () => {
  for (const { file, first, lines, marked } of excerpts) {
    expect(
      read(file)
        .split('\n')
        .slice(first - 1, first - 1 + lines.length),
    ).toEqual(lines)
    expect(lines.length).toBeLessThan(45)
    for (const line of marked) expect(lines[line - first]).toBeTruthy()
  }
})

/** Figure 2 of the paper in the core names the line that keeps each rule, and the decision there. */
const RULES = [
  ...read('docs/learn/figure-2.md').matchAll(
    /^\| [A-Z]{2}-\d [^|]+ \| [^|]+ \| `([^|]+)` \| `([\w-]+)` \|/gm,
  ),
].map(([, source = '', decision = '']) => ({ source, decision }))

it('has a line that keeps the rule', () => {
  expect(RULES.length).toBeGreaterThan(6)
  const isIn = (decision: string, source: string): boolean =>
    (code[decision] ?? []).some(({ lines }) => lines.join('\n').includes(source))
  for (const kind of new Set(RULES.map(({ decision }) => decision))) {
    const sources = RULES.filter(({ decision }) => decision === kind).map(({ source }) => source)
    expect({ kind, isShown: sources.some((source) => isIn(kind, source)) }).toEqual({ kind, isShown: true })
  }
})
