// Writes a transaction in the language that parser.ts reads.

import { formatBytes, formatPlace } from '../../../src/cli/txn/format-txn.ts'
import type {
  ComparisonJson,
  GetJson,
  OperationJson,
  PutJson,
  TxnJson,
} from '../../../src/cli/txn/json-types.ts'

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
function formatOperation(operation: Exclude<OperationJson, { readonly txn: TxnJson }>): string {
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
