// What is wrong with the text of a transaction, and where.

import { widthOf } from '../column-widths.ts'
import { escapeText } from '../format-text.ts'

/** A line of a text, without its end. */
export interface Line {
  readonly text: string
  /** From 1 on. */
  readonly number: number
}

export class TxnSyntaxError extends Error {
  override readonly name = 'TxnSyntaxError'
  /** From 1 on, as the column. */
  readonly line: number
  /** Of a character; a character outside the Basic Multilingual Plane is one. */
  readonly column: number
  /** A sentence on how to correct it. */
  readonly hint: string | undefined
  /** The line up to the column, and the rest of it. */
  readonly around: readonly [before: string, rest: string]

  constructor(line: Line, at: number, message: string, hint?: string) {
    super(message)
    this.line = line.number
    const before = line.text.slice(0, at)
    this.column = [...before].length + 1
    this.hint = hint
    this.around = [before, line.text.slice(at)]
  }
}

/** A text, and how it is said what is wrong with it. Places in it are counted in code units. */
export interface Source {
  readonly text: string
  fail(at: number, message: string, hint?: string): never
}

export const lineSource = (line: Line): Source => ({
  text: line.text,
  fail(at, message, hint) {
    throw new TxnSyntaxError(line, at, message, hint)
  },
})

/** Of several lines. */
export const textSource = (text: string): Source => ({
  text,
  fail(at, message, hint) {
    const from = text.slice(0, at).lastIndexOf('\n') + 1
    const end = text.indexOf('\n', from)
    const line = text.slice(from, end < 0 ? text.length : end).replace(/\r$/, '')
    const number = text.slice(0, from).split('\n').length
    throw new TxnSyntaxError({ text: line, number }, Math.min(at - from, line.length), message, hint)
  },
})

const SHOWN_BEFORE = 60
const SHOWN_REST = 40

/** The error in several lines: the place, the message, the line with a mark below, and the hint. */
export function formatSyntaxError(error: TxnSyntaxError, source: string): string {
  const { line, column, message, hint } = error
  const [before, rest] = error.around.map((part) => escapeText(part.replaceAll('\t', ' ')))
  const start = cutStart(before ?? '')
  const shown = start + cutEnd(rest ?? '')
  const marked = shown === '' ? [] : [`  ${shown}`.trimEnd(), `  ${' '.repeat(widthOf(start))}^`]
  const lines = [`line ${line}, column ${column} of ${source}: ${message}`, ...marked]
  return [...lines, ...(hint === undefined ? [] : [`(${hint})`])].join('\n')
}

function cutStart(text: string): string {
  const characters = [...text]
  return characters.length <= SHOWN_BEFORE ? text : `…${characters.slice(-SHOWN_BEFORE).join('')}`
}

function cutEnd(text: string): string {
  const characters = [...text]
  return characters.length <= SHOWN_REST ? text : `${characters.slice(0, SHOWN_REST).join('')}…`
}

const FOUND_CHARACTERS_MAX = 40

/** Text of the user in a message. */
export function quoted(text: string): string {
  const characters = [...text]
  const shown =
    characters.length <= FOUND_CHARACTERS_MAX
      ? text
      : `${characters.slice(0, FOUND_CHARACTERS_MAX).join('')}…`
  return `\`${escapeText(shown)}\``
}

/** `a, b or c`. */
export function oneOf(alternatives: readonly string[]): string {
  const last = alternatives.at(-1) ?? ''
  return alternatives.length < 2 ? last : `${alternatives.slice(0, -1).join(', ')} or ${last}`
}
