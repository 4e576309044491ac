// The name by which this program was called: `quorate`, or `kv` for short. Help, hints and errors use this name.

import { basename } from 'node:path'

export const PROGRAM = basename(process.argv[1] ?? '') === 'kv' ? 'kv' : 'quorate'

/** The words that follow the name of the program in our texts. */
export const COMMANDS = [
  ...['put', 'get', 'del', 'ls', 'import', 'export', 'status', 'member', 'leader', 'settings'],
  ...['cluster', 'node', 'completion', 'help'],
]
const CALL = new RegExp(`(?<![\\w./-])(?:kv|quorate)(?= (?:${COMMANDS.join('|')}|COMMAND|itself)\\b)`, 'g')

/** What the user has typed, and where: messages repeat it as it is. */
const OWN = [...process.argv.slice(2), workingDirectory()]

/** Texts are written with either name. `own`: words of the user that the text may hold. They are not changed. */
export function asCalled(text: string, program = PROGRAM, own: readonly string[] = OWN): string {
  return text.replace(CALL, (name, at: number) => (isWithin(own, text, at) ? name : program))
}

/**
 * Messages may quote these words, escape some of their characters, and show paths from the root. So the pieces in
 * between are looked for.
 */
function isWithin(words: readonly string[], text: string, at: number): boolean {
  const pieces = words
    .flatMap((word) => word.split(/[\p{Cc}\\/'"]/u))
    .filter((piece) => piece.search(CALL) >= 0)
  return pieces.some((piece) => {
    const from = text.lastIndexOf(piece, at)
    return from >= 0 && at < from + piece.length
  })
}

function workingDirectory(): string {
  try {
    return process.cwd()
  } catch {
    return ''
  }
}
