// kv ls: prints keys in the order of their bytes; with --values their values as well, as kv get --prefix does.

import { Command, Option } from '@commander-js/extra-typings'
import type { KvRecord } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import { parseCount, parseRevision } from '../flags/flag-values.ts'
import { END, type KeyBounds, parseBounds, START } from '../flags/key-range.ts'
import { printedMetaJson, printedRecordJson, toJson, toJsonLine } from '../format/json.ts'
import { printableText } from '../format/text.ts'
import { printResult, write, writeLine } from '../terminal/output.ts'
import { type Column, printList } from '../terminal/table.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('ls'), [
    'kv ls',
    'kv ls services/',
    'kv ls services/ --count',
    'kv ls services/ --values',
    'kv ls --start log/2025 --end log/2026',
    'kv ls --revision 41',
    'kv ls -o json',
  ])
    .description('list keys')
    .argument('[prefix]', 'only keys that begin with it')
    .option('--prefix <prefix>', 'the same as the argument')
    .addOption(new Option(...START))
    .addOption(new Option(...END))
    .option('--limit <count>', 'at most this many', parseCount)
    .option('--count', 'print only how many there are')
    .option('--values', 'with their values')
    .option('--revision <revision>', 'as they were at this revision', parseRevision)
    .action(async (argument, { limit, count, values, revision, ...range }) => {
      const words = argument === undefined ? [] : [argument]
      const isPrefix = argument !== undefined && range.start === undefined && range.end === undefined
      const bounds = parseBounds(words, isPrefix ? { prefix: true, ...range } : range, 'ls') ?? {}
      if (count === true && limit !== undefined)
        throw new Failure(EXIT.usage, '--count and --limit contradict each other: all keys are counted')
      if (count === true && values === true)
        throw new Failure(
          EXIT.usage,
          '--count and --values contradict each other: the number of keys has no values',
        )
      await withContext(flags(), { kind: 'read' }, async (context) => {
        const { client, read, format } = context
        if (count !== true) return printRecords(context, { ...bounds, limit, revision }, values === true)
        const counted = await client.count({ ...read, ...bounds, revision })
        await printResult(format === 'json' ? 'ndjson' : format, { count: counted }, String(counted))
      })
    })

type ListRange = Partial<KeyBounds> & {
  readonly limit: number | undefined
  readonly revision: number | undefined
}

const NEWLINE = Buffer.from('\n')

export async function printRecords(
  { client, read, format }: CommandContext,
  range: ListRange,
  values: boolean,
): Promise<void> {
  const records = client.list({ ...read, ...range, keysOnly: !values })
  const jsonOf = values ? printedRecordJson : printedMetaJson
  if (format === 'json') {
    let separator = '['
    for await (const record of records) {
      await write(`${separator}\n  ${toJsonLine(jsonOf(record))}`)
      separator = ','
    }
    return writeLine(separator === '[' ? toJson([]) : '\n]')
  }
  if (format === 'plain' && !values) {
    for await (const record of records) await write(Buffer.concat([record.keyBytes, NEWLINE]))
    return
  }
  if (format === 'plain') {
    // No word has a tab or a line end.
    const { formatWord } = await import('../format/word.ts')
    for await (const { keyBytes, value } of records)
      await writeLine(`${formatWord(keyBytes)}\t${formatWord(value)}`)
    return
  }
  const value: Column<KvRecord> = { title: 'VALUE', cell: (record) => printableText(record.value) }
  await printList<KvRecord>(format, records, jsonOf, [
    { title: 'KEY', cell: (record) => record.key },
    ...(values ? [value] : []),
    { title: 'REVISION', cell: (record) => record.modRevision, alignRight: true },
    { title: 'VERSION', cell: (record) => record.version, alignRight: true },
  ])
}
