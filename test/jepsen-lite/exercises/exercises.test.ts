// Each exercise fits the sources as they are now, and `jepsen-lite exercise` shows it.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { parseAst } from 'vitest/node'
import { readExercises } from '../../../jepsen-lite/exercises/exercise.ts'
import { changeOf } from '../../../jepsen-lite/mutants/change.ts'
import { applyPatch, ROOT } from '../../../jepsen-lite/mutants/mutant.ts'
import { runCommand } from '../commands/run-command.ts'

const EXERCISES = readExercises()

const dir = mkdtempSync(join(tmpdir(), 'quorate-exercises-'))
afterAll(() => rmSync(dir, { recursive: true }))

test.each(EXERCISES)('$number changes one place, and leaves a program: $title', (exercise) => {
  const { path, line, text, diff } = changeOf(exercise.patch)
  const before = readFileSync(join(ROOT, path), 'utf8')
  mkdirSync(dirname(join(dir, path)), { recursive: true })
  cpSync(join(ROOT, path), join(dir, path))
  applyPatch(dir, exercise.patch)
  const after = readFileSync(join(dir, path), 'utf8')
  expect(text).toBe(after)
  expect(after).not.toBe(before)
  expect(before.split('\n')[line - 1]).toBe(diff.find((each) => each.startsWith('-'))?.slice(1))
  expect(() => parseAst(after, { lang: 'ts', astType: 'ts' })).not.toThrow()
})

test('there are twelve, each with four transcripts to choose from', () => {
  expect(EXERCISES.map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  for (const { answers, breaks } of EXERCISES) {
    expect(new Set(answers).size).toBe(4)
    expect(answers).toContain(breaks)
    const paths = answers.map((name) => join(ROOT, `test/raft/golden/${name}.golden`))
    expect(paths.filter((path) => !existsSync(path))).toEqual([])
  }
  expect(new Set(EXERCISES.map(({ breaks }) => breaks)).size).toBe(12)
})

test('an exercise whose lines have changed names its patch', () => {
  const [exercise] = EXERCISES
  if (exercise === undefined) throw new Error('no exercise')
  const diff = exercise.patch.diff.replace(/^- .*/m, '-    a line that no file has')
  expect(() => changeOf({ ...exercise.patch, diff })).toThrow(
    '01-vote-kept-in-a-new-term.patch: its lines occur 0 times in src/raft/raft.ts',
  )
})

test('the command lists the exercises, and shows one', async () => {
  const all = await runCommand('exercise')
  expect(all.stdout.trim().split('\n')).toEqual(
    EXERCISES.map(({ number, title }) => expect.stringMatching(new RegExp(`^ *${number}  ${title}$`))),
  )
  const { stdout, status } = await runCommand('exercise', '5')
  expect(stdout).toMatch(/src\/raft\/raft\.ts:\d+\n/)
  expect(stdout).toContain('-        if (this.#log.matches(entry.index, entry.term)) continue')
  expect(stdout).toContain('  b  an-append-that-arrives-after-a-later-one-deletes-nothing\n')
  expect(stdout).not.toContain('rule AE-3')
  expect(status).toBe(0)
})

test.each([
  [['0'], 'It must be a whole number of at least 1.'],
  [['13'], 'there are exercises 1 to 12'],
  [['1', '--answer', 'e'], 'e is no answer; there are '],
  [['1', '--answer', 'two-candidates'], 'two-candidates is no answer; there are '],
  [['--answer', 'a'], '--answer needs the number of an exercise'],
])('exercise %j is a usage error', async (args, message) => {
  const { status, stdout, stderr } = await runCommand('exercise', ...args)
  expect(stderr).toContain(message)
  expect({ status, stdout }).toEqual({ status: 3, stdout: '' })
})
