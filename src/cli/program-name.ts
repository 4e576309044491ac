// The name by which this program was called: `quorate`, or `kv` for short. Help, hints and errors use this name.

import { basename } from 'node:path'

export const PROGRAM = basename(process.argv[1] ?? '') === 'kv' ? 'kv' : 'quorate'

/** The words that follow the name of the program in our texts. */
export const COMMANDS = [
  ...['put', 'get', 'del', 'ls', 'import', 'export', 'status', 'member', 'leader', 'settings'],
  ...['cluster', 'node', 'completion', 'help'],
]
const CALL = new RegExp(`(?<![\\w./-])(?:kv|quorate)(?= (?:${COMMANDS.join('|')}|COMMAND|itself)\\b)`, 'g')

/** What the user has typed, and where, and the variables: messages repeat it as it is. */
const OWN = [...process.argv.slice(2), workingDirectory(), ...variables()]

/** Texts are written with either name. `also`: more words of the user that the text may hold. They are not changed. */
export function asCalled(text: string, program = PROGRAM, also: readonly string[] = []): string {
  if (text.search(CALL) < 0) return text
  const pieces = [...OWN, ...also].flatMap(piecesOf)
  return text.replace(CALL, (name, at: number) => (isWithin(pieces, text, at) ? name : program))
}

/**
 * Messages may quote these words, escape some of their characters, show paths from the root, or name one part of a list
 * or the value of `--flag=value`. So the pieces in between are looked for.
 */
const piecesOf = (word: string): string[] =>
  word.split(/[\p{Cc}\\/'"=,]/u).filter((piece) => piece.search(CALL) >= 0)

const isWithin = (pieces: readonly string[], text: string, at: number): boolean =>
  pieces.some((piece) => {
    const from = text.lastIndexOf(piece, at)
    return from >= 0 && at < from + piece.length
  })

function variables(): string[] {
  return Object.entries(process.env).flatMap(([name, value = '']) => (name.startsWith('KV_') ? value : []))
}

function workingDirectory(): string {
  try {
    return process.cwd()
  } catch {
    return ''
  }
}
