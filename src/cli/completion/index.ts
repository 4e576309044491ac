// Completion in shells. `kv completion SHELL` prints a script for the shell (scripts.ts). At each Tab the script runs
// the hidden command `kv complete`, which prints what can stand at the cursor (candidates.ts): commands, flags, and
// values (values.ts: keys, node names, settings, topics). The scripts pass the typed line as an argument, so no shell
// evaluates it.
//
// `kv complete words -- WORD… CURRENT` is for shells that split the line into words themselves (zsh, fish). `kv
// complete bash -- LINE BREAKS` is for bash, which does not tell its functions the words: bash-line.ts splits the line.
//
// A line of the answer is `=CANDIDATE`, for zsh and fish with a tab and a description, or a directive: `:files` and
// `:directories` (the shell completes paths itself), `:nospace` (no candidate ends its word).

import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { writeLine } from '../terminal/output.ts'
import { readBashLine } from './bash-line.ts'
import { candidatesFor } from './candidates.ts'
import type { Candidate, Completion } from './values.ts'

export async function complete(
  program: CommandUnknownOpts,
  flags: GlobalFlags,
  form: string,
  words: readonly string[],
): Promise<void> {
  try {
    for (const line of await linesFor(program, flags, form, words)) await writeLine(line)
  } catch {
    // The cluster does not answer, or the line has a mistake. There are no candidates, and errors must not appear at a
    // prompt.
  }
}

async function linesFor(
  program: CommandUnknownOpts,
  flags: GlobalFlags,
  form: string,
  args: readonly string[],
): Promise<string[]> {
  if (form === 'bash') {
    const [line = '', breaks = ''] = args
    const typed = readBashLine(line, breaks)
    const completion = await candidatesFor(program, flags, typed.words.slice(1), typed.current)
    return completionLines(completion, ({ value }) => typed.quoted(value))
  }
  const completion = await candidatesFor(program, flags, args.slice(0, -1), args.at(-1) ?? '')
  return completionLines(completion, ({ value, description }) =>
    description === undefined ? value : `${value}\t${description}`,
  )
}

function completionLines(
  { candidates, paths }: Completion,
  formatCandidate: (candidate: Candidate) => string,
): string[] {
  const lines = candidates.map((candidate) => `=${formatCandidate(candidate)}`)
  if (candidates.length > 0 && candidates.every(({ isPartial }) => isPartial)) lines.unshift(':nospace')
  if (paths !== undefined) lines.unshift(`:${paths}`)
  return lines
}
