// The guides about tests show the code of this folder.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { blocksOf } from '../../../docs/blocks.ts'

const ENTRY_POINTS = {
  '../../../../src/index.ts': 'quorate',
  '../../../../src/recipes/index.ts': 'quorate/recipes',
  '../../../../jepsen-lite/testing/index.ts': 'quorate/testing',
}

function sourceOf(file: string): string {
  let source = readFileSync(join(import.meta.dirname, file), 'utf8')
  for (const [from, to] of Object.entries(ENTRY_POINTS)) source = source.replaceAll(from, to)
  return source
}

const shown = ['testing-your-service', 'simulated-services'].flatMap((page) =>
  blocksOf(`docs/guides/${page}.md`).flatMap(({ text, line }) => {
    const [head, file] = /^\/\/ (\S+\.ts)\n/.exec(text) ?? []
    return head === undefined || file === undefined ? [] : { page, file, line, code: text.slice(head.length) }
  }),
)

test.each(shown)('$page:$line is of $file', ({ file, code }) => {
  const source = sourceOf(file)
  // The tests import more than the page shows.
  for (const part of code.split(/\n\n/)) {
    const isImports = part.startsWith('import ')
    const lines = isImports ? part.split(/\n(?=import )/) : [part]
    for (const text of lines) expect(source).toContain(text.trim())
  }
})

test('every program is shown', () => {
  expect([...new Set(shown.map(({ file }) => file))].sort()).toEqual([
    ...['counter.long.test.ts', 'counter.test.ts', 'counter.ts', 'jobs.test.ts', 'jobs.ts', 'prices.test.ts'],
    ...['prices.ts', 'scheduler.test.ts', 'scheduler.ts', 'trips.test.ts', 'trips.ts'],
  ])
})
