// Every mutant fits the sources as they are now, and every safety rule has one.

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { parseAst } from 'vitest/node'
import {
  applyPatch,
  changedFiles,
  parseMutant,
  ROOT,
  readMutants,
} from '../../../jepsen-lite/mutants/mutant.ts'

const MUTANTS = readMutants()
const MUTANTS_MAX = 90
/** Safety rules: the simulator checks them, or docs/invariants.md states them for the parts that it does not run. */
const SAFETY_RULES = {
  RAFT: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 25],
  KV: [1, 2, 4, 5, 6, 7, 8, 12, 15, 18, 20, 21, 22, 23, 24, 25, 26],
  STORE: [1, 2, 3, 4, 5, 6, 13, 15, 16, 18, 25],
  NODE: [1, 2, 3, 4, 5, 8, 14],
  READ: [1, 2, 3, 4, 5],
  ANSWER: [1, 2, 3, 4, 5, 6],
  SNAP: [1, 2, 3, 4],
  DISK: [1, 2, 3],
  WATCH: [1, 2, 3, 4],
  AUTH: [3, 10],
  CLIENT: [1, 2, 3, 4, 10],
}

const dir = mkdtempSync(join(tmpdir(), 'quorate-mutants-'))
afterAll(() => rmSync(dir, { recursive: true }))

test.each(MUTANTS)('$id applies, and leaves a program', (mutant) => {
  const paths = changedFiles(mutant)
  for (const path of paths) cpSync(join(ROOT, path), join(dir, path))
  applyPatch(dir, mutant)
  for (const path of paths) {
    const text = readFileSync(join(dir, path), 'utf8')
    expect(text).not.toBe(readFileSync(join(ROOT, path), 'utf8'))
    expect(() => parseAst(text, { lang: 'ts', astType: 'ts' })).not.toThrow()
  }
})

test('there are few, and each safety rule has one', () => {
  expect(MUTANTS.length).toBeLessThanOrEqual(MUTANTS_MAX)
  const rules = Object.entries(SAFETY_RULES).flatMap(([family, numbers]) =>
    numbers.map((number) => `${family}-${number}`),
  )
  const covered = new Set(MUTANTS.flatMap((mutant) => mutant.rules))
  expect(rules.filter((rule) => !covered.has(rule))).toEqual([])
})

test('every file of tests that a mutant names exists', () => {
  for (const { id, command } of MUTANTS)
    for (const path of command.kind === 'vitest' ? command.files : [])
      expect(existsSync(join(ROOT, path)), id).toBe(true)
})

const head = 'Bug: x\nEffect: y\nRules: RAFT-1\nCommand: jepsen-lite sim --seed 1\n'
const stale = `${head}diff --git a/src/raft/raft.ts b/src/raft/raft.ts
--- a/src/raft/raft.ts
+++ b/src/raft/raft.ts
@@ -1,2 +1,2 @@
-a line that no file has
+another line
`

test('a patch that the code has moved away from says how to make it again', () => {
  cpSync(join(ROOT, 'src/raft/raft.ts'), join(dir, 'src/raft/raft.ts'))
  expect(() => applyPatch(dir, parseMutant('stale', stale))).toThrow(
    /stale does not apply[\s\S]*jepsen-lite mutants --record stale/,
  )
})

test.each([
  ['no diff', head],
  ['no rule', stale.replace('Rules: RAFT-1\n', '')],
  ['an unknown command', stale.replace('jepsen-lite sim --seed 1', 'make')],
])('a patch with %s is malformed', (_fault, text) => {
  expect(() => parseMutant('wrong', text)).toThrow('wrong.patch: expected')
})
