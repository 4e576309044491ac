// Errors in the text of a transaction.

import { widthOf } from '../column-widths.ts'
import { escapeText } from '../format-text.ts'

interface ErrorPosition {
  /** From 1. */
  readonly line: number
  /** From 1, in characters: one outside the Basic Multilingual Plane counts once. */
  readonly column: number
  /** The text of the line before and after the place. */
  readonly before: string
  readonly after: string
}

export class TxnSyntaxError extends Error {
  override readonly name = 'TxnSyntaxError'
  /** undefined: the message names a field of JSON. */
  readonly place: ErrorPosition | undefined
  readonly hint: string | undefined

  constructor(message: string, place?: ErrorPosition, hint?: string) {
    super(message)
    this.place = place
    this.hint = hint
  }
}

/** Throws the error at an index of the text. */
export function failAt(text: string, index: number, message: string, hint?: string): never {
  const before = text.slice(text.lastIndexOf('\n', index - 1) + 1, index)
  const [after = ''] = /^[^\r\n]*/.exec(text.slice(index)) ?? []
  const line = text.slice(0, index).split('\n').length
  throw new TxnSyntaxError(message, { line, column: [...before].length + 1, before, after }, hint)
}

const BEFORE_MAX = 60
const AFTER_MAX = 40

/** The place and the message, the line with a mark below it, and the hint. */
export function formatSyntaxError({ place, message, hint }: TxnSyntaxError, source: string): string {
  if (place === undefined) return `${source}: ${message}`
  const { line, column } = place
  const before = escapeText(cut(place.before.replaceAll('\t', ' '), BEFORE_MAX, 'start'))
  const after = escapeText(cut(place.after.replaceAll('\t', ' '), AFTER_MAX, 'end'))
  const excerpt =
    before + after === '' ? [] : [`  ${before}${after}`.trimEnd(), `  ${' '.repeat(widthOf(before))}^`]
  const lines = [`line ${line}, column ${column} of ${source}: ${message}`, ...excerpt]
  return [...lines, ...(hint === undefined ? [] : [`(${hint})`])].join('\n')
}

function cut(text: string, charactersMax: number, side: 'start' | 'end'): string {
  const characters = [...text]
  if (characters.length <= charactersMax) return text
  if (side === 'start') return `…${characters.slice(-charactersMax).join('')}`
  return `${characters.slice(0, charactersMax).join('')}…`
}

/** Text of the user in a message. */
export const quoted = (text: string): string => `\`${escapeText(cut(text, AFTER_MAX, 'end'))}\``

/** `a, b or c`. */
export function oneOf(alternatives: readonly string[]): string {
  const last = alternatives.at(-1) ?? ''
  return alternatives.length < 2 ? last : `${alternatives.slice(0, -1).join(', ')} or ${last}`
}
