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
import type { Patch } from '../mutants/mutant.ts'

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
