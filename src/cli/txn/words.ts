// The words of one line of a transaction. They are separated by spaces and tabs. Brackets are words of their own, and
// so is the operator behind `)`. `#` at the beginning of a word begins a comment.

import { BYTES, scanString, TEXT } from './strings.ts'
import { type Line, lineSource, quoted, type Source } from './syntax-error.ts'

interface Place {
  /** In the line. */
  readonly at: number
  readonly end: number
}

export type Word = Place &
  (
    | { readonly kind: 'plain'; readonly text: string }
    | { readonly kind: 'string'; readonly bytes: Buffer }
    /** `@"…"`. */
    | { readonly kind: 'file'; readonly path: string }
    /** A bracket or an operator. */
    | { readonly kind: 'sign'; readonly text: string }
    | { readonly kind: 'end'; readonly isComment: boolean }
  )

/** The end of a word must not touch the next one, unless one of them is a bracket. */
const BLANK = /[ \t]*/y
const BRACKET = /[()[\]{}]/y
const OPERATOR = /!=|==|>=|<=|<>|=|<|>/y
const QUOTES = '"\'“”‘’'
const PLAIN = new RegExp(`[^\\s\\p{Cc}()[\\]{}${QUOTES}]+`, 'uy')
/** `PLAIN`, and nothing else. */
export const isPlain = (text: string): boolean => matched(PLAIN, text, 0) === text && text !== ''

export class Words {
  readonly source: Source
  #last: Word | undefined
  #next: Word | undefined

  constructor(line: Line) {
    this.source = lineSource(line)
  }

  peek(): Word {
    this.#next ??= this.#read()
    return this.#next
  }

  take(): Word {
    const word = this.peek()
    this.#last = word
    this.#next = undefined
    return word
  }

  /** The word that was taken last. */
  get last(): Word | undefined {
    return this.#last
  }

  #read(): Word {
    const from = this.#last?.end ?? 0
    const { text } = this.source
    const at = from + matched(BLANK, text, from).length
    const follows = this.#last?.kind === 'sign' && this.#last.text === ')' ? OPERATOR : undefined
    return wordAt(this.source, at, follows)
  }
}

function wordAt(source: Source, at: number, operator: RegExp | undefined): Word {
  const { text } = source
  if (at === text.length) return { kind: 'end', at, end: at, isComment: false }
  if (text[at] === '#') return { kind: 'end', at, end: at, isComment: true }
  const sign = matched(BRACKET, text, at) || (operator === undefined ? '' : matched(operator, text, at))
  if (sign !== '') return { kind: 'sign', text: sign, at, end: at + sign.length }
  if (text[at] === '"') {
    const { bytes, end } = scanString(source, at, BYTES)
    return { kind: 'string', bytes, at, end: separated(source, end) }
  }
  if (text.startsWith('@"', at)) {
    const { bytes, end } = scanString(source, at + 1, TEXT)
    return { kind: 'file', path: bytes.toString(), at, end: separated(source, end) }
  }
  const plain = matched(PLAIN, text, at)
  if (plain === '') return unexpected(source, at)
  if (!plain.isWellFormed())
    return source.fail(at, 'expected text, found half of a surrogate pair', 'It has no UTF-8.')
  const end = at + plain.length
  if (end < text.length && !isSeparator(text, end)) return unexpected(source, end)
  return { kind: 'plain', text: plain, at, end }
}

const isSeparator = (text: string, at: number): boolean =>
  at === text.length || /[ \t()[\]{}]/.test(text[at] ?? '')

function separated(source: Source, end: number): number {
  if (isSeparator(source.text, end)) return end
  const found = quoted(String.fromCodePoint(source.text.codePointAt(end) ?? 0))
  return source.fail(end, `expected a space after the string, found ${found}`)
}

function unexpected(source: Source, at: number): never {
  const char = source.text[at] ?? ''
  if (QUOTES.includes(char)) {
    return source.fail(
      at,
      `expected a word or a string in double quotes, found ${char}`,
      `Strings are written "…". A word with a quote in it is written in double quotes: "…${char === '"' ? '\\"' : char}…".`,
    )
  }
  const code = char.charCodeAt(0).toString(16).padStart(4, '0')
  return source.fail(
    at,
    `expected a word, found the character U+${code.toUpperCase()}`,
    `In double quotes it is written \\u${code}.`,
  )
}

function matched(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at
  return pattern.exec(text)?.[0] ?? ''
}

/** A word as messages name it. */
export function shownWord(word: Word): string {
  switch (word.kind) {
    case 'plain':
    case 'sign':
      return quoted(word.text)
    case 'string':
      return word.bytes.length === 0 ? 'the empty string' : `the string ${quoted(word.bytes.toString())}`
    case 'file':
      return `the file ${quoted(word.path)}`
    default:
      return word.isComment ? 'a comment' : 'the end of the line'
  }
}
