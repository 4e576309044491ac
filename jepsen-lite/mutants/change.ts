// The change of a patch that has one place, as text: for readers, and for modules that are made from the sources.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CommandError } from '../exit-codes.ts'
import { changedFiles, type Patch, ROOT } from './mutant.ts'

export interface Change {
  readonly path: string
  /** Number of the first line that is removed or changed, from 1. */
  readonly line: number
  /** The lines of the diff: the first character is a space, `-` or `+`. */
  readonly diff: readonly string[]
  /** The file with the change. */
  readonly text: string
}

/** The change of a patch in the sources as they are now. Its lines occur there exactly once. */
export function changeOf(patch: Patch): Change {
  const [path = ''] = changedFiles(patch)
  const diff = patch.diff
    .slice(patch.diff.indexOf('\n@@ ') + 1)
    .trimEnd()
    .split('\n')
    .slice(1)
  const linesWithout = (sign: '+' | '-'): string =>
    diff.flatMap((line) => (line.startsWith(sign) ? [] : [`${line.slice(1)}\n`])).join('')
  const [head = '', ...tails] = readFileSync(join(ROOT, path), 'utf8').split(linesWithout('+'))
  if (tails.length !== 1)
    throw new CommandError(
      `${patch.id}.patch: its lines occur ${tails.length} times in ${path}; write them as they are there now`,
    )
  const line = head.split('\n').length + diff.findIndex((each) => /^[-+]/.test(each))
  return { path, line, diff, text: `${head}${linesWithout('-')}${tails[0]}` }
}
