// Prints the result of a transaction: whether it succeeded, the revision, and each result under its operation.

import type {
  KvRecord,
  Txn,
  TxnGetResult,
  TxnOperation,
  TxnOperationResult,
  TxnResult,
} from '../../client/index.ts'
import { metaJson, recordJson, toJson, toJsonLine } from '../format-json.ts'
import { type Column, isTable, printTable } from '../format-table.ts'
import { textOfBytes } from '../format-text.ts'
import type { Format } from '../global-flags.ts'
import { writeLine } from '../output.ts'
import { formatBytes, formatPlace } from './format-txn.ts'

export async function printTxn(format: Format, txn: Txn, result: TxnResult): Promise<void> {
  const { succeeded, revision } = result
  const results = resultsJson(txn, result)
  if (format === 'json') return writeLine(toJson({ succeeded, revision, results }))
  if (format === 'ndjson') {
    await writeLine(toJsonLine({ succeeded, revision }))
    for (const each of results) await writeLine(toJsonLine(each))
    return
  }
  await writeLine(verdictOf(result))
  await writeLine(isTable(format) ? `revision ${revision}` : String(revision))
  await printResults(format, txn, result, '')
}

const verdictOf = ({ succeeded }: TxnResult): string =>
  succeeded ? 'succeeded' : 'not succeeded: the else branch was done'

/** Each operation that was done, with its result. */
const operationsDone = (txn: Txn, { succeeded, results }: TxnResult) => {
  const operations = (succeeded ? txn.success : txn.failure) ?? []
  return results.map((result, at) => ({ operation: operations[at], result }))
}

const isKeysOnly = (operation: TxnOperation | undefined): boolean =>
  operation !== undefined && 'get' in operation && operation.get.keysOnly === true

// ---------------------------------------------------------------------------------------------------------------------
// As JSON, in the shape of the HTTP API

const resultsJson = (txn: Txn, result: TxnResult): object[] =>
  operationsDone(txn, result).map(({ operation, result: done }) => operationJson(operation, done))

function operationJson(operation: TxnOperation | undefined, result: TxnOperationResult): object {
  if (result.put !== undefined) {
    const { prev, createRevision, modRevision, version } = result.put
    const put = { create_revision: createRevision, mod_revision: modRevision, version }
    return { put: prev === undefined ? put : { ...put, prev: prev && recordJson(prev) } }
  }
  if (result.get !== undefined) return { get: getJson(result.get, isKeysOnly(operation)) }
  if (result.delete !== undefined) {
    const { deleted, prev } = result.delete
    return { delete: prev === undefined ? { deleted } : { deleted, prev: prev.map(recordJson) } }
  }
  const inner = operation !== undefined && 'txn' in operation ? operation.txn : {}
  return { txn: { succeeded: result.txn.succeeded, results: resultsJson(inner, result.txn) } }
}

function getJson(result: TxnGetResult, keysOnly: boolean): object {
  if (result.omitted) return { omitted: true }
  const { kvs, more, count } = result
  const withoutValue = (record: KvRecord): object => ({
    ...metaJson(record),
    ...(record.lease === undefined ? {} : { lease: record.lease }),
  })
  return { kvs: kvs.map(keysOnly ? withoutValue : recordJson), more, count }
}

// ---------------------------------------------------------------------------------------------------------------------
// For people, and for scripts: as many tabs as levels, then columns. Keys and values are written as in the language.

async function printResults(format: Format, txn: Txn, result: TxnResult, indent: string): Promise<void> {
  const deeper = indent + (isTable(format) ? '  ' : '\t')
  for (const { operation, result: done } of operationsDone(txn, result)) {
    if (operation !== undefined) await writeLine(indent + titleOf(operation))
    if (done.txn !== undefined) {
      await writeLine(deeper + verdictOf(done.txn))
      const inner = operation !== undefined && 'txn' in operation ? operation.txn : {}
      await printResults(format, inner, done.txn, deeper)
      continue
    }
    const { words, columns, records } = contentOf(done)
    await writeLine(deeper + (isTable(format) ? words : columns.join('\t')))
    await printRecords(format, records, isKeysOnly(operation), deeper)
  }
}

/** The operation without values and options, which may be long. */
function titleOf(operation: TxnOperation): string {
  if ('put' in operation) return `put ${formatBytes(operation.put.key)}`
  if ('get' in operation) return `get ${formatPlace(operation.get)}`
  return 'delete' in operation ? `delete ${formatPlace(operation.delete)}` : 'txn'
}

interface Content {
  readonly words: string
  readonly columns: readonly (string | number)[]
  readonly records: readonly KvRecord[]
}

function contentOf(result: TxnOperationResult): Content {
  if (result.put !== undefined) {
    const { createRevision, modRevision, version, prev } = result.put
    const before = prev === undefined ? '' : prev === null ? '; there was no such key' : '; before:'
    return {
      words: `version ${version}, create revision ${createRevision}, mod revision ${modRevision}${before}`,
      columns: [createRevision, modRevision, version],
      records: prev ? [prev] : [],
    }
  }
  if (result.delete !== undefined) {
    const { deleted, prev = [] } = result.delete
    const words = `${keys(deleted)} deleted${prev.length === 0 ? '' : ':'}`
    return { words, columns: [deleted], records: prev }
  }
  if (result.get === undefined || result.get.omitted)
    return { words: 'records are not kept for a repeated request', columns: ['omitted'], records: [] }
  const { kvs, count, more } = result.get
  const found = count ?? kvs.length
  const all = count === undefined ? 'more' : keys(count)
  const columns = more && count === undefined ? [found, 'more'] : [found]
  return { words: more ? `the first ${kvs.length} of ${all}` : keys(found), columns, records: kvs }
}

const keys = (count: number): string => (count === 1 ? '1 key' : `${count} keys`)

async function printRecords(
  format: Format,
  records: readonly KvRecord[],
  keysOnly: boolean,
  indent: string,
): Promise<void> {
  if (records.length === 0) return
  if (isTable(format)) return printTable(columnsOf(keysOnly, indent), format, records)
  for (const { keyBytes, value, createRevision, modRevision, version, lease = '-' } of records) {
    const content = keysOnly ? [] : [formatBytes(value)]
    const columns = [formatBytes(keyBytes), ...content, createRevision, modRevision, version, lease]
    await writeLine(indent + columns.join('\t'))
  }
}

function columnsOf(keysOnly: boolean, indent: string): readonly Column<KvRecord>[] {
  const value: Column<KvRecord> = { title: 'VALUE', cell: (record) => textOfBytes(record.value) }
  return [
    { title: `${indent}KEY`, cell: (record) => indent + textOfBytes(record.keyBytes) },
    ...(keysOnly ? [] : [value]),
    { title: 'CREATED', cell: (record) => record.createRevision, alignRight: true, wide: true },
    { title: 'REVISION', cell: (record) => record.modRevision, alignRight: true },
    { title: 'VERSION', cell: (record) => record.version, alignRight: true },
    { title: 'LEASE', cell: (record) => record.lease, alignRight: true, wide: true },
  ]
}
