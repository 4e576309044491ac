// Parses JSON and remembers where each field stands, so that a message can name line and column. The messages of
// JSON.parse differ between versions of Node.js, and often have no position.

/** A fault in a text. */
export class TextFault extends Error {
  override readonly name = 'TextFault'
  /** Where it is, in UTF-16 units from the beginning of the text. */
  readonly index: number

  constructor(index: number, message: string) {
    super(message)
    this.index = index
  }
}

export interface JsonText {
  readonly value: unknown
  /** The index of each field's name and of each element of a list, by its path: `success[0].put.key`. */
  readonly indexes: ReadonlyMap<string, number>
}

/** Throws a TextFault. */
export const parseJsonText = (text: string): JsonText => new JsonParser(text).parse()

/** `line 2, column 7`, both from 1; a character outside the Basic Multilingual Plane is one column. */
export function formatPosition(text: string, index: number): string {
  const lines = text.slice(0, index).split('\n')
  return `line ${lines.length}, column ${[...(lines.at(-1) ?? '')].length + 1}`
}

export const fieldPath = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`)
export const elementPath = (path: string, at: number): string => `${path}[${at}]`

/** Far deeper than any transaction that a node accepts. */
const NESTING_LIMIT = 1_000

const WHITE_SPACE = /[ \t\r\n]*/y
const LITERAL = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y
/** The beginning of a text that does not belong where it is, as a message shows it. */
const FOUND = /[^\s"()[\]{},:]{1,20}|[\s\S]/uy

class JsonParser {
  readonly #text: string
  readonly #indexes = new Map<string, number>()
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  parse(): JsonText {
    const value = this.#value('', 0)
    this.#skipWhiteSpace()
    if (this.#at < this.#text.length) this.#unexpected('the end of the text')
    return { value, indexes: this.#indexes }
  }

  #value(path: string, depth: number): unknown {
    if (depth > NESTING_LIMIT)
      throw new TextFault(this.#at, `more than ${NESTING_LIMIT} brackets in one another`)
    this.#skipWhiteSpace()
    if (this.#takes('{')) return this.#object(path, depth)
    if (this.#takes('[')) return this.#list(path, depth)
    if (this.#text[this.#at] === '"') return this.#string()
    const literal = this.#match(LITERAL)
    if (literal === '') this.#unexpected('a value')
    this.#at += literal.length
    return JSON.parse(literal)
  }

  #object(path: string, depth: number): object {
    const fields = new Map<string, unknown>()
    if (this.#takes('}')) return {}
    do {
      this.#skipWhiteSpace()
      const index = this.#at
      if (this.#text[index] !== '"') this.#unexpected('the name of a field, in double quotes')
      const name = this.#string()
      if (fields.has(name)) throw new TextFault(index, `the field ${JSON.stringify(name)} is there twice`)
      this.#indexes.set(fieldPath(path, name), index)
      if (!this.#takes(':')) this.#unexpected('`:`')
      fields.set(name, this.#value(fieldPath(path, name), depth + 1))
    } while (this.#takes(','))
    if (!this.#takes('}')) this.#unexpected('`,` or `}`')
    return Object.fromEntries(fields)
  }

  #list(path: string, depth: number): readonly unknown[] {
    const list: unknown[] = []
    if (this.#takes(']')) return list
    do {
      this.#skipWhiteSpace()
      const element = elementPath(path, list.length)
      this.#indexes.set(element, this.#at)
      list.push(this.#value(element, depth + 1))
    } while (this.#takes(','))
    if (!this.#takes(']')) this.#unexpected('`,` or `]`')
    return list
  }

  /** A regular expression for whole strings could run out of stack. */
  #string(): string {
    const start = this.#at
    for (this.#at += 1; this.#text[this.#at] !== '"'; this.#at += 1) {
      const char = this.#text[this.#at]
      if (char === undefined) this.#unexpected('`"` at the end of the string')
      if (char < ' ') this.#unexpected('`"` or an escape, such as \\n')
      if (char !== '\\') continue
      const escaped = this.#match(ESCAPE)
      if (escaped === '') this.#unexpected('an escape, such as \\n, \\\\ or \\u00e9')
      this.#at += escaped.length - 1
    }
    this.#at += 1
    const string: string = JSON.parse(this.#text.slice(start, this.#at))
    if (!string.isWellFormed())
      throw new TextFault(start, 'expected text, found half of a surrogate pair in a string')
    return string
  }

  /** Whether the sign follows, after white space. */
  #takes(sign: string): boolean {
    this.#skipWhiteSpace()
    if (this.#text[this.#at] !== sign) return false
    this.#at += 1
    return true
  }

  #skipWhiteSpace(): void {
    this.#at += this.#match(WHITE_SPACE).length
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    return pattern.exec(this.#text)?.[0] ?? ''
  }

  #unexpected(expected: string): never {
    const found = this.#match(FOUND)
    const shown =
      found === '' ? 'the end of the text' : /[\r\n]/.test(found) ? 'the end of the line' : `\`${found}\``
    throw new TextFault(this.#at, `expected ${expected}, found ${shown}`)
  }
}
