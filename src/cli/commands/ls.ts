// kv ls [PREFIX]: prints keys in the order of their bytes.

import type { KvRecord } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { RowWriter, toJson, write, writeLine } from '../output.ts'
import { inSession, type Session } from '../session.ts'
import { metaJson } from '../shapes.ts'

export interface LsFlags {
  readonly limit?: number | undefined
  readonly count?: true | undefined
}

export async function ls(global: GlobalFlags, prefix: string | undefined, flags: LsFlags): Promise<void> {
  if (flags.count === true && flags.limit !== undefined)
    throw new Failure(EXIT.usage, '--count and --limit contradict each other: all keys are counted')
  await inSession(global, { kind: 'read' }, async (session) => {
    const { client, read, format } = session
    if (flags.count === true) {
      const count = await client.count({ ...read, prefix })
      const isJson = format === 'json' || format === 'ndjson'
      return writeLine(isJson ? JSON.stringify({ count }) : String(count))
    }
    await printKeys(session, client.list({ ...read, prefix, limit: flags.limit, keysOnly: true }))
  })
}

async function printKeys({ format }: Session, records: AsyncIterable<KvRecord>): Promise<void> {
  if (format === 'json') {
    let separator = '['
    for await (const record of records) {
      await write(`${separator}\n  ${JSON.stringify(metaJson(record))}`)
      separator = ','
    }
    return writeLine(separator === '[' ? toJson([]) : '\n]')
  }
  if (format === 'ndjson') {
    for await (const record of records) await writeLine(JSON.stringify(metaJson(record)))
    return
  }
  if (format === 'plain') {
    for await (const record of records) await write(Buffer.concat([record.keyBytes, NEWLINE]))
    return
  }
  const table = new RowWriter<KvRecord>(
    [
      { title: 'KEY', cell: (record) => record.key },
      { title: 'REVISION', cell: (record) => record.modRevision, alignRight: true },
      { title: 'VERSION', cell: (record) => record.version, alignRight: true },
    ],
    format,
  )
  for await (const record of records) await table.add(record)
  await table.end()
}

const NEWLINE = Buffer.from('\n')
