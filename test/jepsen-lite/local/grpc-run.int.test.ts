// The whole harness on a small scale, with clients that speak etcd's API, over TLS. Their watches are the log by which
// everything is judged.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished, test } from 'vitest'
import { runJudgedByLog } from './short-run.ts'

test('a cluster that is killed keeps its promises to clients of etcd', async () => {
  const out = mkdtempSync(join(tmpdir(), 'jepsen-lite-'))
  onTestFinished(() => rmSync(out, { recursive: true, force: true }))
  await runJudgedByLog('watch', out, 'grpc')
})
