// The runner of Node, whose fake timers replace other objects than those of Vitest.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

test('globals are replaced in node:test, while its timers are fake', async () => {
  const file = join(import.meta.dirname, 'testdata/fake-timers.mjs')
  const { stdout } = await promisify(execFile)(process.execPath, ['--test-reporter=spec', file])
  expect(stdout).toContain('pass 1')
})
