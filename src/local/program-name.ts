// The name by which the user called the program: `quorate`, or `kv` for short. Messages name commands with it.

import { basename } from 'node:path'

/** Set for a process that a command starts: the user has not called that process by any name. */
const VARIABLE = 'QUORATE_CALLED_AS'

const called = process.env[VARIABLE] ?? basename(process.argv[1] ?? '')
export const PROGRAM = called === 'kv' ? 'kv' : 'quorate'

/** Environment of such a process. */
export const PROGRAM_ENV = { [VARIABLE]: PROGRAM }

const CONTROL = /\p{Cc}/gu

/**
 * Quotes `text` as one word of a POSIX shell. Control characters, which a terminal would interpret, are escaped in the
 * notation of bash: `$'\u001b'`.
 */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text
  if (text.search(CONTROL) < 0) return `'${text.replaceAll("'", "'\\''")}'`
  const escaped = text
    .replace(/[\\']/g, '\\$&')
    .replace(CONTROL, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `$'${escaped}'`
}
