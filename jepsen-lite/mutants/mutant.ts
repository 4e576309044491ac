// The catalogue of planted bugs. Each is a patch of the sources in patches/, with a head that describes it:
//
//   Bug: a leader counts itself before its own disk has finished
//   Effect: an entry is committed on one disk less than a majority
//   Rules: RAFT-11
//   Command: jepsen-lite sim --seed 1
//
// The command must find the bug. It is a search of the simulator, or `vitest run` with files of tests.

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { CommandError } from '../exit-codes.ts'

export const ROOT = join(import.meta.dirname, '../..')
const PATCHES = join(import.meta.dirname, 'patches')
const HEAD = /^Bug: (.+)\nEffect: (.+)\nRules: (.+)\nCommand: (.+)\n(diff [\s\S]+)$/
/** Few lines of context, so that a change of the code nearby does not break a patch. */
const CONTEXT_LINES = 2

export interface Patch {
  /** Name of the patch file, without its extension. */
  readonly id: string
  readonly bug: string
  readonly diff: string
}

export interface Mutant extends Patch {
  readonly effect: string
  /** Rules of the project that the bug breaks. */
  readonly rules: readonly string[]
  readonly command: MutantCommand
}

export type MutantCommand =
  | { readonly kind: 'sim'; readonly seed: number }
  | { readonly kind: 'vitest'; readonly files: readonly string[] }

export function readMutants(): readonly Mutant[] {
  const names = readdirSync(PATCHES).filter((name) => name.endsWith('.patch'))
  return names.sort().map((name) => {
    const id = basename(name, '.patch')
    return parseMutant(id, readFileSync(join(PATCHES, name), 'utf8'))
  })
}

export function parseMutant(id: string, text: string): Mutant {
  const [, bug, effect, rules, command, diff] = HEAD.exec(text) ?? []
  if (!bug || !effect || !rules || !command || !diff)
    throw new CommandError(`${id}.patch: expected the lines Bug, Effect, Rules and Command, and then a diff`)
  return { id, bug, effect, rules: rules.split(' '), command: parseCommand(id, command), diff }
}

function parseCommand(id: string, text: string): MutantCommand {
  const seed = /^jepsen-lite sim --seed (\d+)$/.exec(text)?.[1]
  if (seed !== undefined) return { kind: 'sim', seed: Number(seed) }
  const files = /^vitest run (test\/.+)$/.exec(text)?.[1]
  if (files !== undefined) return { kind: 'vitest', files: files.split(' ') }
  throw new CommandError(
    `${id}.patch: expected "jepsen-lite sim --seed N" or "vitest run FILE…", found "${text}"`,
  )
}

/** Files that a patch changes. */
export const changedFiles = ({ diff }: Patch): string[] =>
  [...diff.matchAll(/^\+\+\+ b\/(.+)$/gm)].map(([, path = '']) => path)

/** Changes the files in `dir`. Throws `Failure` if the code has moved away from the patch. */
export function applyPatch(dir: string, { id, bug, diff }: Patch): void {
  try {
    execFileSync('git', ['apply', '-C1', '--recount', '--ignore-whitespace', '-'], {
      cwd: dir,
      input: diff,
      stdio: ['pipe', 'ignore', 'pipe'],
      // A repository above the copy would change the meaning of the paths.
      env: { ...process.env, GIT_CEILING_DIRECTORIES: join(dir, '..') },
    })
  } catch (error) {
    const { stderr = error } = error as { readonly stderr?: unknown }
    throw new CommandError(`${id} does not apply: ${String(stderr).trim()}
Make it again, in a work tree without other changes of src/:
  1. change src/ so that ${bug}
  2. jepsen-lite mutants --record ${id}    stores that change as the patch
  3. git checkout src
  4. jepsen-lite mutants --only ${id}    must catch it
The change so far:
${diff}`)
  }
}

/** Replaces the diff of a patch by the uncommitted changes of src/. */
export function recordPatch({ id }: Mutant): void {
  const file = join(PATCHES, `${id}.patch`)
  const text = readFileSync(file, 'utf8')
  const args = ['diff', '--no-color', '--no-ext-diff', `-U${CONTEXT_LINES}`, '--', 'src']
  const diff = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' })
  if (diff === '') throw new CommandError('src/ has no uncommitted change to record')
  writeFileSync(file, text.slice(0, text.indexOf('\ndiff ') + 1) + diff.replace(/^index .*\n/gm, ''))
}
