// Keys, values and ranges as the language of transactions writes them: no word has a tab or a line end.

import { bytesFromJson, bytesToJson } from '../format-json.ts'
import type { BytesJson, PlaceJson } from './json-types.ts'
import { BASE64, FILE, RANGE_WORDS } from './operands.ts'
import { isPlain } from './words.ts'

export function formatPlace(place: PlaceJson): string {
  if ('key' in place) return formatBytes(place.key)
  if ('prefix' in place) return `prefix ${formatBytes(place.prefix)}`
  if (!('start' in place)) return `before ${formatBytes(place.end)}`
  if (place.end === undefined) return `from ${formatBytes(place.start)}`
  return `range ${formatBytes(place.start)} ${formatBytes(place.end)}`
}

/** Bytes that are not UTF-8 are written with \xNN or in base64, whichever is shorter. */
export function formatBytes(json: BytesJson | Uint8Array): string {
  if (json instanceof Uint8Array) return formatBytes(bytesToJson(json))
  if (typeof json === 'string') return isBare(json) ? json : `"${escapedText(json)}"`
  const bytes = bytesFromJson(json)
  const base64 = BASE64 + Buffer.from(bytes).toString('base64')
  const string = `"${escapedBytes(bytes)}"`
  return string.length <= base64.length ? string : base64
}

const SPECIAL = new Set<string>(RANGE_WORDS)

/** Whether the word means itself in all places, and shows all that it holds. */
const isBare = (text: string): boolean =>
  isPlain(text) &&
  !SPECIAL.has(text) &&
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
  text.replace(
    HIDDEN,
    (char) => SHORT[char] ?? Array.from({ length: char.length }, (_, at) => unit(char, at)).join(''),
  )

const unit = (text: string, at: number): string => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`

const escapedBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte)
    if (byte < 0x20 || byte > 0x7e) return SHORT[char] ?? `\\x${byte.toString(16).padStart(2, '0')}`
    return SHORT[char] ?? char
  }).join('')
