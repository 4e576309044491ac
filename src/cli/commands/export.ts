// kv export [PREFIX]: all records of one revision, as NDJSON on stdout or as files below a directory.

import { Command } from '@commander-js/extra-typings'
import type { AnswerInfo, KvRecord } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { bytesDocument } from '../../operations/forms/bytes.ts'
import { type CommandContext, withContext } from '../command-context.ts'
import { type ProgramContext, withExamples } from '../command-definition.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../flags/global-flags.ts'
import { printedRecordJson, toJsonLine } from '../format/json.ts'
import { io, userPath } from '../terminal/io.ts'
import { printJson, say, writeLine } from '../terminal/output.ts'
import { byteCount, keyCount, ProgressDisplay } from '../terminal/progress.ts'
import { ExportDirectory } from '../transfer/export-files.ts'
import { PrefixStripper } from '../transfer/strip-prefix.ts'

export const command = ({ flags }: ProgramContext) =>
  withExamples(new Command('export'), [
    'kv export > backup.ndjson',
    'kv export prod/conf/ --dir conf --strip-prefix prod/conf/',
  ])
    .description('print all records of one revision as NDJSON, or write them as files')
    .argument('[prefix]', 'only keys that begin with it')
    .option('--dir <directory>', 'write a file for each key below this directory')
    .option('--strip-prefix <prefix>', 'take this off the front of keys')
    .option('--force', 'overwrite files whose content differs')
    .addHelpText('after', EXPORT_NOTES)
    .action((prefix, options) => exportFrom(flags(), prefix, options))

const EXPORT_NOTES = `
With --dir nothing is ever written outside the directory or through a symlink in it. Keys that are no safe
relative path, and files that are there with other content, are named and left out; the exit code is then 1.
So is the second of two keys that --strip-prefix would make one.`

/** Timeout for each 1,000 records or 4 MiB, not for the whole export. */
const TIMEOUT_MS = 30_000

interface ExportFlags {
  readonly dir?: string | undefined
  readonly stripPrefix?: string | undefined
  readonly force?: true | undefined
}

async function exportFrom(
  global: GlobalFlags,
  prefix: string | undefined,
  flags: ExportFlags,
): Promise<void> {
  if (flags.force === true && flags.dir === undefined)
    throw new Failure(EXIT.usage, '--force overwrites files: it goes with --dir')
  await withContext(
    global,
    { kind: 'read' },
    async (context) => {
      const stripper = new PrefixStripper(flags.stripPrefix ?? '', prefix ?? '')
      let revision: number | undefined
      const onAnswer = (info: AnswerInfo) => {
        revision = info.revision
        context.read.onAnswer?.(info)
      }
      const records = context.client.list({ ...context.read, onAnswer, prefix, snapshot: true })
      // A terminal that shows the records needs no other progress.
      const progress = new ProgressDisplay(flags.dir !== undefined || io().stdout.isTTY !== true)
      try {
        if (flags.dir === undefined) await exportLines(records, stripper, progress, () => revision)
        else await exportFiles(context, records, stripper, progress, flags.dir, flags.force === true)
      } finally {
        progress.clear()
      }
    },
    { timeoutMs: TIMEOUT_MS },
  )
}

/** The last line shows a reader that nothing is missing. */
async function exportLines(
  records: AsyncIterable<KvRecord>,
  stripper: PrefixStripper,
  progress: ProgressDisplay,
  revision: () => number | undefined,
): Promise<void> {
  let count = 0
  let refused = 0
  for await (const record of records) {
    const stripped = stripper.strip(record.keyBytes)
    if (stripped.kind === 'refused') {
      refused += 1
      progress.clear()
      sayRefused(record, stripped.reason)
      continue
    }
    await writeLine(toJsonLine({ ...printedRecordJson(record), key: bytesDocument(stripped.key) }))
    count += 1
    progress.show(() => `exported ${keyCount(count)}`)
  }
  await writeLine(toJsonLine({ end: true, count, revision: revision() }))
  failIfRefused(refused, count)
}

async function exportFiles(
  { format }: CommandContext,
  records: AsyncIterable<KvRecord>,
  stripper: PrefixStripper,
  progress: ProgressDisplay,
  path: string,
  force: boolean,
): Promise<void> {
  const directory = new ExportDirectory(userPath(path), force)
  let exported = 0
  let bytes = 0
  let refused = 0
  let leased = 0
  for await (const record of records) {
    const stripped = stripper.strip(record.keyBytes)
    const result = stripped.kind === 'refused' ? stripped : directory.write(stripped.key, record.value)
    if (result.kind === 'refused') {
      refused += 1
      progress.clear()
      sayRefused(record, result.reason)
      continue
    }
    exported += 1
    if (record.lease !== undefined) leased += 1
    bytes += record.value.length
    progress.show(() => `exported ${keyCount(exported)}, ${byteCount(bytes)}`)
  }
  progress.clear()
  const seconds = Number(progress.seconds.toFixed(3))
  if (!(await printJson(format, { exported, refused, bytes, seconds })))
    say(`exported ${keyCount(exported)}, ${byteCount(bytes)} to ${path} in ${seconds.toFixed(1)} s`)
  if (leased > 0)
    say(
      `warning: ${keyCount(leased)} had a lease, which a file does not keep: an import makes plain keys of them`,
    )
  failIfRefused(refused, exported)
}

function sayRefused(record: KvRecord, reason: string): void {
  say(`not exported: ${record.key}: ${reason}`)
}

function failIfRefused(refused: number, exported: number): void {
  if (refused === 0) return
  throw new Failure(
    EXIT.failed,
    `${refused} of ${exported + refused} keys were not exported; they are named above`,
  )
}
