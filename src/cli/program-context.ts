import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import type { GlobalFlags } from './global-flags.ts'

/** The surroundings of a command: the program, the global flags, all arguments. */
export interface ProgramContext {
  readonly program: CommandUnknownOpts
  /** The global flags, once the command line is parsed. */
  readonly flags: () => GlobalFlags
  readonly argv: readonly string[]
}
