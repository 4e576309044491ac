// The transcript that an exercise names breaks, and the other answers do not.

import { expect, test } from 'vitest'
import { readExercises } from '../../../jepsen-lite/exercises/exercise.ts'
import { judge } from '../../../jepsen-lite/exercises/judge.ts'
import { runCommand } from '../commands/run-command.ts'

const EXERCISES = readExercises()

test.each(EXERCISES)('$number is judged: $title', async (exercise) => {
  const { isRight, failure } = await judge(exercise, exercise.breaks)
  expect({ isRight, failure }).toEqual({ isRight: true, failure: expect.stringMatching(/\nin line \d+, "/) })
})

test('a wrong answer is answered with the transcript that breaks, and why', async () => {
  const { stdout, status } = await runCommand('exercise', '5', '--answer', 'a')
  expect(stdout).toMatch(/^wrong: \S+ still passes\n/)
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
