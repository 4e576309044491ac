// The language of transactions (docs/reference/txn.md), one comparison or operation a line:
//
//   version(jobs/42) = 0
//   then
//     put jobs/42 running ttl 30s
//   else
//     get jobs/42

import type { Place, Txn, TxnComparison, TxnOperation, TxnOperator } from '../../client/index.ts'
import { reasonOf } from '../../local/failure.ts'
import { durationMs } from '../duration.ts'
import { BASE64, type Bytes, bytesOfBase64, FILE, type RANGE_WORDS, textOrBytes } from './bytes.ts'
import { parseTxnJson } from './json-txn.ts'
import { oneOf, quoted } from './syntax-error.ts'
import { Tokenizer, type TxnToken } from './tokenizer.ts'
/** Returns the content of a file that a value names with `@`. */
export type ReadFile = (path: string) => Uint8Array

const noFiles: ReadFile = () => {
  throw new Error('files cannot be read here')
}

/** A text in the language or, if it begins with `{`, in JSON. Throws a TxnSyntaxError. */
export function parseTxn(text: string, readFile: ReadFile = noFiles): Txn {
  const content = text.replace(/^\ufeff/, '')
  if (content.trimStart().startsWith('{')) return parseTxnJson(content)
  return new Parser(new Tokenizer(content), readFile).transaction()
}

/** Limit of transactions in one another, with the outermost; the client has the same. */
export const NESTING_MAX = 64

const OPERATORS: readonly TxnOperator[] = ['=', '!=', '<', '>']

/** `to` of a comparison. */
type Operand =
  | { readonly target: 'value'; readonly to: Bytes }
  | { readonly target: 'version' | 'create_revision' | 'mod_revision'; readonly to: number }
  | { readonly target: 'lease'; readonly to: string }

type ReadOption = (parser: Parser) => object

interface OperationSyntax {
  readonly read: (parser: Parser) => object
  readonly options: Readonly<Record<string, ReadOption>>
  /** Options that exclude each other. */
  readonly exclusive: readonly string[]
}

const TARGETS: Readonly<Record<Operand['target'], (parser: Parser) => Operand>> = {
  value: (parser) => ({ target: 'value', to: parser.value() }),
  version: (parser) => ({ target: 'version', to: parser.wholeNumber(0) }),
  create_revision: (parser) => ({ target: 'create_revision', to: parser.wholeNumber(0) }),
  mod_revision: (parser) => ({ target: 'mod_revision', to: parser.wholeNumber(0) }),
  lease: (parser) => ({ target: 'lease', to: parser.lease(0) }),
}

const OPERATIONS: Readonly<Record<'put' | 'get' | 'delete', OperationSyntax>> = {
  put: {
    read: (parser) => ({ key: parser.singleKey(), value: parser.value() }),
    options: {
      lease: (parser) => ({ lease: parser.lease(1) }),
      ttl: (parser) => ({ ttlMs: parser.duration() }),
      prev: () => ({ prev: true }),
    },
    exclusive: ['lease', 'ttl'],
  },
  get: {
    read: (parser) => parser.place(),
    options: {
      limit: (parser) => ({ limit: parser.wholeNumber(1) }),
      'keys-only': () => ({ keysOnly: true }),
      count: () => ({ count: true }),
      'count-only': () => ({ countOnly: true }),
    },
    exclusive: ['keys-only', 'count-only'],
  },
  delete: { read: (parser) => parser.place(), options: { prev: () => ({ prev: true }) }, exclusive: [] },
}

const RANGES: Readonly<Record<(typeof RANGE_WORDS)[number], (parser: Parser) => Place>> = {
  prefix: (parser) => ({ prefix: parser.bytes('a prefix') }),
  range: (parser) => ({ start: parser.bytes('the first key of the range'), end: parser.rangeEnd() }),
  from: (parser) => ({ start: parser.bytes('the first key of the range') }),
  before: (parser) => ({ end: parser.rangeEnd() }),
}

const isLineEnd = ({ kind }: TxnToken): boolean => kind === 'line end' || kind === 'text end'
const isName = <T extends string>(
  token: TxnToken,
  names: Readonly<Record<T, unknown>>,
): token is TxnToken & { text: T } => token.kind === 'word' && Object.hasOwn(names, token.text)

class Parser {
  readonly #tokens: Tokenizer
  readonly #readFile: ReadFile

  constructor(tokens: Tokenizer, readFile: ReadFile) {
    this.#tokens = tokens
    this.#readFile = readFile
  }

  /** `openedBy`: the token that begins an inner transaction. */
  transaction(depth = 1, openedBy?: TxnToken): Txn {
    if (depth > NESTING_MAX && openedBy !== undefined)
      this.#tokens.fail(
        openedBy,
        `expected at most ${NESTING_MAX} transactions in one another, found one more`,
      )
    const txn = {
      compare: [] as TxnComparison[],
      success: [] as TxnOperation[],
      failure: [] as TxnOperation[],
    }
    for (let first = this.#firstOfLine(); !isKeyword(first, 'then'); first = this.#firstOfLine()) {
      txn.compare.push(this.#comparison(first))
      this.#lineEnd(SPACES)
    }
    this.#lineEnd()
    let branch = txn.success
    for (;;) {
      const first = this.#firstOfLine()
      if (openedBy === undefined ? first.kind === 'text end' : isSign(first, '}')) return txn
      if (isKeyword(first, 'else') && branch === txn.success) {
        branch = txn.failure
        this.#lineEnd()
      } else branch.push(this.#operation(first, depth, branch === txn.success, openedBy !== undefined))
    }
  }

  #firstOfLine(): TxnToken {
    let token = this.#tokens.take()
    while (token.kind === 'line end') token = this.#tokens.take()
    return token
  }

  #lineEnd(hint?: string): void {
    const token = this.#tokens.take()
    if (!isLineEnd(token)) this.#tokens.unexpected(token, 'the end of the line', hint)
  }

  #sign(text: string): TxnToken {
    const token = this.#tokens.take()
    return isSign(token, text) ? token : this.#tokens.unexpected(token, quoted(text))
  }

  #comparison(first: TxnToken): TxnComparison {
    if (isKeyword(first, 'exists') || isKeyword(first, 'missing'))
      return { key: this.singleKey(), exists: first.text === 'exists' }
    if (!isName(first, TARGETS)) {
      const expected = oneOf([...Object.keys(TARGETS), 'exists', 'missing', 'then'].map(quoted))
      return this.#tokens.unexpected(first, expected, comparisonHint(first))
    }
    this.#sign('(')
    const place = this.place()
    this.#sign(')')
    const token = this.#tokens.take()
    const op = OPERATORS.find((operator) => isSign(token, operator))
    if (op === undefined) return this.#tokens.unexpected(token, oneOf(OPERATORS.map(quoted)))
    return { ...place, ...TARGETS[first.text](this), op }
  }

  /** Reads the operation with the end of its line. */
  #operation(first: TxnToken, depth: number, mayEndWithElse: boolean, isInner: boolean): TxnOperation {
    if (isKeyword(first, 'txn')) {
      const bracket = this.#sign('{')
      this.#lineEnd()
      const txn = this.transaction(depth + 1, bracket)
      this.#lineEnd()
      return { txn }
    }
    if (isName(first, OPERATIONS)) {
      const syntax = OPERATIONS[first.text]
      const operation = { ...syntax.read(this), ...this.#options(syntax) }
      return { [first.text]: operation } as unknown as TxnOperation
    }
    const others = ['txn', ...(mayEndWithElse ? ['else'] : []), ...(isInner ? ['}'] : [])]
    const expected = oneOf([...Object.keys(OPERATIONS), ...others].map(quoted))
    return this.#tokens.unexpected(
      first,
      expected,
      isInner && first.kind === 'text end' ? NOT_CLOSED : undefined,
    )
  }

  /** Options up to the end of the line, in any order, each at most once. */
  #options({ options, exclusive }: OperationSyntax): object {
    const used = new Map<string, object>()
    for (let token = this.#tokens.take(); !isLineEnd(token); token = this.#tokens.take()) {
      const isExcluded = (name: string): boolean =>
        used.has(name) || (exclusive.includes(name) && exclusive.some((other) => used.has(other)))
      const possible = Object.keys(options).filter((name) => !isExcluded(name))
      const option = isName(token, options) && possible.includes(token.text) ? options[token.text] : undefined
      if (option === undefined) {
        const expected = oneOf([...possible.map(quoted), 'the end of the line'])
        return this.#tokens.unexpected(token, expected, used.size === 0 ? SPACES : undefined)
      }
      used.set(token.text, option(this))
    }
    return Object.assign({}, ...used.values())
  }

  place(): Place {
    const token = this.#tokens.peek()
    const range = isName(token, RANGES) ? RANGES[token.text] : undefined
    if (range === undefined) return { key: this.#nonEmpty('a key') }
    this.#tokens.take()
    return range(this)
  }

  /** One key; a word that would begin a range is refused. */
  singleKey(): Bytes {
    const token = this.#tokens.peek()
    if (!isName(token, RANGES)) return this.#nonEmpty('a key')
    return this.#tokens.unexpected(token, 'a single key', 'a key of this name is written in double quotes')
  }

  rangeEnd(): Bytes {
    return this.#nonEmpty('the end of the range (exclusive)')
  }

  #nonEmpty(expected: string): Bytes {
    const token = this.#tokens.peek()
    const bytes = this.bytes(expected)
    return bytes === '' ? this.#tokens.unexpected(token, expected) : bytes
  }

  bytes(expected: string): Bytes {
    const token = this.#tokens.take()
    if (token.kind === 'string') return textOrBytes(token.bytes)
    if (token.kind !== 'word') return this.#tokens.unexpected(token, expected)
    if (!token.text.startsWith(BASE64)) return token.text
    const bytes = bytesOfBase64(token.text.slice(BASE64.length))
    return bytes ?? this.#tokens.unexpected(token, `base64 with padding after ${quoted(BASE64)}`)
  }

  value(): Bytes {
    const token = this.#tokens.peek()
    const isFile = token.kind === 'file' || (token.kind === 'word' && token.text.startsWith(FILE))
    if (!isFile) return this.bytes('a value')
    this.#tokens.take()
    const path = token.kind === 'file' ? token.text : token.text.slice(FILE.length)
    try {
      return textOrBytes(Buffer.from(this.#readFile(path)))
    } catch (error) {
      const message = `expected a file that can be read, found ${quoted(path)}: ${reasonOf(error)}`
      return this.#tokens.fail(token, message, 'a value that begins with @ is written in double quotes')
    }
  }

  wholeNumber(min: 0 | 1): number {
    const token = this.#tokens.take()
    const number = /^[0-9]+$/.test(wordOf(token)) ? Number(token.text) : Number.NaN
    if (Number.isSafeInteger(number) && number >= min) return number
    return this.#notQuoted(token, `a whole number from ${min} to 2^53 - 1`)
  }

  /** "0" is no lease. */
  lease(min: 0 | 1): string {
    const token = this.#tokens.take()
    const id = /^[0-9]{1,40}$/.test(wordOf(token)) ? BigInt(token.text) : -1n
    if (id >= min && id < 2n ** 64n) return String(id)
    return this.#notQuoted(
      token,
      `a lease id (decimal digits, below 2^64${min === 0 ? '; 0: no lease' : ', not 0'})`,
    )
  }

  duration(): number {
    const token = this.#tokens.take()
    const ms = durationMs(wordOf(token))
    return ms ?? this.#notQuoted(token, 'a duration (a number with ms, s, m or h, such as 30s)')
  }

  #notQuoted(token: TxnToken, expected: string): never {
    return this.#tokens.unexpected(
      token,
      expected,
      token.kind === 'string' ? 'it is written without quotes' : undefined,
    )
  }
}

const SPACES = 'a word with spaces is written in double quotes'
const NOT_CLOSED = 'a line `}` closes the transaction that `txn {` begins'

const wordOf = (token: TxnToken): string => (token.kind === 'word' ? token.text : '')
const isSign = (token: TxnToken, text: string): boolean => token.kind === 'sign' && token.text === text
const isKeyword = (token: TxnToken, text: string): boolean => token.kind === 'word' && token.text === text

function comparisonHint(first: TxnToken): string | undefined {
  if (isName(first, OPERATIONS) || isKeyword(first, 'txn')) return 'operations come after a line `then`'
  if (isSign(first, '{')) return 'a transaction in JSON begins with `{`, without a comment before it'
  return first.kind === 'sign' || isKeyword(first, 'else') ? 'every transaction has a line `then`' : undefined
}
