// kv get KEY: prints the exact bytes of the value, or the record if a format is chosen. With --prefix: the records of
// all keys that begin with KEY, as kv ls --values does.

import { Command } from '@commander-js/extra-typings'
import type { KvRecord } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { keyArgument } from '../flags/arguments.ts'
import { parseRevision } from '../flags/flag-values.ts'
import { parseBounds } from '../flags/key-range.ts'
import { printedRecordJson } from '../format/json.ts'
import { escapeLines, printableText } from '../format/text.ts'
import { io } from '../terminal/io.ts'
import { type Format, printJson, printLines, say, write } from '../terminal/output.ts'
import { printTable } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('get'), [
    'kv get greeting',
    'kv get logo > logo.png',
    'kv get greeting -o json',
    'kv get greeting --consistency stale',
    'kv get greeting --revision 41',
    'kv get --prefix services/',
  ])
    .description('print the value of a key: its exact bytes')
    .argument('[key]')
    .option('--revision <revision>', 'as it was at this revision', parseRevision)
    .option('--prefix [prefix]', 'all keys that begin with it, with their values')
    .action(async (name, { revision, prefix }) => {
      const bounds = parseBounds(name === undefined ? [] : [name], { prefix }, 'get')
      if (bounds === undefined && name === undefined)
        throw new Failure(EXIT.usage, "missing required argument 'key'", [`See: ${PROGRAM} help get`])
      const key = bounds === undefined ? keyArgument(name ?? '') : ''
      await withContext(flags(), { kind: 'read' }, async (context) => {
        if (bounds !== undefined) {
          const { printRecords } = await import('./ls.ts')
          return printRecords(context, { ...bounds, limit: undefined, revision }, true)
        }
        const record = await context.client.get(key, { ...context.read, revision })
        const then = revision === undefined ? '' : ` at revision ${revision}`
        if (record === undefined)
          throw new Failure(EXIT.notFound, `there is no key ${key}${then}${await hintAt(context, key)}`)
        if (context.isFormatChosen && context.format !== 'plain') return printRecord(record, context.format)
        if (io().stdout.isTTY !== true) return write(record.value)
        await printValue(record.value)
      })
    })

/** On a terminal: that keys begin with the name, if some do. */
async function hintAt({ client, read }: CommandContext, prefix: string): Promise<string> {
  if (io().stderr.isTTY !== true) return ''
  const count = await client.count({ ...read, prefix }).catch(() => 0)
  if (count === 0) return ''
  return `; ${count === 1 ? '1 key begins' : `${count} keys begin`} with it: add --prefix`
}

async function printRecord(record: KvRecord, format: Format): Promise<void> {
  if (await printJson(format, printedRecordJson(record))) return
  await printTable<readonly [string, string | number]>(
    [
      { title: 'FIELD', cell: ([field]) => field },
      { title: 'VALUE', cell: ([, value]) => value },
    ],
    format,
    [
      ['key', record.key],
      ['value', record.text()],
      ['create revision', record.createRevision],
      ['mod revision', record.modRevision],
      ['version', record.version],
      ...(record.by === undefined ? [] : [['by', record.by] as const]),
    ],
  )
}

/** On a terminal bytes that could control it, and bytes that are not UTF-8, are escaped. */
async function printValue(value: Uint8Array): Promise<void> {
  const text = printableText(value, /(?!\r?\n|\t)[^ -~]/g)
  await printLines(text)
  if (escapeLines(text) !== Buffer.from(value).toString())
    say(
      `some bytes of the value are shown as \\xNN; a pipe or a file gets the exact bytes: ${PROGRAM} get KEY > FILE`,
    )
}
