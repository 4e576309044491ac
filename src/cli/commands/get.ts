// kv get KEY: prints the exact bytes of the value, or the record if a format is chosen. With --prefix: the records of
// all keys that begin with KEY, as kv ls --values does.

import { isUtf8 } from 'node:buffer'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { escaped, isTable, printable, RowWriter, say, toJson, write, writeLine } from '../output.ts'
import { inSession } from '../session.ts'
import { recordJson } from '../shapes.ts'

export interface GetFlags {
  readonly revision?: number | undefined
  readonly prefix?: true | undefined
}

export async function get(global: GlobalFlags, key: string, flags: GetFlags): Promise<void> {
  const { revision } = flags
  await inSession(global, { kind: 'read' }, async (session) => {
    if (flags.prefix === true) {
      const { printRecords } = await import('./ls.ts')
      return printRecords(session, { prefix: key, limit: undefined, revision }, true)
    }
    const { client, read, format, formatChosen } = session
    const record = await client.get(key, { ...read, revision })
    const then = revision === undefined ? '' : ` at revision ${revision}`
    if (record === undefined) throw new Failure(EXIT.notFound, `there is no key ${printable(key)}${then}`)
    if (formatChosen && format === 'json') return writeLine(toJson(recordJson(record)))
    if (formatChosen && format === 'ndjson') return writeLine(JSON.stringify(recordJson(record)))
    if (formatChosen && isTable(format)) {
      const table = new RowWriter<readonly [string, string | number]>(
        [
          { title: 'FIELD', cell: ([field]) => field },
          { title: 'VALUE', cell: ([, value]) => value },
        ],
        format,
      )
      await table.add(['key', record.key])
      await table.add(['value', record.text()])
      await table.add(['create revision', record.createRevision])
      await table.add(['mod revision', record.modRevision])
      await table.add(['version', record.version])
      return table.end()
    }
    if (!process.stdout.isTTY) return write(record.value)
    const shown = harmless(record.value)
    await writeLine(shown.text)
    if (shown.escaped)
      say(
        `some bytes of the value are shown as \\xNN; a pipe or a file gets the exact bytes: ${PROGRAM} get KEY > FILE`,
      )
  })
}

/** For a terminal: escapes bytes that could control it and bytes that are not UTF-8. Keeps tabs and line ends. */
function harmless(value: Uint8Array): { readonly text: string; readonly escaped: boolean } {
  const bytes = Buffer.from(value)
  const text = isUtf8(bytes) ? bytes.toString() : bytes.toString('latin1')
  const shown = text.replace(isUtf8(bytes) ? /(?!\r?\n|\t)\p{Cc}/gu : /(?!\r?\n|\t)[^ -~]/g, escaped)
  return { text: shown, escaped: shown !== text }
}
