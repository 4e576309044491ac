import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, test } from 'vitest'
import { runJudgedByLog } from './short-run.ts'

const out = mkdtempSync(join(tmpdir(), 'jepsen-lite-'))
afterEach(() => rmSync(out, { recursive: true, force: true }))

test.each(['watch', 'queue'] as const)(
  'a run of the workload %s is judged by what one client received of every key',
  async (workload) => {
    await runJudgedByLog(workload, out)
  },
)
