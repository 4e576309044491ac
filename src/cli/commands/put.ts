// kv put KEY VALUE | - | @FILE | --value V

import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { getCommand } from '../get-command.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { toJson, writeLine } from '../output.ts'
import { inSession } from '../session.ts'
import { resultJson } from '../shapes.ts'
import { valueFrom } from '../value-source.ts'

export interface PutFlags {
  readonly value?: string | undefined
  readonly ifRevision?: number | undefined
  readonly ifAbsent?: true | undefined
  /** In milliseconds. */
  readonly ttl?: number | undefined
  readonly lease?: string | undefined
}

export async function put(
  global: GlobalFlags,
  key: string,
  source: string | undefined,
  flags: PutFlags,
): Promise<void> {
  const { ifRevision, ifAbsent, ttl, lease } = flags
  if (ifRevision !== undefined && ifAbsent === true) {
    throw new Failure(
      EXIT.usage,
      '--if-revision and --if-absent contradict each other: a key that does not exist has no revision',
    )
  }
  if (ttl !== undefined && lease !== undefined)
    throw new Failure(EXIT.usage, '--ttl and --lease contradict each other: a key has one lease')
  const conditions = {
    ...{ ttlMs: ttl, lease },
    ...(ifRevision === undefined ? {} : { ifRevision }),
    ...(ifAbsent ? { ifAbsent } : {}),
  }
  const readAt = performance.now()
  const value = await valueFrom(source, flags.value, 'put KEY')
  const waitedMs = performance.now() - readAt
  await inSession(
    global,
    { kind: 'write', check: getCommand(key) },
    async ({ client, format, signal }) => {
      const result = await client.put(key, value, { ...conditions, signal })
      if (format === 'json') await writeLine(toJson(resultJson(result)))
      else if (format === 'ndjson') await writeLine(JSON.stringify(resultJson(result)))
      else if (format === 'plain') await writeLine(String(result.revision))
      else await writeLine(`ok, revision ${result.revision}`)
    },
    { waitedMs },
  )
}
