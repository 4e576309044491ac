// Every mutant still fits the code: what it replaces is there exactly once, and what it makes of the file can be read
// as a program.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAst } from 'vitest/node'
import {
  IMPOSSIBLE,
  MUTANTS,
  STORE_MUTANTS,
  TESTER_MUTANTS,
} from '../../../jepsen-lite/mutants/catalogue/index.ts'
import { type Mutant, StaleMutantError, withEdit } from '../../../jepsen-lite/mutants/mutant.ts'
import { ROOT } from '../../../jepsen-lite/mutants/workbench.ts'

function mutated({ edits }: Mutant): Map<string, string> {
  const files = new Map<string, string>()
  for (const edit of edits) {
    const text = files.get(edit.file) ?? readFileSync(join(ROOT, edit.file), 'utf8')
    files.set(edit.file, withEdit(text, edit))
  }
  return files
}

test.each(MUTANTS.map((mutant) => [mutant.id, mutant] as const))('%s fits the code', (_id, mutant) => {
  for (const [file, text] of mutated(mutant)) {
    expect(() => parseAst(text, { lang: 'ts', astType: 'ts' }), file).not.toThrow()
    expect(text).not.toBe(readFileSync(join(ROOT, file), 'utf8'))
  }
})

test('there are enough, each once', () => {
  expect(STORE_MUTANTS.length).toBeGreaterThanOrEqual(60)
  expect(TESTER_MUTANTS.map(({ id }) => id)).toEqual(TESTER_MUTANTS.map((_, at) => `K${at + 1}`))
  expect(TESTER_MUTANTS.length).toBeGreaterThanOrEqual(29)
  const ids = [...MUTANTS, ...IMPOSSIBLE].map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  for (let number = 1; number <= 80; number++) expect(ids).toContain(`M${String(number).padStart(2, '0')}`)
})

test('each has a layer, and tests where tests are to see it', () => {
  for (const { id, layers, tests } of MUTANTS) {
    expect(layers, id).not.toEqual([])
    expect((tests ?? []).length > 0, id).toBe(layers.includes('unit'))
    for (const path of tests ?? []) expect(() => readFileSync(join(ROOT, path)), id).not.toThrow(/ENOENT/)
  }
})

test('one whose place is gone, or is there twice, is an error', () => {
  const edit = { file: 'x.ts', find: 'a + b', replace: 'a - b' }
  expect(withEdit('return a + b', edit)).toBe('return a - b')
  expect(() => withEdit('return b + a', edit)).toThrow(StaleMutantError)
  expect(() => withEdit('a + b, a + b', edit)).toThrow(StaleMutantError)
})
