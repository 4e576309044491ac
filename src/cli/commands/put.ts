// kv put KEY VALUE | - | @FILE | --value V; with --ttl or --lease, a key that is deleted when its time is over.

import { bytesOf } from '../../client/address.ts'
import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { EXIT } from '../exit-codes.ts'
import { getCommand } from '../get-command.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { fileContent, standardInput } from '../input.ts'
import { toJson, writeLine } from '../output.ts'
import { inSession } from '../session.ts'
import { resultJson } from '../shapes.ts'

export interface PutFlags {
  readonly value?: string | undefined
  readonly ifRevision?: number | undefined
  readonly ifAbsent?: true | undefined
  readonly ttl?: number | undefined
  readonly lease?: string | undefined
}

export async function put(
  global: GlobalFlags,
  key: string,
  source: string | undefined,
  flags: PutFlags,
): Promise<void> {
  const { ifRevision, ifAbsent, ttl: ttlMs, lease } = flags
  if (ifRevision !== undefined && ifAbsent === true) {
    throw new Failure(
      EXIT.usage,
      '--if-revision and --if-absent contradict each other: a key that does not exist has no revision',
    )
  }
  if (ttlMs !== undefined && lease !== undefined)
    throw new Failure(EXIT.usage, '--ttl and --lease contradict each other: a key has one lease')
  const conditions = {
    ...(ifRevision === undefined ? {} : { ifRevision }),
    ...(ifAbsent ? { ifAbsent } : {}),
  }
  const readAt = performance.now()
  const value = await valueFrom(source, flags.value)
  const waitedMs = performance.now() - readAt
  await inSession(
    global,
    { kind: 'write', check: getCommand(key) },
    async ({ client, format, signal }) => {
      const result = await client.put(key, value, { ...conditions, ttlMs, lease, signal })
      if (format === 'json') await writeLine(toJson(resultJson(result)))
      else if (format === 'ndjson') await writeLine(JSON.stringify(resultJson(result)))
      else if (format === 'plain') await writeLine(String(result.revision))
      else await writeLine(`ok, revision ${result.revision}`)
    },
    { waitedMs },
  )
}

async function valueFrom(source: string | undefined, literal: string | undefined): Promise<Uint8Array> {
  if (source !== undefined && literal !== undefined) {
    throw new Failure(EXIT.usage, 'a value is given twice: as an argument and with --value')
  }
  if (literal !== undefined) return bytesOf(literal)
  if (source === undefined) {
    throw new Failure(
      EXIT.usage,
      `a value is missing: ${PROGRAM} put KEY VALUE, or '-' to read it from standard input, or @FILE`,
    )
  }
  if (source === '-') return standardInput(A_VALUE)
  if (source.startsWith('@')) return fileContent(source.slice(1), A_VALUE, HINT)
  return bytesOf(source)
}

const A_VALUE = 'a value'
const HINT = '. (For a value that begins with @: --value)'
