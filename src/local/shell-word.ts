// Commands in our messages are copied into a shell.

const CONTROL = /\p{Cc}/gu

/**
 * `text` as one word of a POSIX shell. Control characters, which a terminal would obey, are written as bash reads them:
 * `$'\u001b'`.
 */
export function shellWord(text: string): string {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text
  if (text.search(CONTROL) < 0) return `'${text.replaceAll("'", "'\\''")}'`
  const escaped = text
    .replace(/[\\']/g, '\\$&')
    .replace(CONTROL, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
  return `$'${escaped}'`
}
