// The exercises for readers of the core: "remove this line: which transcript breaks, and why?" Each is a patch of the
// sources in patches/, as those of the mutants are, with another head:
//
//   Exercise: An entry that is there is no conflict
//   Answers: names of transcripts in test/raft/golden, one of which breaks
//   Breaks: that one
//   Why: the reason, for those who have answered
//
// Their order is that of the paper.

import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CommandError } from '../exit-codes.ts'
import { changedFiles, type Patch, ROOT } from '../mutants/mutant.ts'

const PATCHES = join(import.meta.dirname, 'patches')
const HEAD = /^Exercise: (.+)\nAnswers: (.+)\nBreaks: (.+)\nWhy: (.+)\n(diff [\s\S]+)$/

export interface Exercise {
  readonly number: number
  readonly title: string
  /** Names of transcripts. Exactly one of them breaks. */
  readonly answers: readonly string[]
  readonly breaks: string
  readonly why: string
  readonly patch: Patch
}

export function readExercises(): readonly Exercise[] {
  const names = readdirSync(PATCHES).filter((name) => name.endsWith('.patch'))
  return names
    .sort()
    .map((name, at) =>
      parseExercise(at + 1, basename(name, '.patch'), readFileSync(join(PATCHES, name), 'utf8')),
    )
}

function parseExercise(number: number, id: string, text: string): Exercise {
  const [, title, answers, breaks, why, diff] = HEAD.exec(text) ?? []
  if (!title || !answers || !breaks || !why || !diff)
    throw new CommandError(
      `${id}.patch: expected the lines Exercise, Answers, Breaks and Why, and then a diff`,
    )
  return { number, title, answers: answers.split(' '), breaks, why, patch: { id, bug: title, diff } }
}

export interface Change {
  readonly path: string
  /** Number of the first line that is removed or changed, from 1. */
  readonly line: number
  /** The lines of the diff: the first character is a space, `-` or `+`. */
  readonly diff: readonly string[]
}

/** The change of an exercise in the sources as they are now. Its lines occur there exactly once. */
export function changeOf({ patch }: Exercise): Change {
  const [path = ''] = changedFiles(patch)
  const diff = patch.diff
    .slice(patch.diff.indexOf('\n@@ ') + 1)
    .trimEnd()
    .split('\n')
    .slice(1)
  const before = diff.filter((line) => !line.startsWith('+')).map((line) => `${line.slice(1)}\n`)
  const [head = '', ...more] = readFileSync(join(ROOT, path), 'utf8').split(before.join(''))
  if (more.length !== 1)
    throw new CommandError(
      `${patch.id}.patch: its lines occur ${more.length} times in ${path}; write them as they are there now`,
    )
  return { path, line: head.split('\n').length + diff.findIndex((line) => line.startsWith('-')), diff }
}
