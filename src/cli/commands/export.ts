// kv export [PREFIX]: all records of one revision, as NDJSON on stdout or as files below a directory.

import type { AnswerInfo, KvRecord } from '../../client/index.ts'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { ExportDirectory } from '../export-files.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { bytesToJson, printable, say, toJson, writeLine } from '../output.ts'
import { keyCount, megabytes, Progress } from '../progress.ts'
import { inSession, type Session } from '../session.ts'
import { recordJson } from '../shapes.ts'
import { PrefixStripper } from '../strip-prefix.ts'

/** Time-out for each 1,000 records or 4 MiB, not for the whole export. */
const TIMEOUT_MS = 30_000

export interface ExportFlags {
  readonly dir?: string | undefined
  readonly stripPrefix?: string | undefined
  readonly force?: true | undefined
}

export async function exportFrom(
  global: GlobalFlags,
  prefix: string | undefined,
  flags: ExportFlags,
): Promise<void> {
  if (flags.force === true && flags.dir === undefined)
    throw new Failure(EXIT.usage, '--force overwrites files: it goes with --dir')
  await inSession(
    global,
    { kind: 'read' },
    async (session) => {
      const stripper = new PrefixStripper(flags.stripPrefix ?? '', prefix ?? '')
      let revision: number | undefined
      const onAnswer = (info: AnswerInfo) => {
        revision = info.revision
        session.read.onAnswer?.(info)
      }
      const records = session.client.list({ ...session.read, onAnswer, prefix, snapshot: true })
      // A terminal that shows the records needs no other progress.
      const progress = new Progress(flags.dir !== undefined || process.stdout.isTTY !== true)
      try {
        if (flags.dir === undefined) await exportLines(records, stripper, progress, () => revision)
        else await exportFiles(session, records, stripper, progress, flags.dir, flags.force === true)
      } finally {
        progress.clear()
      }
    },
    { timeoutMs: TIMEOUT_MS },
  )
}

/** The last line tells a reader that nothing is missing. */
async function exportLines(
  records: AsyncIterable<KvRecord>,
  stripper: PrefixStripper,
  progress: Progress,
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
    await writeLine(JSON.stringify({ ...recordJson(record), key: bytesToJson(stripped.key) }))
    count += 1
    progress.show(() => `exported ${keyCount(count)}`)
  }
  await writeLine(JSON.stringify({ end: true, count, revision: revision() }))
  failIfRefused(refused, count)
}

async function exportFiles(
  { format }: Session,
  records: AsyncIterable<KvRecord>,
  stripper: PrefixStripper,
  progress: Progress,
  path: string,
  force: boolean,
): Promise<void> {
  const directory = new ExportDirectory(path, force)
  let exported = 0
  let bytes = 0
  let refused = 0
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
    bytes += record.value.length
    progress.show(() => `exported ${keyCount(exported)}, ${megabytes(bytes)}`)
  }
  progress.clear()
  const seconds = Number(progress.seconds.toFixed(3))
  const json = { exported, refused, bytes, seconds }
  if (format === 'json') await writeLine(toJson(json))
  else if (format === 'ndjson') await writeLine(JSON.stringify(json))
  else say(`exported ${keyCount(exported)}, ${megabytes(bytes)} to ${path} in ${seconds.toFixed(1)} s`)
  failIfRefused(refused, exported)
}

function sayRefused(record: KvRecord, reason: string): void {
  say(`not exported: ${printable(record.key)}: ${printable(reason)}`)
}

function failIfRefused(refused: number, exported: number): void {
  if (refused === 0) return
  throw new Failure(
    EXIT.failed,
    `${refused} of ${exported + refused} keys were not exported; they are named above`,
  )
}
