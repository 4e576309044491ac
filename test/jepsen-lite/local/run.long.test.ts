import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { parse } from '../../../jepsen-lite/checker/index.ts'
import { run } from '../../../jepsen-lite/local/run.ts'
import { isGone } from '../../local/kv.ts'
import { nemeses, options, runJudgedByLog } from './short-run.ts'

const out = mkdtempSync(join(tmpdir(), 'jepsen-lite-'))
afterEach(() => rmSync(out, { recursive: true, force: true }))

test.each(['watch', 'queue'] as const)(
  'a run of the workload %s is judged by what one client received of every key',
  async (workload) => {
    await runJudgedByLog(workload, out)
  },
)

test.each(['watch', 'lease', 'lock', 'queue'] as const)(
  'so is one of the workload %s through gRPC',
  async (workload) => {
    await runJudgedByLog(workload, out, 'grpc')
  },
)

test.each(['kv', 'register', 'append', 'cas', 'cas-lock', 'txn'] as const)(
  'a run of the workload %s through gRPC is judged by what its clients saw',
  async (workload) => {
    const faults = nemeses('isolate', 'kill-one', 'pause-one')
    const results = await run(options({ wire: 'grpc', workload, timeS: 8, nemeses: faults, out }))
    expect(results).toMatchObject({ verdict: 'pass', findings: [], wire: 'grpc' })
  },
)

test('a run that is killed leaves no process behind, paused ones neither', async () => {
  const bin = join(import.meta.dirname, '../../../bin/jepsen-lite.js')
  const flags = ['--nemesis', 'pause-one', '--nodes', '1', '--time', '10', '--port', '28301', '--out', out]
  const harness = spawn(process.execPath, [bin, 'run', ...flags], { stdio: ['ignore', 'ignore', 'pipe'] })
  for await (const line of createInterface(harness.stderr)) if (line.includes('pause-one')) break
  const { notes } = parse(readFileSync(join(out, 'history.jsonl'), 'utf8'), 'jsonl')
  const pids = notes.find(({ what }) => what === 'inject')?.pids
  const pid = Array.isArray(pids) ? Number(pids[0]) : 0
  expect(isGone(pid)).toBe(false)
  const ended = once(harness, 'exit')
  harness.kill('SIGKILL')
  await ended
  await expect.poll(() => isGone(pid)).toBe(true)
})
