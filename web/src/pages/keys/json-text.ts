// JSON documents in values. A number may have more digits than JavaScript keeps, so text is laid out as it is, and
// numbers are shown as they are written.

/** A number that JavaScript would change. */
export class ExactNumber {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Revive = (this: unknown, name: string, value: unknown, context?: { readonly source?: string }) => unknown

const keepNumbers: Revive = (_, value, context) =>
  typeof value === 'number' && context?.source !== undefined && String(value) !== context.source
    ? new ExactNumber(context.source)
    : value

/** Digits that JavaScript may change. A text without them is parsed in a tenth of the time. */
const INEXACT = /\d{16}|\d[.eE]|-0/

/** The document of a text that is a JSON object or list; undefined: it is none. */
export function parseDocument(text: string): object | undefined {
  if (!isLikeDocument(text)) return undefined
  try {
    const json: unknown = INEXACT.test(text)
      ? JSON.parse(text, keepNumbers as (name: string, value: unknown) => unknown)
      : JSON.parse(text)
    return typeof json === 'object' && json !== null ? json : undefined
  } catch {
    return undefined
  }
}

/** Whether `parseDocument` finds one, or would if it had fewer levels. */
export function isDocument(text: string): boolean {
  if (!isLikeDocument(text)) return false
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Whether the text begins as a JSON object or list. */
export const isLikeDocument = (text: string): boolean => /^\s*[[{]/.test(text)

const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{},:]|[^\s"[\]{},:]+/g

/** Characters of a text that is laid out at most: a browser takes seconds for 100,000 lines. */
export const LAID_OUT_MAX = 262_144

/** Levels that are indented: a deep document would have far more spaces than tokens. */
const INDENT_MAX = 40

/** The text of a document with a line for each field. Its tokens stay as they are, in their order. */
export function layOutDocument(text: string): string {
  let depth = 0
  let out = ''
  const tokens = text.match(TOKEN) ?? []
  const newLine = (): string => `\n${'  '.repeat(Math.min(depth, INDENT_MAX))}`
  tokens.forEach((token, at) => {
    const isEmpty = (token === ']' || token === '}') && /^[[{]$/.test(tokens[at - 1] ?? '')
    if (token === ']' || token === '}') {
      depth--
      out += isEmpty ? token : newLine() + token
    } else if (token === '[' || token === '{') {
      depth++
      const isOpenOnly = /^[\]}]$/.test(tokens[at + 1] ?? '')
      out += isOpenOnly ? token : token + newLine()
    } else if (token === ',') out += token + newLine()
    else out += token === ':' ? ': ' : token
  })
  return out
}
