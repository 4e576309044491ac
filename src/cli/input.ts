// What a command reads before it asks a node: standard input or a file, up to a limit.

import { createReadStream, fstatSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { Failure, reasonOf } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'

/**
 * No cluster takes a value or a transaction larger than this; the real limits are those of the cluster. Reading stops
 * here, since standard input and devices such as /dev/zero may never end.
 */
export const INPUT_MIB_MAX = 64

/** `what`: what it is to be, for the message when it is too large. */
export async function standardInput(what: string): Promise<Buffer> {
  // Node.js reads a directory as an empty input.
  if (fstatSync(process.stdin.fd).isDirectory())
    throw new Failure(EXIT.failed, 'standard input is a directory')
  const onInterrupt = (): never => process.exit(EXIT.interrupted)
  process.on('SIGINT', onInterrupt)
  const content = await allOf(process.stdin, 'standard input', what)
  process.off('SIGINT', onInterrupt)
  return content
}

/** `hint`: added to the message if it cannot be read. */
export async function fileContent(path: string, what: string, hint = ''): Promise<Buffer> {
  try {
    // SIGINT keeps its default: process.exit() would wait for the read, which never ends at a pipe without a writer.
    return await allOf(createReadStream(path), path, what)
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure(EXIT.failed, `cannot read ${path}: ${reasonOf(error)}${hint}`)
  }
}

async function allOf(source: Readable, name: string, what: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of source) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > INPUT_MIB_MAX * 1024 * 1024)
      throw new Failure(
        EXIT.failed,
        `${name} is too large for ${what}: it has more than ${INPUT_MIB_MAX} MiB`,
      )
  }
  return Buffer.concat(chunks)
}
