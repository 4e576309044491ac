// Prints the answer to a transaction: whether it succeeded, the revision, and each result under its operation.

import { bytesFromJson, toJson, toJsonLine } from '../format-json.ts'
import { type Column, isTable, printTable } from '../format-table.ts'
import { textOfBytes } from '../format-text.ts'
import type { Format } from '../global-flags.ts'
import { writeLine } from '../output.ts'
import { formatBytes, formatPlace } from './format-txn.ts'
import type {
  BytesJson,
  GetResultJson,
  OperationJson,
  RecordJson,
  ResultJson,
  TxnAnswerJson,
  TxnJson,
  TxnResultJson,
} from './json-types.ts'

export async function printTxn(format: Format, txn: TxnJson, answer: TxnAnswerJson): Promise<void> {
  const { succeeded, revision, results } = answer
  if (format === 'json') return writeLine(toJson(answer))
  if (format === 'ndjson') {
    await writeLine(toJsonLine({ succeeded, revision }))
    for (const result of results) await writeLine(toJsonLine(result))
    return
  }
  await writeLine(verdictOf(answer))
  await writeLine(isTable(format) ? `revision ${revision}` : String(revision))
  for (const part of partsOf(txn, answer, 0)) {
    if (isTable(format)) await printForPeople(format, part)
    else await printForScripts(part)
  }
}

// ---------------------------------------------------------------------------------------------------------------------
// What is printed

/** A piece of the output. What belongs to an operation is one level deeper than it. */
type Part = { readonly depth: number } & (
  | { readonly kind: 'line'; readonly text: string }
  /** The same in words, and in columns for scripts. */
  | { readonly kind: 'note'; readonly words: string; readonly columns: readonly (string | number)[] }
  | { readonly kind: 'records'; readonly records: readonly RecordJson[] }
)

const verdictOf = ({ succeeded }: TxnResultJson): string =>
  succeeded ? 'succeeded' : 'not succeeded: the else branch was done'

function partsOf(txn: TxnJson, { succeeded, results }: TxnResultJson, depth: number): readonly Part[] {
  const operations = succeeded ? txn.success : txn.failure
  return results.flatMap((result, at): readonly Part[] => {
    const operation = operations[at]
    if (operation === undefined) return partsOfResult(result, depth)
    const title: Part = { kind: 'line', depth, text: titleOf(operation) }
    if (!('txn' in operation && 'txn' in result)) return [title, ...partsOfResult(result, depth + 1)]
    const verdict: Part = { kind: 'line', depth: depth + 1, text: verdictOf(result.txn) }
    return [title, verdict, ...partsOf(operation.txn, result.txn, depth + 1)]
  })
}

/** The operation without values and options, which may be long. */
function titleOf(operation: OperationJson): string {
  if ('put' in operation) return `put ${formatBytes(operation.put.key)}`
  if ('get' in operation) return `get ${formatPlace(operation.get)}`
  return 'delete' in operation ? `delete ${formatPlace(operation.delete)}` : 'txn'
}

function partsOfResult(result: ResultJson, depth: number): readonly Part[] {
  const { words, columns, records } = contentOf(result)
  const note: Part = { kind: 'note', depth, words, columns }
  return records.length === 0 ? [note] : [note, { kind: 'records', depth, records }]
}

interface Content {
  readonly words: string
  readonly columns: readonly (string | number)[]
  readonly records: readonly RecordJson[]
}

function contentOf(result: ResultJson): Content {
  if ('put' in result) {
    const { create_revision: created, mod_revision: changed, version, prev } = result.put
    const before = prev === undefined ? '' : prev === null ? '; there was no such key' : '; before:'
    return {
      words: `version ${version}, create revision ${created}, mod revision ${changed}${before}`,
      columns: [created, changed, version],
      records: prev ? [prev] : [],
    }
  }
  if ('delete' in result) {
    const { deleted, prev = [] } = result.delete
    const words = `${keys(deleted)} deleted${prev.length === 0 ? '' : ':'}`
    return { words, columns: [deleted], records: prev }
  }
  if ('get' in result) return contentOfGet(result.get)
  return { words: verdictOf(result.txn), columns: [verdictOf(result.txn)], records: [] }
}

function contentOfGet(result: GetResultJson): Content {
  if ('omitted' in result)
    return { words: 'records are not kept for a repeated request', columns: ['omitted'], records: [] }
  const { kvs, count, more } = result
  const words = more ? `the first ${kvs.length} of ${keys(count)}` : keys(count)
  return { words, columns: [count], records: kvs }
}

const keys = (count: number): string => (count === 1 ? '1 key' : `${count} keys`)

// ---------------------------------------------------------------------------------------------------------------------
// For people

async function printForPeople(format: Format, part: Part): Promise<void> {
  const indent = '  '.repeat(part.depth)
  if (part.kind === 'line') return writeLine(indent + part.text)
  if (part.kind === 'note') return writeLine(indent + part.words)
  await printTable<RecordJson>(columnsOf(part.records, indent), format, part.records)
}

function columnsOf(records: readonly RecordJson[], indent: string): readonly Column<RecordJson>[] {
  const value: Column<RecordJson> = { title: 'VALUE', cell: (record) => textOf(record.value ?? '') }
  return [
    { title: `${indent}KEY`, cell: ({ key }) => indent + textOf(key) },
    ...(records.some((record) => record.value !== undefined) ? [value] : []),
    { title: 'CREATED', cell: (record) => record.create_revision, alignRight: true, wide: true },
    { title: 'REVISION', cell: (record) => record.mod_revision, alignRight: true },
    { title: 'VERSION', cell: (record) => record.version, alignRight: true },
    { title: 'LEASE', cell: (record) => record.lease, alignRight: true, wide: true },
  ]
}

const textOf = (json: BytesJson): string => textOfBytes(bytesFromJson(json))

// ---------------------------------------------------------------------------------------------------------------------
// For scripts: as many tabs as levels, then columns. Keys and values are written as in the language, so each is one
// word without tabs and line ends.

async function printForScripts(part: Part): Promise<void> {
  const indent = '\t'.repeat(part.depth)
  if (part.kind === 'line') return writeLine(indent + part.text)
  if (part.kind === 'note') return writeLine(indent + part.columns.join('\t'))
  for (const record of part.records) await writeLine(indent + columnsOfRecord(record).join('\t'))
}

const columnsOfRecord = (record: RecordJson): readonly (string | number)[] => [
  formatBytes(record.key),
  ...(record.value === undefined ? [] : [formatBytes(record.value)]),
  record.create_revision,
  record.mod_revision,
  record.version,
  record.lease ?? '-',
]
