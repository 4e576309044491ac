// kv ls [PREFIX]: prints keys in the order of their bytes; with --values their values as well, as kv get --prefix does.

import type { KvRecord } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { bytesToJson, type Column, RowWriter, shownBytes, toJson, write, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'
import { metaJson, recordJson } from '../shapes.ts'

export interface LsFlags {
  readonly limit?: number | undefined
  readonly count?: true | undefined
  readonly values?: true | undefined
  readonly revision?: number | undefined
}

export async function ls(global: GlobalFlags, prefix: string | undefined, flags: LsFlags): Promise<void> {
  const { count, limit, values, revision } = flags
  if (count === true && limit !== undefined)
    throw new Failure(EXIT.usage, '--count and --limit contradict each other: all keys are counted')
  if (count === true && values === true)
    throw new Failure(
      EXIT.usage,
      '--count and --values contradict each other: the number of keys has no values',
    )
  await inSession(global, { kind: 'read' }, async (session) => {
    const { client, read, format } = session
    if (count === true) {
      const counted = await client.count({ ...read, prefix, revision })
      const isJson = format === 'json' || format === 'ndjson'
      return writeLine(isJson ? JSON.stringify({ count: counted }) : String(counted))
    }
    await printRecords(session, { prefix, limit, revision }, values === true)
  })
}

export async function printRecords(
  { client, read, format }: Session,
  range: {
    readonly prefix: string | undefined
    readonly limit: number | undefined
    readonly revision: number | undefined
  },
  values: boolean,
): Promise<void> {
  const records = client.list({ ...read, ...range, keysOnly: !values })
  const jsonOf = values ? recordJson : metaJson
  if (format === 'json') {
    let separator = '['
    for await (const record of records) {
      await write(`${separator}\n  ${JSON.stringify(jsonOf(record))}`)
      separator = ','
    }
    return writeLine(separator === '[' ? toJson([]) : '\n]')
  }
  if (format === 'ndjson') {
    for await (const record of records) await writeLine(JSON.stringify(jsonOf(record)))
    return
  }
  if (format === 'plain') {
    if (!values) for await (const record of records) await write(Buffer.concat([record.keyBytes, NEWLINE]))
    else {
      const { formatBytes } = await import('../txn-format.ts')
      // As in the language of transactions: no word has a tab or a line end in it.
      const wordOf = (bytes: Uint8Array) => formatBytes(bytesToJson(bytes))
      for await (const { keyBytes, value } of records)
        await writeLine(`${wordOf(keyBytes)}\t${wordOf(value)}`)
    }
    return
  }
  const value: Column<KvRecord> = { title: 'VALUE', cell: (record) => shownBytes(record.value) }
  const table = new RowWriter<KvRecord>(
    [
      { title: 'KEY', cell: (record) => record.key },
      ...(values ? [value] : []),
      { title: 'REVISION', cell: (record) => record.modRevision, alignRight: true },
      { title: 'VERSION', cell: (record) => record.version, alignRight: true },
    ],
    format,
  )
  for await (const record of records) await table.add(record)
  await table.end()
}

const NEWLINE = Buffer.from('\n')
