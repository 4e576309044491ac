import type { CommandUnknownOpts } from '@commander-js/extra-typings'

/** Help begins with examples. */
export function withExamples<C extends CommandUnknownOpts>(command: C, lines: readonly string[]): C {
  command.addHelpText('before', `Examples:\n${lines.map((line) => `  ${line}\n`).join('')}`)
  return command
}
