import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { PROGRAM } from '../local/program-name.ts'

/** Puts examples at the beginning of the help. They are written with `kv`, and shown with the name of this program. */
export function withExamples<C extends CommandUnknownOpts>(command: C, lines: readonly string[]): C {
  const shown = lines.map((line) => `  ${line.replaceAll(/\bkv\b/g, PROGRAM)}\n`)
  command.addHelpText('before', `Examples:\n${shown.join('')}`)
  return command
}
