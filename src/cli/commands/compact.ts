// kv compact REVISION: history begins at this revision from now on.

import type { GlobalFlags } from '../global-flags.ts'
import { isTable, toJson, writeLine } from '../output.ts'
import { inSession } from '../session.ts'

export async function compact(global: GlobalFlags, revision: number): Promise<void> {
  await inSession(global, { kind: 'write' }, async ({ client, format, signal }) => {
    const result = await client.compact(revision, { signal })
    const json = { compact_revision: result.compactRevision, revision: result.revision }
    if (format === 'json') await writeLine(toJson(json))
    else if (format === 'ndjson') await writeLine(JSON.stringify(json))
    else if (isTable(format)) await writeLine(`history begins at revision ${result.compactRevision}`)
    else await writeLine(String(result.compactRevision))
  })
}
