// The command in our messages that shows a key.

import { PROGRAM } from '../local/program-name.ts'
import { shellWord } from '../local/shell-word.ts'

/** A key may begin with `-`, like a flag. */
export const getCommand = (key: string): string =>
  `${PROGRAM} get ${key.startsWith('-') ? '-- ' : ''}${shellWord(key)}`
