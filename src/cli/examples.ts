import type { CommandUnknownOpts } from '@commander-js/extra-typings'

/** Puts examples at the beginning of the help. */
export function withExamples<C extends CommandUnknownOpts>(command: C, lines: readonly string[]): C {
  command.addHelpText('before', `Examples:\n${lines.map((line) => `  ${line}\n`).join('')}`)
  return command
}
