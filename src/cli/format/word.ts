// Keys and values as words, for scripts and for command lines. A word has no tab, no line end and nothing that controls
// a terminal, and different bytes are different words (docs/reference/cli.md#words).

import { isUtf8 } from 'node:buffer'

/** Begins a word whose bytes are in base64. */
const BASE64 = 'base64:'

/** Bytes that are not UTF-8 are written with \xNN or in base64, whichever is shorter. */
export function formatWord(content: string | Uint8Array): string {
  const bytes = Buffer.from(content)
  if (isUtf8(bytes)) {
    const text = bytes.toString()
    return isBare(text) ? text : `"${escapeText(text)}"`
  }
  const base64 = BASE64 + bytes.toString('base64')
  const string = `"${escapeBytes(bytes)}"`
  return string.length <= base64.length ? string : base64
}

/** Text without white space, quotes, brackets and hidden characters. */
const BARE = /^[^\s\p{C}()[\]{}"'“”‘’]+$/u

/** Beginnings with a meaning of their own: `#` of a comment in a shell, `@` of the name of a file. */
const MARKED = /^(?:#|@|base64:)/

/** Words that could be read as the beginning of a range. */
const RANGE_WORDS: ReadonlySet<string> = new Set(['prefix', 'range', 'from', 'before'])

const isBare = (text: string): boolean => BARE.test(text) && !MARKED.test(text) && !RANGE_WORDS.has(text)

/** Characters that control a terminal, or cannot be seen. */
const HIDDEN = /["\\]|(?! )[\p{C}\p{Z}]/gu

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

const escapeText = (text: string): string =>
  text.replace(HIDDEN, (char) => SHORT[char] ?? char.split('').map(escapeUnit).join(''))

const escapeUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

const escapeBytes = (bytes: Buffer): string =>
  bytes
    .toString('latin1')
    .replace(
      /[^ !#-[\]-~]/g,
      (char) => SHORT[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
