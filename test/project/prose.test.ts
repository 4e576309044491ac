// Prose in Markdown and in comments: it wraps at 120 columns, and keeps the rules of CONTRIBUTING.md that a machine can
// check. Tables, code and links on a line of their own are exempt.

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const COLUMNS = 120
const SENTENCE_WORDS_MAX = 30
/** Openings without a head noun: the reader would have to find it in the code below. */
const HEADLESS = /^(Of|Who|What|Those|So long)\b/
/** Metaphors of speech and life, where the field has a literal word: notified, continues, reaches, in flight. */
const METAPHOR = /\b(told|goes on|go on|comes to|come to|under way|takes its turn|take their turns)\b/i

/** Speech as a metaphor for messages: a node requests, receives, reports. */
const SPEECH = /\b(told|asked|heard|believed|goes on|go on|comes to|under way)\b/i
/** Fields of recorded histories, schedules and results, whose formats are fixed. */
const RECORDED_FIELDS = /\b(told|asked)(?=\??:|'|,? \})|\.(told|asked)\b/g
const FORMATS = new Set(['history', 'json-shapes'].map((name) => `jepsen-lite/workload/${name}.ts`))

const root = join(import.meta.dirname, '../..')

const isOurs = (path: string): boolean =>
  !/(^|\/)(node_modules|dist|coverage|reports|\.[^/]+)(\/|$)/.test(path)
const filesOf = (pattern: string): string[] => globSync(pattern, { cwd: root }).filter(isOurs)
const MARKDOWN = filesOf('**/*.md')
const CODE = filesOf('**/*.{ts,tsx,js,mjs}')

interface Paragraph {
  readonly path: string
  /** Number of its first line, from 1. */
  readonly line: number
  readonly text: string
}

interface Line {
  readonly number: number
  /** The line without its comment or list marker; undefined: no prose. */
  readonly text: string | undefined
  readonly startsParagraph: boolean
}

const linesOf = (path: string): string[] => readFileSync(join(root, path), 'utf8').split('\n')

function markdownLines(path: string): Line[] {
  let isCode = false
  return linesOf(path).map((line, at) => {
    const isFence = /^\s*(```|~~~)/.test(line)
    if (isFence) isCode = !isCode
    const isProse = !isFence && !isCode && !/^( {4}|\s*(\||#|\[[^\]]+\]:|$))/.test(line)
    const item = /^\s*([-*]|\d+\.) /.exec(line)
    const text = isProse ? line.slice(item?.[0].length ?? 0).trim() : undefined
    return { number: at + 1, text, startsParagraph: item !== null }
  })
}

function commentLines(path: string): Line[] {
  return linesOf(path).map((line, at) => {
    const text = /^\s*(?:\/\/|\/\*\*?|\*)(?!\/)\s?(.*?)(?:\*\/)?\s*$/.exec(line)?.[1]
    // Columns of a list or a diagram are set with spaces.
    const isProse =
      text !== undefined && text.trim() !== '' && !/@type|@ts-|biome-ignore|\S {2,}\S/.test(line)
    return { number: at + 1, text: isProse ? text.trim() : undefined, startsParagraph: /^\s*\/\*/.test(line) }
  })
}

function paragraphs(path: string): Paragraph[] {
  const found: { path: string; line: number; text: string }[] = []
  let isOpen = false
  for (const { number, text, startsParagraph } of path.endsWith('.md')
    ? markdownLines(path)
    : commentLines(path)) {
    const last = found.at(-1)
    if (text === undefined) isOpen = false
    else if (isOpen && !startsParagraph && last !== undefined) last.text += ` ${text}`
    else {
      found.push({ path, line: number, text })
      isOpen = true
    }
  }
  return found
}

const withoutCode = (text: string): string => text.replace(/`[^`]*`/g, 'x')

function* offences({ path, text }: Paragraph): Generator<string> {
  if (!path.endsWith('.md') && HEADLESS.test(text)) yield 'begins without a noun'
  const metaphor = METAPHOR.exec(withoutCode(text))
  if (metaphor !== null) yield `says "${metaphor[0]}"`
  for (const sentence of withoutCode(text).split(/(?<=[.!?:;])\s+/)) {
    const words = sentence.split(/\s+/).filter((word) => /\w/.test(word)).length
    if (words > SENTENCE_WORDS_MAX) yield `a sentence of ${words} words`
  }
}

const offencesIn = (path: string): string[] =>
  paragraphs(path).flatMap((paragraph) =>
    [...offences(paragraph)].map((offence) => `${path}:${paragraph.line}: ${offence}`),
  )

/** Beyond the last column, and made of words that could stand on the next line. */
const isTooLong = (line: string): boolean => line.length > COLUMNS && line.lastIndexOf(' ') > COLUMNS / 2

const tooLong = (path: string): string[] => {
  const lines = linesOf(path)
  return (path.endsWith('.md') ? markdownLines(path) : commentLines(path))
    .filter(({ number, text }) => text !== undefined && isTooLong(lines[number - 1] ?? ''))
    .map(({ number }) => `${path}:${number}: ${lines[number - 1]?.length} columns`)
}

test('Markdown wraps', () => {
  expect(MARKDOWN.flatMap(tooLong)).toEqual([])
})

test('comments wrap', () => {
  expect(CODE.flatMap(tooLong)).toEqual([])
})

test('comments and Markdown are plain', () => {
  expect([...MARKDOWN, ...CODE].flatMap(offencesIn)).toEqual([])
})

test('names and messages in code are plain', () => {
  const isComment = /^\s*(\/\/|\/?\*)/
  const found = CODE.filter((path) => /^(src|jepsen-lite|bench)\//.test(path) && !FORMATS.has(path)).flatMap(
    (path) =>
      linesOf(path).flatMap((line, at) => {
        const metaphor = isComment.test(line) ? null : SPEECH.exec(line.replace(RECORDED_FIELDS, ''))
        return metaphor === null ? [] : [`${path}:${at + 1}: says "${metaphor[0]}"`]
      }),
  )
  expect(found).toEqual([])
})

test.each([
  ['// Of the keys and values in one entry.', 'begins without a noun'],
  ['// The caller is told of it.', 'says "told"'],
  [`// ${'word '.repeat(31)}.`, 'a sentence of 31 words'],
])('finds what is wrong with %s', (comment, offence) => {
  const text = comment.slice(3)
  expect([...offences({ path: 'x.ts', line: 1, text })]).toEqual([offence])
})

test('nothing cites what its readers do not have', () => {
  const citing = filesOf('**/*.{ts,js,mjs,md,golden}').filter((path) =>
    /\b(design|interfaces)(\s|\/\/|\*)+§/.test(readFileSync(join(root, path), 'utf8')),
  )
  expect(citing).toEqual([])
})
