// Writes a transaction in the language that parser.ts reads, and in JSON.

import { formatBytes, formatPlace } from '../../../src/cli/txn/format-txn.ts'
import { bytesToJson } from '../../../src/client/decode.ts'
import type { Txn, TxnComparison, TxnGet, TxnOperation, TxnPut } from '../../../src/client/index.ts'

const INDENT = '  '

export const formatTxn = (txn: Txn): string =>
  linesOf(txn, '')
    .map((line) => `${line}\n`)
    .join('')

function linesOf({ compare = [], success = [], failure = [] }: Txn, indent: string): string[] {
  const operations = (list: readonly TxnOperation[]): string[] =>
    list.flatMap((operation) => operationLines(operation, indent + INDENT))
  return [
    ...compare.map((comparison) => indent + formatComparison(comparison)),
    `${indent}then`,
    ...operations(success),
    ...(failure.length === 0 ? [] : [`${indent}else`, ...operations(failure)]),
  ]
}

function operationLines(operation: TxnOperation, indent: string): string[] {
  if (!('txn' in operation)) return [indent + formatOperation(operation)]
  return [`${indent}txn {`, ...linesOf(operation.txn, indent + INDENT), `${indent}}`]
}

function formatComparison(comparison: TxnComparison): string {
  if ('exists' in comparison)
    return `${comparison.exists ? 'exists' : 'missing'} ${formatBytes(comparison.key)}`
  const to = comparison.target === 'value' ? formatBytes(comparison.to) : String(comparison.to)
  return `${comparison.target}(${formatPlace(comparison)}) ${comparison.op} ${to}`
}

/** The line of an operation that is no transaction. */
function formatOperation(operation: Exclude<TxnOperation, { readonly txn: Txn }>): string {
  if ('put' in operation) return formatPut(operation.put)
  if ('get' in operation) return formatGet(operation.get)
  return joined(['delete', formatPlace(operation.delete), operation.delete.prev && 'prev'])
}

function formatPut({ key, value, lease, ttlMs, prev }: TxnPut): string {
  return joined([
    'put',
    formatBytes(key),
    formatBytes(value),
    lease && `lease ${lease}`,
    ttlMs !== undefined && `ttl ${ttlMs}ms`,
    prev && 'prev',
  ])
}

function formatGet(get: TxnGet): string {
  return joined([
    'get',
    formatPlace(get),
    get.limit && `limit ${get.limit}`,
    get.keysOnly && 'keys-only',
    get.count && 'count',
    get.countOnly && 'count-only',
  ])
}

const joined = (words: readonly (string | number | boolean | undefined)[]): string =>
  words.filter((word) => typeof word === 'string').join(' ')

const HTTP_NAMES: ReadonlyMap<string, string> = new Map([
  ['keysOnly', 'keys_only'],
  ['countOnly', 'count_only'],
  ['ttlMs', 'ttl'],
])

/** The body of `POST /v1/txn`. */
export function httpForm(value: unknown): unknown {
  if (value instanceof Uint8Array) return bytesToJson(value)
  if (Array.isArray(value)) return value.map(httpForm)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).map(([name, field]) => [
    HTTP_NAMES.get(name) ?? name,
    name === 'ttlMs' ? `${field}ms` : httpForm(field),
  ])
  return Object.fromEntries(fields)
}
