// Keys, values and ranges as the language of transactions writes them: none of them has a tab or a line end.

import type { Place } from '../../client/index.ts'
import { BASE64, type Bytes, FILE, RANGE_WORDS, textOrBytes } from './bytes.ts'
import { isWord } from './tokenizer.ts'

export function formatPlace(place: Place): string {
  if ('key' in place) return formatBytes(place.key)
  if ('prefix' in place) return `prefix ${formatBytes(place.prefix)}`
  if (!('start' in place)) return `before ${formatBytes(place.end)}`
  if (place.end === undefined) return `from ${formatBytes(place.start)}`
  return `range ${formatBytes(place.start)} ${formatBytes(place.end)}`
}

/** Bytes that are not UTF-8 are written with \xNN or in base64, whichever is shorter. */
export function formatBytes(content: Bytes): string {
  const bytes = Buffer.from(content)
  const text = textOrBytes(bytes)
  if (typeof text === 'string') return isBare(text) ? text : `"${escapedText(text)}"`
  const base64 = BASE64 + bytes.toString('base64')
  const string = `"${escapedBytes(bytes)}"`
  return string.length <= base64.length ? string : base64
}

/** Whether the word means itself everywhere, and has no hidden characters. */
const isBare = (text: string): boolean =>
  isWord(text) &&
  !RANGE_WORDS.some((word) => word === text) &&
  !text.startsWith('#') &&
  !text.startsWith(FILE) &&
  !text.startsWith(BASE64) &&
  !/\p{C}/u.test(text)

/** Characters that control a terminal, or cannot be seen. */
const HIDDEN = /["\\]|(?! )[\p{C}\p{Z}]/gu

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

const escapedText = (text: string): string =>
  text.replace(HIDDEN, (char) => SHORT[char] ?? char.split('').map(escapedUnit).join(''))

const escapedUnit = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

const escapedBytes = (bytes: Buffer): string =>
  bytes
    .toString('latin1')
    .replace(
      /[^ !#-[\]-~]/g,
      (char) => SHORT[char] ?? `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
    )
