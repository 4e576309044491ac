// Writes transactions in the language in which txn-language.ts reads them.

import { bytesFromJson } from '../client/decode.ts'
import { BASE64, FILE, RANGE_WORDS } from './txn-operands.ts'
import type {
  BytesJson,
  ComparisonJson,
  GetJson,
  OperationJson,
  PlaceJson,
  PutJson,
  TxnJson,
} from './txn-shapes.ts'
import { isPlain } from './txn-words.ts'

const INDENT = '  '

export const formatTxn = (txn: TxnJson): string =>
  linesOf(txn, '')
    .map((line) => `${line}\n`)
    .join('')

function linesOf({ compare, success, failure }: TxnJson, indent: string): string[] {
  const operations = (list: readonly OperationJson[]): string[] =>
    list.flatMap((operation) => operationLines(operation, indent + INDENT))
  return [
    ...compare.map((comparison) => indent + formatComparison(comparison)),
    `${indent}then`,
    ...operations(success),
    ...(failure.length === 0 ? [] : [`${indent}else`, ...operations(failure)]),
  ]
}

function operationLines(operation: OperationJson, indent: string): string[] {
  if (!('txn' in operation)) return [indent + formatOperation(operation)]
  return [`${indent}txn {`, ...linesOf(operation.txn, indent + INDENT), `${indent}}`]
}

function formatComparison(comparison: ComparisonJson): string {
  if ('exists' in comparison)
    return `${comparison.exists ? 'exists' : 'missing'} ${formatBytes(comparison.key)}`
  const to = comparison.target === 'value' ? formatBytes(comparison.to) : String(comparison.to)
  return `${comparison.target}(${formatPlace(comparison)}) ${comparison.op} ${to}`
}

/** The line of an operation that is no transaction. */
export function formatOperation(operation: Exclude<OperationJson, { readonly txn: TxnJson }>): string {
  if ('put' in operation) return formatPut(operation.put)
  if ('get' in operation) return formatGet(operation.get)
  return joined(['delete', formatPlace(operation.delete), operation.delete.prev && 'prev'])
}

function formatPut({ key, value, lease, ttl, prev }: PutJson): string {
  return joined([
    'put',
    formatBytes(key),
    formatBytes(value),
    lease && `lease ${lease}`,
    ttl && `ttl ${ttl}`,
    prev && 'prev',
  ])
}

function formatGet(get: GetJson): string {
  return joined([
    'get',
    formatPlace(get),
    get.limit && `limit ${get.limit}`,
    get.keys_only && 'keys-only',
    get.count_only && 'count-only',
  ])
}

const joined = (words: readonly (string | number | boolean | undefined)[]): string =>
  words.filter((word) => typeof word === 'string').join(' ')

export function formatPlace(place: PlaceJson): string {
  if ('key' in place) return formatBytes(place.key)
  if ('prefix' in place) return `prefix ${formatBytes(place.prefix)}`
  if (!('start' in place)) return `before ${formatBytes(place.end)}`
  if (place.end === undefined) return `from ${formatBytes(place.start)}`
  return `range ${formatBytes(place.start)} ${formatBytes(place.end)}`
}

/** Bytes that are not UTF-8 are written with \xNN or in base64, whichever is shorter. */
export function formatBytes(json: BytesJson): string {
  if (typeof json === 'string') return isBare(json) ? json : `"${escapedText(json)}"`
  const bytes = bytesFromJson(json)
  const base64 = BASE64 + Buffer.from(bytes).toString('base64')
  const string = `"${escapedBytes(bytes)}"`
  return string.length <= base64.length ? string : base64
}

const SPECIAL = new Set<string>(RANGE_WORDS)

/** Whether the word means itself in all places, and shows all that it holds. */
const isBare = (text: string): boolean =>
  isPlain(text) &&
  !SPECIAL.has(text) &&
  !text.startsWith('#') &&
  !text.startsWith(FILE) &&
  !text.startsWith(BASE64) &&
  !/\p{C}/u.test(text)

/** Characters that control a terminal, or cannot be seen. */
const HIDDEN = /["\\]|(?! )[\p{C}\p{Z}]/gu

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}

const escapedText = (text: string): string =>
  text.replace(
    HIDDEN,
    (char) => SHORT[char] ?? Array.from({ length: char.length }, (_, at) => unit(char, at)).join(''),
  )

const unit = (text: string, at: number): string => `\\u${text.charCodeAt(at).toString(16).padStart(4, '0')}`

const escapedBytes = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte)
    if (byte < 0x20 || byte > 0x7e) return SHORT[char] ?? `\\x${byte.toString(16).padStart(2, '0')}`
    return SHORT[char] ?? char
  }).join('')
