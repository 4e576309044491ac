// Keys, values, ranges, numbers and options: what follows the first word of a line of a transaction.

import { reasonOf } from '../../local/failure.ts'
import { nearestOf } from '../did-you-mean.ts'
import { bytesToJson } from '../format-json.ts'
import { type BytesJson, DURATION, leaseIdOf, type PlaceJson } from './json-types.ts'
import { oneOf, quoted } from './syntax-error.ts'
import { shownWord, type Word, type Words } from './words.ts'

/** The content of a file that a value names with `@`. */
export type ReadFile = (path: string) => Uint8Array

export const BASE64 = 'base64:'
export const FILE = '@'

/** In the place of a key these words begin a range. */
export const RANGE_WORDS = ['prefix', 'range', 'from', 'before'] as const
type RangeWord = (typeof RANGE_WORDS)[number]

const IN_QUOTES = 'A word with brackets is written in double quotes.'
const NO_COMMENT = 'A word that begins with # is a comment unless it is in double quotes.'

/** Reports a word that does not belong here. */
export function unexpected(words: Words, word: Word, expected: string, hint?: string): never {
  return words.source.fail(word.at, `expected ${expected}, found ${shownWord(word)}`, hint ?? hintOn(word))
}

function hintOn(word: Word): string | undefined {
  if (word.kind === 'sign' && /[()[\]{}]/.test(word.text)) return IN_QUOTES
  return word.kind === 'end' && word.isComment ? NO_COMMENT : undefined
}

export const isWord = <T extends string>(
  word: Word,
  texts: readonly T[],
): word is Word & { readonly text: T } => word.kind === 'plain' && texts.some((text) => text === word.text)

export const isSign = (word: Word, text: string): boolean => word.kind === 'sign' && word.text === text

export function takeSign(words: Words, text: string): void {
  const word = words.take()
  if (!isSign(word, text)) unexpected(words, word, quoted(text))
}

export function takeEnd(words: Words, hint?: string): void {
  const word = words.take()
  if (word.kind !== 'end') unexpected(words, word, 'the end of the line', hint)
}

// ---------------------------------------------------------------------------------------------------------------------
// Bytes

function takeBytes(words: Words, expected: string, hint?: string): BytesJson {
  const word = words.take()
  if (word.kind === 'string') return bytesToJson(word.bytes)
  if (word.kind === 'file') return unexpected(words, word, expected, 'Only a value can come from a file.')
  if (word.kind !== 'plain') return unexpected(words, word, expected, hint)
  return word.text.startsWith(BASE64) ? bytesToJson(base64Of(words, word)) : word.text
}

function base64Of(words: Words, { at, text }: Word & { readonly text: string }): Buffer {
  const written = text.slice(BASE64.length)
  const bytes = Buffer.from(written, 'base64')
  // Buffer skips characters that it does not know.
  if (bytes.toString('base64') === written) return bytes
  return words.source.fail(
    at,
    `expected base64 with padding after ${quoted(BASE64)}, found ${written === '' ? 'nothing' : quoted(written)}`,
    'A word that begins with base64: but means itself is written in double quotes.',
  )
}

function takeKey(words: Words): BytesJson {
  const word = words.peek()
  const key = takeBytes(words, 'a key')
  return key === '' ? unexpected(words, word, 'a key', 'A key has at least one byte.') : key
}

export function takeValue(words: Words, readFile: ReadFile): BytesJson {
  const word = words.peek()
  const path = pathIn(word)
  if (path === undefined) return takeBytes(words, 'a value')
  words.take()
  if (path === '') {
    const hint = 'A value that is a single @ is written in double quotes.'
    return words.source.fail(
      word.at,
      `expected the name of a file after ${quoted(FILE)}, found nothing`,
      hint,
    )
  }
  return bytesToJson(contentOf(words, word, path, readFile))
}

function pathIn(word: Word): string | undefined {
  if (word.kind === 'file') return word.path
  return word.kind === 'plain' && word.text.startsWith(FILE) ? word.text.slice(FILE.length) : undefined
}

function contentOf(words: Words, { at }: Word, path: string, readFile: ReadFile): Uint8Array {
  try {
    return readFile(path)
  } catch (error) {
    return words.source.fail(
      at,
      `expected a file that can be read, found ${quoted(path)}: ${reasonOf(error)}`,
      'A value that begins with @ but names no file is written in double quotes.',
    )
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Places

/** One key; a word that would begin a range is refused. */
export function takeSingleKey(words: Words, hint: string): BytesJson {
  const word = words.peek()
  return isWord(word, RANGE_WORDS) ? unexpected(words, words.take(), 'a single key', hint) : takeKey(words)
}

export function takePlace(words: Words): PlaceJson {
  const word = words.peek()
  if (!isWord(word, RANGE_WORDS)) return { key: takeKey(words) }
  words.take()
  return RANGES[word.text](words)
}

const SAME_NAME = 'A key of this name is written in double quotes.'
const FIRST = 'the first key of the range'

const RANGES: Readonly<Record<RangeWord, (words: Words) => PlaceJson>> = {
  prefix: (words) => ({ prefix: takeBytes(words, 'a prefix', SAME_NAME) }),
  range: (words) => ({ start: takeBytes(words, FIRST, SAME_NAME), end: takeRangeEnd(words) }),
  from: (words) => ({ start: takeBytes(words, FIRST, SAME_NAME) }),
  before: (words) => ({ end: takeRangeEnd(words) }),
}

function takeRangeEnd(words: Words): BytesJson {
  const word = words.peek()
  const expected = 'the end of the range (exclusive)'
  const hint = 'A range without an end is written `from KEY`.'
  const end = takeBytes(words, expected, hint)
  return end === '' ? unexpected(words, word, expected, hint) : end
}

// ---------------------------------------------------------------------------------------------------------------------
// Numbers and durations

const textIn = (word: Word): string => (word.kind === 'plain' ? word.text : '')

export function takeWholeNumber(words: Words, min = 0): number {
  const word = words.take()
  const text = textIn(word)
  const number = Number(text)
  if (/^[0-9]+$/.test(text) && Number.isSafeInteger(number) && number >= min) return number
  const expected = `a whole number from ${min} to 2^53 - 1`
  return unexpected(words, word, expected, unquotedHint(word))
}

/** Decimal digits; "0", which is no lease, only where it is allowed. */
export function takeLease(words: Words, mayBeNone: boolean): string {
  const word = words.take()
  const id = leaseIdOf(textIn(word))
  if (id !== undefined && (mayBeNone || id !== '0')) return id
  const expected = `a lease id (decimal digits, below 2^64${mayBeNone ? '; 0: no lease' : ', not 0'})`
  return unexpected(words, word, expected, unquotedHint(word))
}

export function takeDuration(words: Words): string {
  const word = words.take()
  const text = textIn(word)
  if (DURATION.test(text)) return text
  return unexpected(words, word, 'a duration (a number with ms, s, m or h, like 30s)', unquotedHint(word))
}

const unquotedHint = (word: Word): string | undefined =>
  word.kind === 'string' ? 'It is written without quotes.' : undefined

// ---------------------------------------------------------------------------------------------------------------------
// Options

export interface Option<T> {
  readonly take: (words: Words) => T
  /** The option that cannot be given as well. */
  readonly excludes?: string
}

export type Options<T> = Readonly<Record<string, Option<T>>>

/** Options up to the end of the line, in any order, each at most once. Without options the result is `none`. */
export function takeOptions<T extends object>(
  words: Words,
  known: Options<T>,
  none: T,
  spaceHint: string,
): T {
  const given: string[] = []
  let values = none
  for (;;) {
    const { last } = words
    const word = words.take()
    if (word.kind === 'end') return values
    const possible = Object.entries(known).filter(([name, { excludes = name }]) =>
      given.every((other) => other !== name && other !== excludes),
    )
    const [name, option] = possible.find(([candidate]) => isWord(word, [candidate])) ?? []
    if (name === undefined || option === undefined) {
      const expected = oneOf([...possible.map(([candidate]) => quoted(candidate)), 'the end of the line'])
      return unexpected(words, word, expected, optionHint(word, last, given, known, spaceHint))
    }
    values = { ...values, ...option.take(words) }
    given.push(name)
  }
}

function optionHint<T>(
  word: Word,
  last: Word | undefined,
  given: readonly string[],
  known: Options<T>,
  spaceHint: string,
): string | undefined {
  if (word.kind !== 'plain') return undefined
  const { text } = word
  if (given.includes(text)) return `${quoted(text)} is given already.`
  const excluded = Object.hasOwn(known, text) ? known[text]?.excludes : undefined
  if (excluded !== undefined) return `${quoted(excluded)} and ${quoted(text)} exclude each other.`
  if (text.startsWith('--') || (last?.kind === 'plain' && last.text.startsWith('--')))
    return 'Options are words without dashes.'
  const near = nearestOf(text, Object.keys(known))
  const meant = near === undefined ? [] : [`Did you mean ${quoted(near)}?`]
  return [...meant, ...(given.length === 0 ? [spaceHint] : [])].join(' ') || undefined
}
