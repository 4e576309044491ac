// The whole harness on a small scale: it breaks a real cluster, sees that it did, and does not call it a pass when it
// did not.

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { check, parse } from '../../../jepsen-lite/checker/index.ts'
import type { Nemesis } from '../../../jepsen-lite/local/nemesis.ts'
import { run } from '../../../jepsen-lite/local/run.ts'
import { nemeses, options } from './short-run.ts'

const out = mkdtempSync(join(tmpdir(), 'jepsen-lite-'))
afterEach(() => rmSync(out, { recursive: true, force: true }))

// With TLS. The runs below have none, and run.long.test.ts has the other workloads.
test('a cluster that is killed and cut keeps its promises, and the history that says so can be judged again', async () => {
  const results = await run(options({ out, tls: true, nemeses: nemeses('isolate', 'kill-one', 'ring') }))
  expect(results).toMatchObject({
    ...{ verdict: 'pass', exit_code: 0, findings: [] },
    skipped: { ring: 'this shape needs 4 nodes' },
  })
  // Each fault was looked at while it stood: no byte passed, the process was gone.
  for (const kind of ['isolate', 'kill-one']) {
    expect(results.faults[kind]?.took_effect, kind).toBeGreaterThan(0)
  }
  expect(results.elections).toBeGreaterThan(0)
  const history = parse(readFileSync(join(out, 'history.jsonl'), 'utf8'), 'jsonl')
  expect(check(history)).toMatchObject({
    verdict: 'pass',
    counts: { finals: 3, operations: history.calls.length },
  })
  expect(history.calls.length).toBeGreaterThan(50)
  // A busy machine keeps this process waiting, which is noted.
  const noted = history.notes.map(({ what }) => what).filter((what) => what !== 'stall')
  expect(new Set(noted)).toEqual(new Set(['start', 'role', 'phase', 'inject', 'heal', 'kill', 'ended']))
  expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('<strong>pass</strong>')
  expect(readdirSync(join(out, 'nodes')).sort()).toEqual(['certs', 'n1.log', 'n2.log', 'n3.log'])
})

test('an interrupted run whose fault did nothing proves nothing, and leaves no process, paused ones neither', async () => {
  const abort = new AbortController()
  const say = (line: string): void => {
    if (line.startsWith('pause-one')) abort.abort()
  }
  const harmless: Nemesis[] = nemeses('pause-one').map((nemesis) => ({
    ...nemesis,
    async inject(context) {
      const fault = await nemesis.inject(context)
      return typeof fault === 'string' ? fault : { ...fault, effect: () => undefined }
    },
  }))
  const results = await run(
    options({ out, timeS: 10, nodes: 1, nemeses: harmless, signal: abort.signal, say }),
  )
  expect(results).toMatchObject({ verdict: 'failed', exit_code: 3 })
  expect(results.findings.map(({ message }) => message)).toEqual([
    'no fault took effect',
    'no election happened',
    'the run was interrupted',
  ])
  const { notes } = parse(readFileSync(join(out, 'history.jsonl'), 'utf8'), 'jsonl')
  const pids = notes.find(({ what }) => what === 'inject')?.pids
  expect(pids).toHaveLength(1)
  for (const pid of pids as number[]) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  expect(readFileSync(join(out, 'results.json'), 'utf8')).toContain('the run was interrupted')
  // A user who wants to know why finds everything.
  expect(existsSync(join(out, 'nodes', 'n1', 'IDENTITY'))).toBe(true)
})
