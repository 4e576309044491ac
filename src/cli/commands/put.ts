// kv put KEY VALUE | - | @FILE | --value V

import { createReadStream, fstatSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { bytesOf } from '../../client/address.ts'
import { Failure, reasonOf } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { EXIT } from '../exit-codes.ts'
import { getCommand } from '../get-command.ts'
import type { GlobalFlags } from '../global-flags.ts'
import { toJson, writeLine } from '../output.ts'
import { inSession } from '../session.ts'
import { resultJson } from '../shapes.ts'

/**
 * No cluster takes a value larger than this; the real limit is a setting of the cluster. Reading stops here, since
 * standard input and devices such as /dev/zero may never end.
 */
const VALUE_MIB_MAX = 64

export interface PutFlags {
  readonly value?: string | undefined
  readonly ifRevision?: number | undefined
  readonly ifAbsent?: true | undefined
}

export async function put(
  global: GlobalFlags,
  key: string,
  source: string | undefined,
  flags: PutFlags,
): Promise<void> {
  const { ifRevision, ifAbsent } = flags
  if (ifRevision !== undefined && ifAbsent === true) {
    throw new Failure(
      EXIT.usage,
      '--if-revision and --if-absent contradict each other: a key that does not exist has no revision',
    )
  }
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
      const result = await client.put(key, value, { ...conditions, signal })
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
  if (source === '-') return standardInput()
  if (source.startsWith('@')) return fileContent(source.slice(1))
  return bytesOf(source)
}

async function standardInput(): Promise<Uint8Array> {
  // Node.js reads a directory as an empty input.
  if (fstatSync(process.stdin.fd).isDirectory())
    throw new Failure(EXIT.failed, 'standard input is a directory')
  const onInterrupt = (): never => process.exit(EXIT.interrupted)
  process.on('SIGINT', onInterrupt)
  const value = await allOf(process.stdin, 'standard input')
  process.off('SIGINT', onInterrupt)
  return value
}

async function fileContent(path: string): Promise<Uint8Array> {
  try {
    // SIGINT keeps its default: process.exit() would wait for the read, which never ends at a pipe without a writer.
    return await allOf(createReadStream(path), path)
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure(
      EXIT.failed,
      `cannot read ${path}: ${reasonOf(error)}. (For a value that begins with @: --value)`,
    )
  }
}

async function allOf(source: Readable, name: string): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of source) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > VALUE_MIB_MAX * 1024 * 1024)
      throw new Failure(
        EXIT.failed,
        `${name} is too large for a value: it has more than ${VALUE_MIB_MAX} MiB`,
      )
  }
  return Buffer.concat(chunks)
}
