// kv get KEY: the exact bytes; a record only when a format is asked for.

import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { printable, RowWriter, toJson, write, writeLine } from '../output.ts'
import { inSession } from '../session.ts'
import { recordJson } from '../shapes.ts'

export async function get(global: GlobalFlags, key: string): Promise<void> {
  await inSession(global, { kind: 'read' }, async ({ client, read, format, formatChosen }) => {
    const record = await client.get(key, read)
    if (record === undefined) throw new Failure(EXIT.notFound, `there is no key ${printable(key)}`)
    if (formatChosen && format === 'json') return writeLine(toJson(recordJson(record)))
    if (formatChosen && format === 'ndjson') return writeLine(JSON.stringify(recordJson(record)))
    if (formatChosen && format === 'table') {
      const table = new RowWriter<readonly [string, string | number]>(
        [
          { title: 'FIELD', cell: ([field]) => field },
          { title: 'VALUE', cell: ([, value]) => value },
        ],
        true,
      )
      await table.add(['key', record.key])
      await table.add(['value', record.text()])
      await table.add(['create revision', record.createRevision])
      await table.add(['mod revision', record.modRevision])
      await table.add(['version', record.version])
      return table.end()
    }
    await write(record.value)
    if (process.stdout.isTTY) await write('\n')
  })
}
