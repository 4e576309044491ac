// jepsen-lite replay: files of schedules, and addresses of runs in the lab.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import {
  finishedRun,
  formatLink,
  Lab,
  labSchedule,
  PLAIN_X,
  parseLink,
} from '../../../jepsen-lite/lab/index.ts'
import { withMoment } from '../../../jepsen-lite/lab/link-moment.ts'
import { generate, runSchedule } from '../../../jepsen-lite/sim/index.ts'
import { temporaryDirectory } from '../../backup/samples.ts'
import { runCommand } from './run-command.ts'

function fileWith(text: string): string {
  const path = join(temporaryDirectory(), 'schedule')
  writeFileSync(path, text)
  return path
}

test('a run of the lab has the same hash', async () => {
  const lab = new Lab(labSchedule(3, { nodes: 3, spares: 0 }))
  lab.runTo(2500)
  lab.add({ kind: 'put', client: 0, node: 'leader', key: 0, x: PLAIN_X })
  lab.runTo(3000)
  const { schedule, trace } = finishedRun(lab)
  // The moment at which the page shows it makes no difference.
  const path = fileWith(`http://127.0.0.1:7360/#${withMoment(formatLink(schedule), 2600)}\n`)
  const { status, stdout } = await runCommand('replay', path)
  expect(status).toBe(0)
  expect(stdout).toContain(`no rule is broken; trace ${trace}`)
})

test('the address of a schedule in the lab', async () => {
  const schedule = generate(7)
  const { status, stdout } = await runCommand('replay', fileWith(JSON.stringify(schedule)), '--lab')
  expect(status).toBe(0)
  const [, link = ''] = /^http:\/\/127\.0\.0\.1:7360\/#(\S+)\n$/.exec(stdout) ?? expect.fail(stdout)
  expect(parseLink(link)).toEqual(schedule)
})

test('a schedule whose clients use a recipe has no address', async () => {
  const recipe = { name: 'lock', processes: 1, faults: [] }
  const { status, stderr } = await runCommand(
    'replay',
    fileWith(JSON.stringify({ ...generate(7), recipe })),
    '--lab',
  )
  expect([status, stderr]).toEqual([3, expect.stringContaining('the lab runs no clients with recipes')])
})

test('a run with a wrong rule is replayed with it', async () => {
  const text = 'seed=7,rule=acknowledged-before-durable,ms=4000;3000:put,client=0,node=leader,key=0,x=41'
  const { stdout } = await runCommand('replay', fileWith(text))
  expect(stdout).toMatch(/^In this cluster a rule of Raft is wrong: a follower acknowledges an entry before /)
  const schedule = parseLink(text)
  const { trace } = runSchedule(schedule)
  expect(stdout).toContain(`; trace ${trace}\n`)
  const { rule, ...right } = schedule
  expect([rule, runSchedule(right).trace]).toEqual([
    'acknowledged-before-durable',
    expect.not.stringMatching(trace),
  ])
})
