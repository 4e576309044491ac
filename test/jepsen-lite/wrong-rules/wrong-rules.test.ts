// Each wrong rule fits the sources as they are now, and does the harm that its run in docs/learn/lessons/runs shows.

import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAst } from 'vitest/node'
import { parseLink } from '../../../jepsen-lite/lab/index.ts'
import { judged, runSchedule, WRONG_RULES, type WrongRuleName } from '../../../jepsen-lite/sim/index.ts'
import { loadRule } from '../../../jepsen-lite/wrong-rules/load-rule.ts'
import { patchedModules, RAFT_MODULE } from '../../../jepsen-lite/wrong-rules/patched-modules.ts'

const RUNS = join(import.meta.dirname, '../../../docs/learn/lessons/runs')

/** The rule of the simulator that the run breaks. */
const BROKEN: Readonly<Record<WrongRuleName, string>> = {
  'commit-of-earlier-term': 'RAFT-10',
  'vote-without-comparing-logs': 'RAFT-10',
  'acknowledged-before-durable': 'RAFT-10',
  'joint-commit-by-incoming-voters': 'RAFT-11',
  'read-without-round': 'READ-1',
}

test.each(WRONG_RULES)('$name makes other modules from the sources', ({ name }) => {
  const modules = patchedModules(name)
  expect([...modules.keys()]).toContain(RAFT_MODULE)
  const changed = [...modules].filter(([path, text]) => text !== readFileSync(path, 'utf8'))
  expect(changed).toHaveLength(1)
  for (const [, text] of changed) expect(() => parseAst(text, { lang: 'ts', astType: 'ts' })).not.toThrow()
})

test.each(WRONG_RULES)('$name leaves no module that imports one with the wrong rule', ({ name }) => {
  const modules = patchedModules(name)
  const changed = new Set([...modules.keys()].map((path) => basename(path)))
  const others = globSync(join(RAFT_MODULE, '../*.ts')).filter((path) => !modules.has(path))
  expect(others.length).toBeGreaterThan(5)
  const mixed = others.filter((path) =>
    [...readFileSync(path, 'utf8').matchAll(/^import (?!type )[^']*'\.\/([^']+)'/gm)].some(
      ([, imported = '']) => changed.has(imported) && basename(path) !== 'index.ts',
    ),
  )
  expect(mixed).toEqual([])
})

test.each(WRONG_RULES)('$name does harm, and the rule of Raft prevents it', async ({ name }) => {
  const { rule, ...right } = parseLink(readFileSync(join(RUNS, `${name}.txt`), 'utf8').trim())
  expect(rule).toBe(name)
  await loadRule(name)
  const [withWrong, withRight] = [judged({ ...right, rule: name }), judged(right)]
  expect([withWrong.violation?.invariant, withRight.violation]).toEqual([BROKEN[name], undefined])
  expect(withWrong.trace).not.toBe(withRight.trace)
})

test('a run whose wrong rule is not loaded is refused', () => {
  const rule = 'no-such-rule' as WrongRuleName
  expect(() => runSchedule({ ...parseLink('seed=1,ms=100'), rule })).toThrow(
    'the schedule has the wrong rule no-such-rule, and no core with it is loaded here',
  )
})
