// The name by which this program was called: `quorate`, or `kv` for short. Help, hints and errors use this name.

import { basename } from 'node:path'

export const PROGRAM = basename(process.argv[1] ?? '') === 'kv' ? 'kv' : 'quorate'

/** The words that follow the name of the program in our texts. */
export const COMMANDS = [
  ...['put', 'get', 'del', 'ls', 'import', 'export', 'status', 'member', 'leader', 'settings'],
  ...['cluster', 'node', 'completion', 'help'],
]
const CALL = new RegExp(`(?<![\\w./-])(?:kv|quorate)(?= (?:${COMMANDS.join('|')}|COMMAND|itself)\\b)`, 'g')

/** Texts are written with either name. */
export const asCalled = (text: string, program = PROGRAM): string => text.replace(CALL, program)
