// kv del KEY: prints how many keys were deleted, 0 or 1.

import { getCommand } from '../get-command.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { printable, toJson, writeLine } from '../output.ts'
import { inSession } from '../session.ts'
import { resultJson } from '../shapes.ts'

export async function del(
  global: GlobalFlags,
  key: string,
  flags: { readonly ifRevision?: number | undefined },
): Promise<void> {
  await inSession(global, { kind: 'write', check: getCommand(key) }, async ({ client, format, signal }) => {
    const { ifRevision } = flags
    const result = await client.delete(key, { ...(ifRevision === undefined ? {} : { ifRevision }), signal })
    if (format === 'json') await writeLine(toJson(resultJson(result)))
    else if (format === 'ndjson') await writeLine(JSON.stringify(resultJson(result)))
    else if (format === 'plain') await writeLine(String(result.deleted))
    else if (result.deleted === 0) await writeLine(`0 keys deleted: there is no key ${printable(key)}`)
    else await writeLine(`${result.deleted} key deleted, revision ${result.revision}`)
  })
}
