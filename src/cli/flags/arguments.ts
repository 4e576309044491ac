// Arguments that several commands share: a key, a name, and a command behind `--`.

import { shellWord } from '../../bytes/shell-word.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { EXIT } from '../exit-codes.ts'

export function keyArgument(key: string): string {
  if (key === '') throw new Failure(EXIT.usage, 'the key is empty')
  return key
}

/** The words before and after `--`, which commander does not tell apart. `words` are the last ones of `argv`. */
export function splitAtDashes(words: readonly string[], argv: readonly string[]) {
  const dashes = argv.indexOf('--')
  const before = dashes < 0 ? words.length : Math.max(0, words.length - (argv.length - dashes - 1))
  return { words: words.slice(0, before), command: words.slice(before) }
}

/** The first of at most `max` words before `--`. */
export function nameBeforeDashes(command: string, words: readonly string[], max: number): string {
  const [name = '', ...more] = words
  if (words.length === 0)
    throw new Failure(EXIT.usage, "missing required argument 'name'", [`See: ${PROGRAM} help ${command}`])
  if (words.length > max)
    throw new Failure(EXIT.usage, `put the command after --, as in: -- ${more.slice(max - 1).join(' ')}`)
  return name
}

/** The command that shows a key. A key may begin with `-`, like a flag. */
export const getCommand = (key: string): string =>
  `${PROGRAM} get ${key.startsWith('-') ? '-- ' : ''}${shellWord(key)}`
