// JSON of which each value knows its place in the text, so that a message can name it.

import { NESTING_MAX } from './json-types.ts'
import { IN_JSON, scanString } from './strings.ts'
import { quoted, type Source } from './syntax-error.ts'

export interface JsonField {
  readonly name: string
  /** Of the name. */
  readonly at: number
  readonly value: JsonNode
}

export type JsonNode = { readonly at: number } & (
  | { readonly kind: 'object'; readonly fields: readonly JsonField[] }
  | { readonly kind: 'list'; readonly items: readonly JsonNode[] }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'word'; readonly text: 'true' | 'false' | 'null' }
)

const SPACE = /[ \t\r\n]*/y
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const WORD = /(?:true|false|null)\b/y
/** A transaction in another one is three levels deeper: its object, the list, and the operation. */
const DEPTH_MAX = 4 * NESTING_MAX

export const parseJson = (source: Source): JsonNode => new Parser(source).whole()

class Parser {
  readonly #source: Source
  #at = 0
  #depth = 0

  constructor(source: Source) {
    this.#source = source
  }

  whole(): JsonNode {
    const node = this.#value('a value of JSON')
    this.#skipSpace()
    if (this.#at < this.#source.text.length) this.#fail('the end of the text')
    return node
  }

  #value(expected: string): JsonNode {
    this.#skipSpace()
    const at = this.#at
    const char = this.#source.text[at]
    if (char === '{') return this.#deeper(() => ({ at, kind: 'object', fields: this.#fields() }))
    if (char === '[') return this.#deeper(() => ({ at, kind: 'list', items: this.#items() }))
    if (char === '"') return { at, kind: 'string', text: this.#string() }
    const number = this.#match(NUMBER)
    if (number !== '') return { at, kind: 'number', text: number }
    const word = this.#match(WORD)
    if (word === 'true' || word === 'false' || word === 'null') return { at, kind: 'word', text: word }
    return this.#fail(expected)
  }

  #deeper(read: () => JsonNode): JsonNode {
    if (this.#depth === DEPTH_MAX) {
      const message = `expected at most ${DEPTH_MAX} lists and objects in one another, found one more`
      this.#source.fail(this.#at, message)
    }
    this.#depth += 1
    this.#at += 1
    const node = read()
    this.#depth -= 1
    return node
  }

  #fields(): JsonField[] {
    const fields: JsonField[] = []
    const names = new Set<string>()
    while (!this.#ends('}', fields.length)) {
      const at = this.#at
      if (this.#source.text[at] !== '"')
        this.#fail(`a name in double quotes${fields.length === 0 ? ' or `}`' : ''}`)
      const name = this.#string()
      if (names.has(name))
        this.#source.fail(at, `expected a name once in an object, found ${quoted(`"${name}"`)} twice`)
      names.add(name)
      this.#skipSpace()
      if (this.#source.text[this.#at] !== ':') this.#fail('`:`')
      this.#at += 1
      fields.push({ name, at, value: this.#value('a value of JSON') })
    }
    return fields
  }

  #items(): JsonNode[] {
    const items: JsonNode[] = []
    while (!this.#ends(']', items.length))
      items.push(this.#value(`a value of JSON${items.length === 0 ? ' or `]`' : ''}`))
    return items
  }

  /** Whether the list or object ends here; otherwise a comma is read, except before the first element. */
  #ends(bracket: string, elements: number): boolean {
    this.#skipSpace()
    const char = this.#source.text[this.#at]
    if (char === bracket) {
      this.#at += 1
      return true
    }
    if (elements === 0) return false
    if (char !== ',') this.#fail(`\`,\` or ${quoted(bracket)}`)
    this.#at += 1
    this.#skipSpace()
    return false
  }

  #string(): string {
    const { bytes, end } = scanString(this.#source, this.#at, IN_JSON)
    this.#at = end
    return bytes.toString()
  }

  #skipSpace(): void {
    this.#match(SPACE)
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const text = pattern.exec(this.#source.text)?.[0] ?? ''
    this.#at += text.length
    return text
  }

  #fail(expected: string): never {
    const char = this.#source.text.codePointAt(this.#at)
    const found = char === undefined ? 'the end of the text' : quoted(String.fromCodePoint(char))
    return this.#source.fail(this.#at, `expected ${expected}, found ${found}`)
  }
}

/** A value as messages name it. */
export function shownNode(node: JsonNode): string {
  switch (node.kind) {
    case 'object':
      return 'an object'
    case 'list':
      return 'a list'
    case 'string':
      return `the string ${quoted(node.text)}`
    default:
      return quoted(node.text)
  }
}
