// Every mutant fits the sources as they are now, and every safety rule has one.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseAst } from 'vitest/node'
import { changedFiles, parseMutant, readMutants } from '../../../jepsen-lite/mutants/mutant.ts'
import { Workbench } from '../../../jepsen-lite/mutants/workbench.ts'

const MUTANTS = readMutants()
const MUTANTS_MAX = 60
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

let bench: Workbench
beforeAll(() => {
  bench = new Workbench()
})
afterAll(() => bench.remove())

test.each(MUTANTS)('$id applies, and leaves a program', (mutant) => {
  const files = changedFiles(mutant).map((path) => join(bench.dir, path))
  const texts = (): string[] => files.map((file) => readFileSync(file, 'utf8'))
  const before = texts()
  const unplant = bench.plant(mutant)
  const planted = texts()
  unplant()
  expect(texts()).toEqual(before)
  for (const [at, text] of planted.entries()) {
    expect(text).not.toBe(before[at])
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
      expect(() => readFileSync(join(bench.dir, path)), id).not.toThrow(/ENOENT/)
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
  expect(() => bench.plant(parseMutant('stale', stale))).toThrow(
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
