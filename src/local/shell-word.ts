// Quoting of words in commands that messages show, so that a user can copy them into a shell.

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
