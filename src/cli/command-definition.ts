// The parts that every command has: its surroundings in the program, and examples in its help.

import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { PROGRAM } from '../local/program-name.ts'
import type { GlobalFlags } from './flags/global-flags.ts'

/** Puts examples at the beginning of the help. They are written with `kv`, and shown with the name of this program. */
export function withExamples<C extends CommandUnknownOpts>(command: C, lines: readonly string[]): C {
  const shown = lines.map((line) => `  ${line.replaceAll(/\bkv\b/g, PROGRAM)}\n`)
  command.addHelpText('before', `Examples:\n${shown.join('')}`)
  return command
}

/** The surroundings of a command: the program, the global flags, all arguments. */
export interface ProgramContext {
  readonly program: CommandUnknownOpts
  /** The global flags, once the command line is parsed. */
  readonly flags: () => GlobalFlags
  readonly argv: readonly string[]
}
