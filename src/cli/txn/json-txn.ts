// Transactions in the JSON of `POST /v1/txn`. What is not in its form is refused with its place.

import { nearestOf } from '../did-you-mean.ts'
import { bytesToJson } from '../format-json.ts'
import { type JsonField, type JsonNode, parseJson, shownNode } from './json-parser.ts'
import {
  type BytesJson,
  type ComparisonJson,
  DURATION,
  leaseIdOf,
  NESTING_MAX,
  OPERATIONS,
  OPERATORS,
  type OperandJson,
  type OperationJson,
  type PlaceJson,
  type PutJson,
  TARGETS,
  type Target,
  type TxnJson,
} from './json-types.ts'
import { oneOf, quoted, type Source, textSource } from './syntax-error.ts'

/** The text begins with `{`. */
export function parseTxnJson(text: string): TxnJson {
  const source = textSource(text)
  return txnOf(source, parseJson(source), 0)
}

/** `depth`: how many transactions are around it. */
function txnOf(source: Source, node: JsonNode, depth: number): TxnJson {
  if (depth > NESTING_MAX)
    source.fail(node.at, `expected at most ${NESTING_MAX} transactions in one another, found one more`)
  const object = new JsonObject(source, node, ['compare', 'success', 'failure'])
  const list = <T>(name: string, read: (item: JsonNode) => T): T[] =>
    object.optional(name, (value) => itemsOf(source, value).map(read)) ?? []
  return {
    compare: list('compare', (item) => comparisonOf(source, item)),
    success: list('success', (item) => operationOf(source, item, depth)),
    failure: list('failure', (item) => operationOf(source, item, depth)),
  }
}

const PLACE = ['key', 'prefix', 'start', 'end']

function comparisonOf(source: Source, node: JsonNode): ComparisonJson {
  if (hasField(node, 'exists')) {
    const object = new JsonObject(source, node, ['key', 'exists'])
    return {
      key: object.required('key', (value) => keyOf(source, value)),
      exists: object.required('exists', (value) => flagOf(source, value)),
    }
  }
  const object = new JsonObject(source, node, [...PLACE, 'target', 'op', 'to', 'exists'])
  const place = placeOf(source, object)
  const target = object.required('target', (value) => choiceOf(source, value, TARGETS))
  const op = object.required('op', (value) => choiceOf(source, value, OPERATORS))
  return { ...place, ...object.required('to', (value) => operandOf(source, target, value)), op }
}

function operandOf(source: Source, target: Target, value: JsonNode): OperandJson {
  if (target === 'value') return { target, to: bytesOf(source, value) }
  if (target === 'lease') return { target, to: leaseOf(source, value, true) }
  return { target, to: wholeNumberOf(source, value, 0) }
}

function operationOf(source: Source, node: JsonNode, depth: number): OperationJson {
  const object = new JsonObject(source, node, OPERATIONS)
  const [field, second] = object.fields
  const name = OPERATIONS.find((operation) => operation === field?.name)
  if (field === undefined || name === undefined)
    return object.missing(oneOf(OPERATIONS.map((operation) => `\`"${operation}"\``)))
  if (second !== undefined) {
    const message = `expected one operation in an object, found a second one, ${shownName(second)}`
    return source.fail(second.at, message)
  }
  if (name === 'txn') return { txn: txnOf(source, field.value, depth + 1) }
  return OPERATION[name](source, field.value)
}

type SimpleOperation = Exclude<(typeof OPERATIONS)[number], 'txn'>

const OPERATION: Readonly<Record<SimpleOperation, (source: Source, node: JsonNode) => OperationJson>> = {
  put: (source, node) => ({ put: putOf(source, node) }),
  get: (source, node) => {
    const object = new JsonObject(source, node, [...PLACE, 'limit', 'keys_only', 'count_only'])
    object.exclude('keys_only', 'count_only')
    const limit = object.optional('limit', (value) => wholeNumberOf(source, value, 1))
    return {
      get: {
        ...placeOf(source, object),
        ...(limit === undefined ? {} : { limit }),
        ...(object.flag('keys_only') ? { keys_only: true } : {}),
        ...(object.flag('count_only') ? { count_only: true } : {}),
      },
    }
  },
  delete: (source, node) => {
    const object = new JsonObject(source, node, [...PLACE, 'prev'])
    return { delete: { ...placeOf(source, object), ...(object.flag('prev') ? { prev: true } : {}) } }
  },
}

function putOf(source: Source, node: JsonNode): PutJson {
  const object = new JsonObject(source, node, ['key', 'value', 'lease', 'ttl', 'prev'])
  object.exclude('lease', 'ttl')
  const lease = object.optional('lease', (value) => leaseOf(source, value, false))
  const ttl = object.optional('ttl', (value) => durationOf(source, value))
  return {
    key: object.required('key', (value) => keyOf(source, value)),
    value: object.required('value', (value) => bytesOf(source, value)),
    ...(lease === undefined ? {} : { lease }),
    ...(ttl === undefined ? {} : { ttl }),
    ...(object.flag('prev') ? { prev: true } : {}),
  }
}

function placeOf(source: Source, object: JsonObject): PlaceJson {
  const [first, ...others] = object.fields.filter(({ name }) => PLACE.includes(name))
  if (first === undefined) return object.missing('`"key"`, `"prefix"`, or `"start"` and `"end"`')
  const isBound = (name: string): boolean => name === 'start' || name === 'end'
  const other = others.find(({ name }) => !isBound(name) || !isBound(first.name))
  if (other !== undefined) {
    const expected = 'either `"key"`, or `"prefix"`, or `"start"` and `"end"`'
    source.fail(other.at, `expected ${expected}, found ${shownName(first)} and ${shownName(other)}`)
  }
  if (first.name === 'key') return { key: keyOf(source, first.value) }
  if (first.name === 'prefix') return { prefix: bytesOf(source, first.value) }
  const start = object.optional('start', (value) => bytesOf(source, value))
  const end = object.optional('end', (value) => endOf(source, value))
  if (start === undefined) return end === undefined ? object.missing('`"end"`') : { end }
  return end === undefined ? { start } : { start, end }
}

// ---------------------------------------------------------------------------------------------------------------------
// Objects

const shownName = ({ name }: JsonField): string => quoted(`"${name}"`)

const hasField = (node: JsonNode, name: string): boolean =>
  node.kind === 'object' && node.fields.some((field) => field.name === name)

/** An object that has no other fields than the known ones. */
class JsonObject {
  readonly fields: readonly JsonField[]
  readonly #source: Source
  readonly #at: number

  constructor(source: Source, node: JsonNode, known: readonly string[]) {
    if (node.kind !== 'object') wrong(source, node, 'an object')
    this.#source = source
    this.#at = node.at
    this.fields = node.fields
    const unknown = node.fields.find(({ name }) => !known.includes(name))
    if (unknown === undefined) return
    const near = nearestOf(unknown.name, known)
    const expected = oneOf(known.map((name) => quoted(`"${name}"`)))
    const hint = near === undefined ? undefined : `Did you mean ${quoted(`"${near}"`)}?`
    source.fail(unknown.at, `expected ${expected}, found ${shownName(unknown)}`, hint)
  }

  optional<T>(name: string, read: (value: JsonNode) => T): T | undefined {
    const field = this.fields.find((candidate) => candidate.name === name)
    return field === undefined ? undefined : read(field.value)
  }

  required<T>(name: string, read: (value: JsonNode) => T): T {
    const field = this.fields.find((candidate) => candidate.name === name)
    return field === undefined ? this.missing(quoted(`"${name}"`)) : read(field.value)
  }

  flag(name: string): boolean {
    return this.optional(name, (value) => flagOf(this.#source, value)) ?? false
  }

  /** Refuses two fields that contradict each other. */
  exclude(one: string, other: string): void {
    const given = this.fields.filter(({ name, value }) => [one, other].includes(name) && !isFalse(value))
    const [, second] = given
    if (second === undefined) return
    const message = `expected \`"${one}"\` or \`"${other}"\`, found both`
    this.#source.fail(second.at, message, 'They exclude each other.')
  }

  missing(expected: string): never {
    const found =
      this.fields.length === 0 ? 'an empty object' : `only ${this.fields.map(shownName).join(', ')}`
    return this.#source.fail(this.#at, `expected ${expected} in this object, found ${found}`)
  }
}

const isFalse = (node: JsonNode): boolean => node.kind === 'word' && node.text === 'false'

// ---------------------------------------------------------------------------------------------------------------------
// Values

function wrong(source: Source, node: JsonNode, expected: string, hint?: string): never {
  return source.fail(node.at, `expected ${expected}, found ${shownNode(node)}`, hint)
}

const itemsOf = (source: Source, node: JsonNode): readonly JsonNode[] =>
  node.kind === 'list' ? node.items : wrong(source, node, 'a list')

function flagOf(source: Source, node: JsonNode): boolean {
  if (node.kind !== 'word' || node.text === 'null') return wrong(source, node, '`true` or `false`')
  return node.text === 'true'
}

function choiceOf<T extends string>(source: Source, node: JsonNode, choices: readonly T[]): T {
  const choice = node.kind === 'string' ? choices.find((candidate) => candidate === node.text) : undefined
  return choice ?? wrong(source, node, oneOf(choices.map((candidate) => quoted(`"${candidate}"`))))
}

function bytesOf(source: Source, node: JsonNode): BytesJson {
  if (node.kind === 'string') return node.text
  if (node.kind !== 'object') return wrong(source, node, 'bytes: a string or `{"base64":"…"}`')
  const object = new JsonObject(source, node, ['base64'])
  return object.required('base64', (value) => base64Of(source, value))
}

function base64Of(source: Source, node: JsonNode): BytesJson {
  const written = node.kind === 'string' ? node.text : undefined
  const bytes = Buffer.from(written ?? '', 'base64')
  return bytes.toString('base64') === written
    ? bytesToJson(bytes)
    : wrong(source, node, 'base64 with padding')
}

function keyOf(source: Source, node: JsonNode): BytesJson {
  const key = bytesOf(source, node)
  return key === ''
    ? source.fail(node.at, 'expected a key, found no byte', 'A key has at least one byte.')
    : key
}

function endOf(source: Source, node: JsonNode): BytesJson {
  const end = bytesOf(source, node)
  if (end !== '') return end
  return source.fail(
    node.at,
    'expected the end of the range, found no byte',
    'A range without an end has no `"end"`.',
  )
}

function wholeNumberOf(source: Source, node: JsonNode, min: number): number {
  const number = node.kind === 'number' && /^[0-9]+$/.test(node.text) ? Number(node.text) : Number.NaN
  if (Number.isSafeInteger(number) && number >= min) return number
  return wrong(source, node, `a whole number from ${min} to 2^53 - 1`)
}

function leaseOf(source: Source, node: JsonNode, mayBeNone: boolean): string {
  const id = node.kind === 'string' ? leaseIdOf(node.text) : undefined
  if (id !== undefined && (mayBeNone || id !== '0')) return id
  const expected = `a lease id (decimal digits in a string, below 2^64${mayBeNone ? '; "0": no lease' : ', not "0"'})`
  return wrong(source, node, expected)
}

function durationOf(source: Source, node: JsonNode): string {
  if (node.kind === 'string' && DURATION.test(node.text)) return node.text
  return wrong(source, node, 'a duration (a number with ms, s, m or h, like "30s")')
}
