// The whole harness on a small scale: it breaks a real cluster, sees that it did, and does not call it a pass when it
// did not.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, test } from 'vitest'
import { check, parse } from '../../../jepsen-lite/checker/index.ts'
import { chooseNemeses } from '../../../jepsen-lite/local/catalogue.ts'
import type { Nemesis } from '../../../jepsen-lite/local/nemesis.ts'
import type { LocalRunOptions } from '../../../jepsen-lite/local/options.ts'
import { run } from '../../../jepsen-lite/local/run.ts'

const out = mkdtempSync(join(tmpdir(), 'jepsen-lite-'))
afterEach(() => rmSync(out, { recursive: true, force: true }))

const options = (rest: Partial<LocalRunOptions> & { nemeses: readonly Nemesis[] }): LocalRunOptions => ({
  timeS: 4.5,
  workload: 'kv',
  rate: 100,
  clients: 5,
  nodes: 3,
  out,
  // Its first two faults are short.
  seed: 236_018,
  command: 'a test',
  portFrom: 27_301,
  signal: new AbortController().signal,
  say: () => {},
  ...rest,
})

function nemeses(...names: string[]): readonly Nemesis[] {
  const chosen = chooseNemeses(names)
  if (typeof chosen === 'string') throw new Error(chosen)
  return chosen
}

test('a cluster that is killed and cut keeps its promises, and the history that says so can be judged again', async () => {
  const results = await run(options({ nemeses: nemeses('isolate', 'kill-one') }))
  expect(results).toMatchObject({ verdict: 'pass', exit_code: 0, findings: [] })
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
  expect(history.calls.length).toBeGreaterThan(200)
  // A busy machine keeps this process waiting, which is noted.
  const noted = history.notes.map(({ what }) => what).filter((what) => what !== 'stall')
  expect(new Set(noted)).toEqual(new Set(['start', 'role', 'phase', 'inject', 'heal', 'kill', 'ended']))
  expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('<strong>pass</strong>')
  expect(readdirSync(join(out, 'nodes')).sort()).toEqual(['n1.log', 'n2.log', 'n3.log'])
})

test.each(['watch', 'queue'] as const)(
  'a run of the workload %s is judged by what one client received every key',
  async (workload) => {
    const results = await run(options({ workload, timeS: 3, nemeses: nemeses('kill-one') }))
    expect(results).toMatchObject({ verdict: 'pass', findings: [], checked: { model: 'log', finals: 3 } })
    const { header, watches, storeCalls } = parse(readFileSync(join(out, 'history.jsonl'), 'utf8'), 'jsonl')
    const log = watches.filter(({ client }) => client === header.log).flatMap(({ messages }) => messages)
    const revisions = log.flatMap(({ message }) => (message.kind === 'events' ? [message.revision] : []))
    const last = log.flatMap(({ message }) => (message.kind === 'due' ? [message.revision] : []))
    expect(revisions.length).toBeGreaterThan(10)
    expect(last.at(-1)).toBe(Math.max(...revisions))
    expect(storeCalls.length).toBeGreaterThan(0)
  },
)

test('a run whose faults do nothing proves nothing, and fails', async () => {
  const harmless: Nemesis = {
    kind: 'harmless',
    says: 'does nothing',
    groups: [],
    inject: async () => ({ nodes: [], effect: () => undefined, heal() {} }),
  }
  const results = await run(options({ timeS: 2, nodes: 1, nemeses: [harmless] }))
  expect(results).toMatchObject({ verdict: 'failed', exit_code: 3 })
  expect(results.findings.map(({ message }) => message)).toEqual([
    'no fault took effect',
    'no election happened',
  ])
  // A user who wants to know why finds everything.
  expect(existsSync(join(out, 'nodes', 'n1', 'IDENTITY'))).toBe(true)
})

test('an interrupted run leaves no process behind, paused ones neither, and writes what there is', async () => {
  const abort = new AbortController()
  const say = (line: string): void => {
    if (line.startsWith('pause-one')) abort.abort()
  }
  const results = await run(
    options({ timeS: 60, nodes: 1, nemeses: nemeses('pause-one'), signal: abort.signal, say }),
  )
  expect(results).toMatchObject({ verdict: 'failed', exit_code: 3 })
  expect(results.findings.map(({ kind }) => kind)).toContain('interrupted')
  const { notes } = parse(readFileSync(join(out, 'history.jsonl'), 'utf8'), 'jsonl')
  const pids = notes.find(({ what }) => what === 'inject')?.pids
  expect(pids).toHaveLength(1)
  for (const pid of pids as number[]) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  expect(readFileSync(join(out, 'results.json'), 'utf8')).toContain('the run was interrupted')
})

test('a run that is killed leaves no process behind, paused ones neither', async () => {
  const bin = join(import.meta.dirname, '../../../bin/jepsen-lite.js')
  const flags = ['--nemesis', 'pause-one', '--nodes', '1', '--port', '28301', '--out', out]
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

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}
