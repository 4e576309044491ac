// Tokens of the language of transactions. Spaces and tabs separate them. A bracket is a token of its own, and so is an
// operator after `)`. A `#` at the beginning of a token begins a comment.

import { failAt, oneOf, quoted } from './syntax-error.ts'

/** `text`: for messages, and the content of a word or sign. */
export type TxnToken = { readonly at: number; readonly end: number; readonly text: string } & (
  | { readonly kind: 'word' }
  | { readonly kind: 'string'; readonly bytes: Buffer }
  /** `@"…"`; the text is the path. */
  | { readonly kind: 'file' }
  /** A bracket or an operator. */
  | { readonly kind: 'sign' }
  | { readonly kind: 'line end' | 'text end' }
)

const BLANK = /[ \t]*/y
const LINE_END = /\r?\n/y
const COMMENT = /#[^\n]*(?:\n|$)/y
const BRACKET = /[()[\]{}]/y
const BRACKETS = /[()[\]{}]/
const OPERATOR = /!=|[<>=]=|<>|[=<>]/y
const WORD = /[^\s\p{Cc}()[\]{}"'“”‘’]+/uy
const STRING = /"((?:[^"\\\p{Cc}]|\\[^\p{Cc}])*)("?)/uy
const SEPARATOR = /[\s()[\]{}]|$/y

export class Tokenizer {
  readonly #text: string
  #last: TxnToken | undefined
  #next: TxnToken | undefined

  constructor(text: string) {
    this.#text = text
  }

  peek(): TxnToken {
    this.#next ??= this.#read()
    return this.#next
  }

  take(): TxnToken {
    const token = this.peek()
    this.#last = token
    this.#next = undefined
    return token
  }

  /** Reports a token that does not belong here. */
  unexpected(token: TxnToken, expected: string, hint?: string): never {
    return failAt(
      this.#text,
      token.at,
      `expected ${expected}, found ${shownToken(token)}`,
      hint ?? hintOn(token),
    )
  }

  fail(token: TxnToken, message: string, hint?: string): never {
    return failAt(this.#text, token.at, message, hint)
  }

  #read(): TxnToken {
    const text = this.#text
    const from = this.#last?.end ?? 0
    const at = from + matchAt(BLANK, text, from).length
    if (at === text.length) return { kind: 'text end', at, end: at, text: 'the end of the text' }
    const lineEnd = matchAt(LINE_END, text, at)
    if (lineEnd !== '') return { kind: 'line end', at, end: at + lineEnd.length, text: 'the end of the line' }
    const comment = matchAt(COMMENT, text, at)
    if (comment !== '') return { kind: 'line end', at, end: at + comment.length, text: 'a comment' }
    const isAfterBracket = this.#last?.kind === 'sign' && this.#last.text === ')'
    const sign = matchAt(BRACKET, text, at) || (isAfterBracket ? matchAt(OPERATOR, text, at) : '')
    if (sign !== '') return { kind: 'sign', at, end: at + sign.length, text: sign }
    return this.#separated(stringAt(text, at) ?? this.#word(at))
  }

  #word(at: number): TxnToken {
    const word = matchAt(WORD, this.#text, at)
    return { kind: 'word', at, end: at + word.length, text: word }
  }

  #separated(token: TxnToken): TxnToken {
    const { at, end } = token
    SEPARATOR.lastIndex = end
    if (at < end && SEPARATOR.test(this.#text)) return token
    const expected = at === end ? 'a word or a string in double quotes' : 'a space'
    return failAt(
      this.#text,
      end,
      `expected ${expected}, found ${characterAt(this.#text, end)}`,
      'quotes and control characters are written in a string in double quotes, such as "a\\"b\\u0007"',
    )
  }
}

function matchAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? ''
}

function characterAt(text: string, at: number): string {
  const char = String.fromCodePoint(text.codePointAt(at) ?? 0x0a)
  if (/[\r\n]/.test(char)) return 'the end of the line'
  const code = char.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')
  return /[\s\p{Cc}]/u.test(char) ? `the character U+${code}` : quoted(char)
}

/** A string, or a file whose name is one. */
function stringAt(text: string, at: number): TxnToken | undefined {
  const isFile = text.startsWith('@"', at)
  STRING.lastIndex = isFile ? at + 1 : at
  const [written, body, close] = STRING.exec(text) ?? []
  if (written === undefined || body === undefined) return undefined
  const from = STRING.lastIndex - written.length
  const end = from + written.length
  if (close === '') {
    const hint = 'a line end in a string is written \\n, and any other control character \\u with four digits'
    return failAt(text, end, `expected ${quoted('"')}, found ${characterAt(text, end)}`, hint)
  }
  const bytes = unescaped(text, body, from + 1)
  return isFile
    ? { kind: 'file', at, end, text: bytes.toString() }
    : { kind: 'string', at, end, text: bytes.toString(), bytes }
}

/** Text without escapes, an escaped byte, escaped units of UTF-16, another escape, and a wrong one. */
const PIECES = /[^\\]+|\\x[0-9a-fA-F]{2}|(?:\\u[0-9a-fA-F]{4})+|\\["\\/bfnrt]|\\./gu
const ESCAPES = oneOf(['\\"', '\\\\', '\\/', '\\b', '\\f', '\\n', '\\r', '\\t', '\\uNNNN', '\\xNN'])

/** The bytes of a string. `from`: the index of its body in the text. */
function unescaped(text: string, body: string, from: number): Buffer {
  const pieces = Array.from(body.matchAll(PIECES), ({ 0: piece, index }): Buffer => {
    if (!piece.startsWith('\\')) return Buffer.from(piece)
    if (/^\\x./.test(piece) && piece.length === 4) return Buffer.from(piece.slice(2), 'hex')
    if (!/^\\(?:["\\/bfnrt]$|u.)/.test(piece))
      return failAt(text, from + index, `expected an escape (${ESCAPES}), found ${quoted(piece)}`)
    const unicode: string = JSON.parse(`"${piece}"`)
    if (unicode.isWellFormed()) return Buffer.from(unicode)
    const expected = 'a surrogate pair, such as \\ud83d\\ude00'
    return failAt(text, from + index, `expected ${expected}, found half of one, ${quoted(piece)}`)
  })
  return Buffer.concat(pieces)
}

function hintOn(token: TxnToken): string | undefined {
  if (token.kind === 'sign' && BRACKETS.test(token.text))
    return 'a word with brackets is written in double quotes'
  return token.text === 'a comment' ? 'a word that begins with # is written in double quotes' : undefined
}

function shownToken({ kind, text }: TxnToken): string {
  if (kind === 'word' || kind === 'sign') return quoted(text)
  if (kind === 'file') return `the file ${quoted(text)}`
  if (kind !== 'string') return text
  return text === '' ? 'the empty string' : `the string ${quoted(text)}`
}

const WHOLE_WORD = new RegExp(`^${WORD.source}$`, 'u')

/** Whether the tokenizer reads the text as one word. */
export const isWord = (text: string): boolean => WHOLE_WORD.test(text)
