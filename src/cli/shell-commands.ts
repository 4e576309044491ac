// Commands that messages suggest, to be copied into a shell.

import { PROGRAM } from '../local/program-name.ts'
import { shellWord } from '../local/shell-word.ts'

/** The command that shows a key. A key may begin with `-`, like a flag. */
export const getCommand = (key: string): string =>
  `${PROGRAM} get ${key.startsWith('-') ? '-- ' : ''}${shellWord(key)}`
