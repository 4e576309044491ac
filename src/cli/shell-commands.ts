// Commands that messages suggest, to be copied into a shell.

import { PROGRAM } from '../local/program-name.ts'
import { shellWord } from '../local/shell-word.ts'

/** The command that shows a key. A key may begin with `-`, like a flag. */
export const getCommand = (key: string): string =>
  `${PROGRAM} get ${key.startsWith('-') ? '-- ' : ''}${shellWord(key)}`

/** The command that `settings NAME VALUE` means. */
export const howToChange = (name: string, value = 'VALUE'): string =>
  `to change a setting: ${PROGRAM} settings set ${shellWord(name.includes('=') ? name : `${name}=${value}`)}`
