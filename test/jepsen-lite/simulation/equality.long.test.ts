// Runs of the same seed and schedule are equal: in one process, and in other versions of Node that are found.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../../..')
const SEEDS = 300

/** Paths of other versions of Node that run these sources, which need 24. Separated as in `PATH`. */
const others = (process.env.QUORATE_OTHER_NODES ?? '').split(':').filter((path) => existsSync(path))

/** Hashes of the traces, a seed a line. */
function traces(node: string): string {
  const args = [join(import.meta.dirname, 'testdata/equality.ts'), `${SEEDS}`]
  return execFileSync(node, args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 })
}

test('random schedules give the same run twice, and in each version of Node', () => {
  const first = traces(process.execPath)
  expect(first.trim().split('\n')).toHaveLength(SEEDS)
  for (const node of [process.execPath, ...others]) expect(traces(node), node).toBe(first)
})
