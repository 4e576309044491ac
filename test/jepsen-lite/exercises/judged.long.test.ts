// The transcript that an exercise names breaks, and the other answers do not.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { readExercises } from '../../../jepsen-lite/exercises/exercise.ts'
import { judge } from '../../../jepsen-lite/exercises/judge.ts'
import { ROOT } from '../../../jepsen-lite/mutants/mutant.ts'
import { temporaryDirectory } from '../../backup/samples.ts'
import { runCommand } from '../commands/run-command.ts'

const EXERCISES = readExercises()

test.each(EXERCISES)('$number is judged: $title', async (exercise) => {
  const { isRight, failure } = await judge(exercise, exercise.breaks)
  const [, line, text] = /\nin line (\d+), "(.*)", after/.exec(failure) ?? []
  const transcript = readFileSync(join(ROOT, `test/raft/golden/${exercise.breaks}.golden`), 'utf8')
  expect(isRight).toBe(true)
  expect([text]).toEqual(transcript.split('\n').slice(Number(line) - 1, Number(line)))
})

test('a wrong answer is answered with the transcript that breaks, and why', async () => {
  const { stdout, status } = await runCommand('exercise', '5', '--answer', 'a')
  expect(stdout).toContain(`wrong: ${EXERCISES[4]?.answers[0]} still passes\n`)
  expect(stdout).toContain('\nan-append-that-arrives-after-a-later-one-deletes-nothing breaks:\n')
  expect(stdout).toContain('RAFT-7: n2 truncates from 12')
  expect(stdout).toContain('rule AE-3')
  expect(status).toBe(0)
})

test('an exercise that says what is not so is a fault of the exercise', async () => {
  const [exercise] = EXERCISES
  if (exercise === undefined) throw new Error('no exercise')
  const breaks = exercise.answers.find((name) => name !== exercise.breaks) ?? ''
  await expect(judge({ ...exercise, breaks }, breaks)).rejects.toThrow(`patch says that ${breaks} breaks`)
})

test('an exercise of which two answers break is a fault of the exercise', async () => {
  const [exercise] = EXERCISES
  if (exercise === undefined) throw new Error('no exercise')
  const { answers, breaks } = exercise
  await expect(judge({ ...exercise, answers: [...answers, breaks] }, breaks)).rejects.toThrow(
    `says that ${breaks} breaks, but [${breaks},${breaks}] did`,
  )
})

test('a judged answer leaves no copy of the sources', async () => {
  const directory = temporaryDirectory()
  vi.stubEnv('TMPDIR', directory)
  const [exercise] = EXERCISES
  if (exercise === undefined) throw new Error('no exercise')
  await judge(exercise, exercise.breaks)
  expect(readdirSync(directory)).toEqual([])
})
