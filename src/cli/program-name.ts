// The name by which this program was called: `kv`, or `quorate` where `kv` is another program. Help, hints and errors
// use this name.

import { basename } from 'node:path'

export const PROGRAM = basename(process.argv[1] ?? '') === 'quorate' ? 'quorate' : 'kv'

/** The words that follow the name of the program in our texts. */
export const COMMANDS = [
  ...['put', 'get', 'del', 'ls', 'import', 'export', 'status', 'member', 'leader', 'settings'],
  ...['cluster', 'node', 'completion', 'help'],
]
const CALL = new RegExp(`(?<![\\w./-])kv(?= (?:${COMMANDS.join('|')}|COMMAND|itself)\\b)`, 'g')

/** All texts, including those of the server, are written for `kv`. */
export function asCalled(text: string, program = PROGRAM): string {
  return program === 'kv' ? text : text.replace(CALL, program)
}
