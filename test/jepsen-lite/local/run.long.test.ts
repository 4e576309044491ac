import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, test } from 'vitest'
import { runJudgedByLog } from './short-run.ts'

const out = mkdtempSync(join(tmpdir(), 'jepsen-lite-'))
afterAll(() => rmSync(out, { recursive: true, force: true }))

test('a run of the workload watch is judged by what one client received of every key', async () => {
  await runJudgedByLog('watch', out)
})
