// Facts that only the logs of nodes contain.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { countSnapshots, findAlarms } from '../../../jepsen-lite/local/node-logs.ts'

const folder = mkdtempSync(join(tmpdir(), 'quorate-logs-'))
afterAll(() => rmSync(folder, { recursive: true }))

function log(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

const line = (msg: string): string => `${JSON.stringify({ level: 30, node: 'n1', msg })}\n`

test('a log in which nothing went wrong raises no alarm', () => {
  expect(findAlarms([log('calm.log', line('leads') + line('installed a snapshot'))])).toEqual([])
})

test.each(['replicas differ: at 7', 'a request failed: x is not a function'])('"%s" is an alarm', (msg) => {
  expect(findAlarms([log('n1.log', line('leads') + line(msg) + line(msg))])).toEqual([
    expect.stringMatching(/^n1\.log has 2 lines like this: .*(differ|failed)/),
  ])
})

test('a process that died of a defect is an alarm, also where nodes were allowed to end', () => {
  const script = "setTimeout(() => { throw new TypeError('of the node') })"
  const { stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' })
  expect(findAlarms([log('n2.log', line('leads') + stderr)])).toEqual([
    expect.stringContaining('TypeError: of the node'),
  ])
})

test('what was moved aside when a log had grown large counts, too', () => {
  log('n3.log.old', line('a request failed: x') + line('installed a snapshot'))
  const file = log('n3.log', line('installed a snapshot'))
  expect(findAlarms([file])).toEqual([expect.stringContaining('a request failed')])
  expect(countSnapshots([file])).toBe(2)
})
