// Words of the commands that messages of the program and the console suggest. A key or a name in them may be anybody's.

const CONTROL = /\p{Cc}/gu

/**
 * The text as one word of a POSIX shell. Control characters, which a terminal would obey, also when the word is pasted,
 * are escaped in the notation of bash: `$'\u001b'`.
 */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text
  if (text.search(CONTROL) < 0) return `'${text.replaceAll("'", "'\\''")}'`
  const escaped = text
    .replace(/[\\']/g, '\\$&')
    .replace(CONTROL, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `$'${escaped}'`
}
