// jepsen-lite lesson: what the runs of a lesson show.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseLink } from '../../../jepsen-lite/lab/index.ts'
import { judged } from '../../../jepsen-lite/sim/judged-run.ts'
import { temporaryDirectory } from '../../backup/samples.ts'
import { runCommand } from './run-command.ts'

const STEPS = [
  {
    kind: 'predict',
    question: 'Who leads?',
    until: 1300,
    choices: [
      { text: 'n1, in term 2.', when: ['leader = n1', 'term = 2'], reply: 'Yes.' },
      { text: 'n2.', when: ['leader = n2'], reply: 'No.' },
    ],
  },
  {
    kind: 'break',
    until: 2500,
    task: 'Stop the leader.',
    goal: ['leaders = 0'],
    solution: '1501:pause,target=leader,ms=500',
    after: 'It stands still.',
  },
]

function fileWith(...steps: readonly object[]): string {
  const path = join(temporaryDirectory(), 'lesson.json')
  writeFileSync(
    path,
    JSON.stringify({ title: 'Leaders', summary: 'Who leads.', minutes: 1, run: 'seed=1', steps }),
  )
  return path
}

test('a lesson: the right answers, the time of the goal, and the hash of each run', async () => {
  const { status, stdout } = await runCommand('lesson', fileWith(...STEPS))
  expect(status).toBe(0)
  const [link = '', trace = ''] = [
    /seed=1,ms=1300$/m.exec(stdout)?.[0],
    /^\w+(?= {2}seed=1,ms=1300$)/m.exec(stdout)?.[0],
  ]
  expect(stdout.split('\n').slice(0, -3)).toEqual([
    'Leaders',
    '',
    '1. predict, from 0 to 1300 ms: Who leads?',
    '  right  n1, in term 2.',
    '         holds: leader = n1',
    '         holds: term = 2',
    '  wrong  n2.',
    '         fails: leader = n2',
    '',
    '2. break, from 1300 to 2500 ms: Stop the leader.',
    '  the solution reaches the goal at 1501 ms: leaders = 0',
    '',
  ])
  expect(judged(parseLink(link)).trace).toBe(trace)
})

test('a lesson of which only the second step has a wrong rule', async () => {
  const run = 'seed=1,rule=read-without-round'
  const { status, stdout } = await runCommand(
    'lesson',
    fileWith(...STEPS, { kind: 'see', run, until: 300, text: 'Look.' }),
  )
  expect(status).toBe(0)
  expect(stdout).toContain('3. see, from 0 to 300 ms\n')
  expect(stdout).toContain('  seed=1,rule=read-without-round,ms=300\n')
})

test('a lesson with a question that has no right answer', async () => {
  const [question] = STEPS
  const file = fileWith({ ...question, until: 900 })
  const { status, stdout } = await runCommand('lesson', file)
  expect(status).toBe(1)
  expect(stdout).toContain('\nstep 1: no choice is right\n')
})

test('a file that is no lesson', async () => {
  const file = fileWith({ kind: 'see', until: 300 })
  const { status, stderr } = await runCommand('lesson', file)
  expect([status, stderr]).toEqual([3, `error: ${file}: step 1 (see): text: it is missing\n`])
})
