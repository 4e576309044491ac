// The language in which transactions are written (docs/reference/txn.md), one comparison or operation a line:
//
//   version(jobs/42) = 0
//   then
//     put jobs/42 running ttl 30s
//   else
//     get jobs/42

import { nearestOf } from '../did-you-mean.ts'
import { parseTxnJson } from './json-txn.ts'
import {
  type ComparisonJson,
  NESTING_MAX,
  OPERATIONS,
  OPERATORS,
  type OperandJson,
  type OperationJson,
  type Operator,
  TARGETS,
  type Target,
  type TxnJson,
} from './json-types.ts'
import {
  isSign,
  isWord,
  type Options,
  type ReadFile,
  takeDuration,
  takeEnd,
  takeLease,
  takeOptions,
  takePlace,
  takeSign,
  takeSingleKey,
  takeValue,
  takeWholeNumber,
  unexpected,
} from './operands.ts'
import { type Line, lineSource, oneOf, quoted } from './syntax-error.ts'
import { type Word, Words } from './words.ts'

export type { TxnJson } from './json-types.ts'
export type { ReadFile } from './operands.ts'
export { formatSyntaxError, TxnSyntaxError } from './syntax-error.ts'

const noFiles: ReadFile = () => {
  throw new Error('files cannot be read here')
}

/** A text in the language or, if it begins with `{`, in JSON. Throws a TxnSyntaxError. */
export function parseTxn(text: string, readFile: ReadFile = noFiles): TxnJson {
  const content = text.replace(/^\ufeff/, '')
  if (content.trimStart().startsWith('{')) return parseTxnJson(content)
  const lines = content.split('\n').map((line, at) => ({ text: line.replace(/\r$/, ''), number: at + 1 }))
  const reader = new TxnReader(readFile)
  for (const line of lines) reader.read(line)
  return reader.end(lines.at(-1) ?? { text: '', number: 1 })
}

export type Section = 'compare' | 'then' | 'else'

/** A transaction, or one within another, of which a part has been read. */
interface Block {
  /** The line with its opening bracket. */
  readonly openedIn: number
  section: Section
  readonly compare: ComparisonJson[]
  readonly success: OperationJson[]
  readonly failure: OperationJson[]
}

const newBlock = (openedIn: number): Block => ({
  openedIn,
  section: 'compare',
  compare: [],
  success: [],
  failure: [],
})

const resultOf = ({ compare, success, failure }: Block): TxnJson => ({ compare, success, failure })

function add({ section, success, failure }: Block, operation: OperationJson): void {
  const operations = section === 'then' ? success : failure
  operations.push(operation)
}

/** Reads a transaction line by line. A line with an error changes nothing. */
export class TxnReader {
  readonly #readFile: ReadFile
  readonly #outer: Block[] = []
  #block = newBlock(0)

  constructor(readFile: ReadFile) {
    this.#readFile = readFile
  }

  get section(): Section {
    return this.#block.section
  }

  /** How many transactions are around the one that is being read. */
  get depth(): number {
    return this.#outer.length
  }

  read(line: Line): void {
    const words = new Words(line)
    const first = words.take()
    if (first.kind === 'end') return
    if (isWord(first, ['then']) && this.section === 'compare') this.#begin('then', words)
    else if (isWord(first, ['else']) && this.section === 'then') this.#begin('else', words)
    else if (isSign(first, '}') && this.#mayClose()) this.#close(words)
    else if (this.section === 'compare') this.#block.compare.push(this.#comparison(first, words))
    else if (isWord(first, ['txn'])) this.#open(words, line)
    else add(this.#block, this.#operation(first, words))
  }

  /** What an empty line does at a terminal. Returns whether the transaction is complete. */
  endSection(): boolean {
    const { section } = this
    if (section === 'compare') this.#block.section = 'then'
    else if (section === 'then') this.#block.section = 'else'
    else if (this.#mayClose()) this.#leave()
    else return true
    return false
  }

  /** The transaction, if it is complete. `last`: the last line of the text. */
  end(last: Line): TxnJson {
    if (this.section !== 'compare' && this.depth === 0) return resultOf(this.#block)
    const hint =
      this.depth === 0
        ? undefined
        : `The transaction that begins in line ${this.#block.openedIn} is not closed with a line ${quoted('}')}.`
    const expected = this.section === 'compare' ? quoted('then') : quoted('}')
    return lineSource(last).fail(last.text.length, `expected ${expected}, found the end of the text`, hint)
  }

  /** The transaction so far. */
  get result(): TxnJson {
    return resultOf(this.#block)
  }

  #begin(section: Section, words: Words): void {
    takeEnd(words, 'Each operation has a line of its own.')
    this.#block.section = section
  }

  #mayClose(): boolean {
    return this.depth > 0 && this.section !== 'compare'
  }

  #close(words: Words): void {
    takeEnd(words)
    this.#leave()
  }

  #leave(): void {
    const outer = this.#outer.pop()
    if (outer === undefined) return
    add(outer, { txn: resultOf(this.#block) })
    this.#block = outer
  }

  #comparison(first: Word, words: Words): ComparisonJson {
    if (isWord(first, ['exists', 'missing'])) return existence(first.text === 'exists', words)
    if (isWord(first, TARGETS)) return comparison(first.text, words, this.#readFile)
    return unexpected(words, first, 'a comparison or `then`', comparisonHint(first))
  }

  #operation(first: Word, words: Words): OperationJson {
    if (isWord(first, ['put'])) return putOf(words, this.#readFile)
    if (isWord(first, ['get']))
      return { get: { ...takePlace(words), ...takeOptions(words, GET, {}, TWO_KEYS) } }
    if (isWord(first, ['delete']))
      return { delete: { ...takePlace(words), ...takeOptions(words, DELETE, {}, TWO_KEYS) } }
    const ends = [...(this.section === 'then' ? ['else'] : []), ...(this.depth > 0 ? ['}'] : [])]
    const expected = oneOf(['an operation', ...ends.map(quoted)])
    return unexpected(words, first, expected, operationHint(first, [...OPERATIONS, ...ends]))
  }

  #open(words: Words, line: Line): void {
    const bracket = words.peek()
    takeSign(words, '{')
    takeEnd(words, 'What is between the brackets has lines of its own.')
    if (this.depth === NESTING_MAX) {
      const message = `expected at most ${NESTING_MAX} transactions in one another, found one more`
      words.source.fail(bracket.at, message)
    }
    this.#outer.push(this.#block)
    this.#block = newBlock(line.number)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Comparisons

const NO_RANGE =
  'It is about one key; a key of this name is written in double quotes. `version(prefix P) = 0` holds if no key ' +
  'begins with P.'

function existence(exists: boolean, words: Words): ComparisonJson {
  const key = takeSingleKey(words, NO_RANGE)
  takeEnd(words, 'Each comparison has a line of its own; a key with spaces is written in double quotes.')
  return { key, exists }
}

function comparison(target: Target, words: Words, readFile: ReadFile): ComparisonJson {
  takeSign(words, '(')
  const place = takePlace(words)
  takeSign(words, ')')
  const op = takeOperator(words)
  const operand = takeOperand(target, words, readFile)
  takeEnd(words, 'Each comparison has a line of its own; a value with spaces is written in double quotes.')
  return { ...place, ...operand, op }
}

const OPERATOR_HINTS: Readonly<Record<string, string>> = {
  '==': 'Did you mean `=`?',
  '<>': 'Did you mean `!=`?',
  '>=': 'For whole numbers `> 4` says the same as `>= 5`.',
  '<=': 'For whole numbers `< 6` says the same as `<= 5`.',
}

function takeOperator(words: Words): Operator {
  const word = words.take()
  const op = OPERATORS.find((operator) => isSign(word, operator))
  if (op !== undefined) return op
  const hint =
    word.kind === 'sign' && Object.hasOwn(OPERATOR_HINTS, word.text) ? OPERATOR_HINTS[word.text] : undefined
  return unexpected(words, word, oneOf(OPERATORS.map(quoted)), hint)
}

function takeOperand(target: Target, words: Words, readFile: ReadFile): OperandJson {
  if (target === 'value') return { target, to: takeValue(words, readFile) }
  if (target === 'lease') return { target, to: takeLease(words, true) }
  return { target, to: takeWholeNumber(words) }
}

// ---------------------------------------------------------------------------------------------------------------------
// Operations

const TWO_KEYS = 'A key with spaces is written in double quotes; a range is `prefix P` or `range FIRST END`.'

const PUT: Options<{ readonly lease?: string; readonly ttl?: string; readonly prev?: true }> = {
  lease: { take: (words) => ({ lease: takeLease(words, false) }), excludes: 'ttl' },
  ttl: { take: (words) => ({ ttl: takeDuration(words) }), excludes: 'lease' },
  prev: { take: () => ({ prev: true }) },
}

const GET: Options<{ readonly limit?: number; readonly keys_only?: true; readonly count_only?: true }> = {
  limit: { take: (words) => ({ limit: takeWholeNumber(words, 1) }) },
  'keys-only': { take: () => ({ keys_only: true }), excludes: 'count-only' },
  'count-only': { take: () => ({ count_only: true }), excludes: 'keys-only' },
}

const DELETE: Options<{ readonly prev?: true }> = { prev: { take: () => ({ prev: true }) } }

function putOf(words: Words, readFile: ReadFile): OperationJson {
  const key = takeSingleKey(words, 'A put is of one key; a key of this name is written in double quotes.')
  const value = takeValue(words, readFile)
  return {
    put: { key, value, ...takeOptions(words, PUT, {}, 'A value with spaces is written in double quotes.') },
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// Hints

const COMPARISONS = [...TARGETS, 'exists', 'missing']

/** Words of etcdctl and others, with ours. */
const MEANT: Readonly<Record<string, string>> = {
  mod: 'mod_revision',
  create: 'create_revision',
  del: 'delete',
  rm: 'delete',
  remove: 'delete',
  set: 'put',
  compare: 'then',
  success: 'then',
  failure: 'else',
}

function comparisonHint(first: Word): string | undefined {
  if (isWord(first, OPERATIONS)) return 'Operations come after a line `then`.'
  if (isWord(first, ['else'])) return 'A line `then` comes before `else`; there may be nothing between them.'
  if (isWord(first, ['if'])) return 'Comparisons have no `if`: they are the lines before `then`.'
  if (isSign(first, '}')) return 'A line `then` comes before `}`; there may be nothing between them.'
  if (isSign(first, '{'))
    return 'A transaction in JSON begins with `{`: nothing comes before it, not even a comment.'
  return meantHint(first, [...COMPARISONS, 'then'])
}

function operationHint(first: Word, expected: readonly string[]): string | undefined {
  if (isWord(first, COMPARISONS))
    return 'Comparisons come before `then`. A transaction in this one, `txn {`, has comparisons of its own.'
  if (isWord(first, ['then', 'else'])) return `A transaction has one ${quoted(first.text)}.`
  if (isSign(first, '{')) return 'A transaction in this one begins with a line `txn {`.'
  if (isSign(first, '}')) return 'There is no `txn {` that it could close.'
  return meantHint(first, expected)
}

function meantHint(word: Word, candidates: readonly string[]): string | undefined {
  if (word.kind !== 'plain') return undefined
  const text = word.text.toLowerCase()
  const known = Object.hasOwn(MEANT, text) ? MEANT[text] : undefined
  const meant = known !== undefined && candidates.includes(known) ? known : nearestOf(text, candidates)
  return meant === undefined ? undefined : `Did you mean ${quoted(meant)}?`
}
