// Strings in double quotes, with the escapes of JSON.

import { oneOf, quoted, type Source } from './syntax-error.ts'

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

export interface Dialect {
  /** What stands for itself. */
  readonly plain: RegExp
  /** \xNN is one byte. */
  readonly allowsBytes: boolean
}

export const IN_JSON: Dialect = { plain: /(?:[^"\\\p{Cc}]|[\u007f-\u009f])*/uy, allowsBytes: false }
/** In the language of transactions. */
export const TEXT: Dialect = { plain: /[^"\\\p{Cc}]*/uy, allowsBytes: false }
export const BYTES: Dialect = { plain: TEXT.plain, allowsBytes: true }

export interface ScannedString {
  readonly bytes: Buffer
  /** Behind the closing quote. */
  readonly end: number
}

/** `from`: the place of the opening quote. */
export function scanString(source: Source, from: number, dialect: Dialect): ScannedString {
  const { text } = source
  const parts: Buffer[] = []
  let at = from + 1
  for (;;) {
    const plain = plainFrom(source, at, dialect)
    parts.push(Buffer.from(plain))
    at += plain.length
    if (text[at] === '"') return { bytes: Buffer.concat(parts), end: at + 1 }
    if (text[at] !== '\\') unfinished(source, from, at)
    const { bytes, end } = escapeAt(source, at, dialect)
    parts.push(bytes)
    at = end
  }
}

function plainFrom(source: Source, at: number, dialect: Dialect): string {
  dialect.plain.lastIndex = at
  const [plain = ''] = dialect.plain.exec(source.text) ?? []
  if (plain.isWellFormed()) return plain
  return source.fail(at, 'expected text, found half of a surrogate pair', 'It has no UTF-8.')
}

function unfinished(source: Source, from: number, at: number): never {
  const char = source.text[at]
  if (char === undefined || char === '\n' || char === '\r') {
    const opened = source.text.slice(from, at)
    return source.fail(
      at,
      `expected ${quoted('"')}, found the end of the line: the string ${quoted(opened)} is not closed`,
      'A line end in a string is written \\n.',
    )
  }
  const code = char.charCodeAt(0).toString(16).padStart(4, '0')
  return source.fail(
    at,
    `expected text, found the control character U+${code.toUpperCase()}`,
    `In a string it is written ${char === '\t' ? '\\t' : `\\u${code}`}.`,
  )
}

function escapeAt(source: Source, at: number, { allowsBytes }: Dialect): ScannedString {
  const letter = source.text[at + 1] ?? ''
  const char = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined
  if (char !== undefined) return { bytes: Buffer.from(char), end: at + 2 }
  if (letter === 'u') return unicodeAt(source, at)
  if (letter === 'x' && allowsBytes) return { bytes: Buffer.from([hexAt(source, at, 2)]), end: at + 4 }
  const known = [...Object.keys(ESCAPES), 'u', ...(allowsBytes ? ['x'] : [])]
  const found = letter === '' ? 'the end of the line' : quoted(`\\${letter}`)
  return source.fail(
    at,
    `expected an escape (\\ with ${oneOf(known)}), found ${found}`,
    'A backslash is written \\\\.',
  )
}

/** \uNNNN, or two of them for a character that UTF-16 writes as a surrogate pair. */
function unicodeAt(source: Source, at: number): ScannedString {
  const unit = hexAt(source, at, 4)
  if (!isSurrogate(unit)) return { bytes: Buffer.from(String.fromCharCode(unit)), end: at + 6 }
  const isPair = source.text.startsWith('\\u', at + 6)
  const pair = isPair ? String.fromCharCode(unit, hexAt(source, at + 6, 4)) : ''
  if (isPair && pair.isWellFormed()) return { bytes: Buffer.from(pair), end: at + 12 }
  return source.fail(
    at,
    `expected a surrogate pair, such as \\ud83d\\ude00, found half of one, ${quoted(source.text.slice(at, at + 6))}`,
  )
}

const isSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdfff

/** The number behind the letter of the escape. */
function hexAt(source: Source, at: number, digits: number): number {
  const written = source.text.slice(at + 2, at + 2 + digits)
  if (new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(written)) return Number.parseInt(written, 16)
  return source.fail(
    at,
    `expected ${digits} hexadecimal digits after ${quoted(source.text.slice(at, at + 2))}, found ${found(written)}`,
  )
}

const found = (written: string): string => (written === '' ? 'the end of the line' : quoted(written))
