// kv leader transfer [NODE]

import { PROGRAM } from '../../local/program-name.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { toJson, writeLine } from '../output.ts'
import { inSession } from '../session.ts'

export async function transferLeader(global: GlobalFlags, to: string | undefined): Promise<void> {
  const intent = { kind: 'write', check: `${PROGRAM} status` } as const
  await inSession(global, intent, async ({ client, format, signal }) => {
    const leader = await client.transferLeader(to, { signal })
    if (format === 'json') await writeLine(toJson({ leader }))
    else if (format === 'ndjson') await writeLine(JSON.stringify({ leader }))
    else if (format === 'plain') await writeLine(leader)
    else await writeLine(`${leader} leads now`)
  })
}
