// Input of a command before its first request: the answer to a question, standard input or a file, up to a limit.

import { createReadStream, fstatSync } from 'node:fs'
import { addAbortSignal, type Readable } from 'node:stream'
import { Failure, failureReason } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { io, userPath, withCurrentIo } from './io.ts'

/**
 * No cluster accepts a larger value or transaction; the real limits are those of the cluster. Standard input and
 * devices such as /dev/zero may never end.
 */
const INPUT_MIB_MAX = 64
const INPUT_BYTES_MAX = INPUT_MIB_MAX * 1024 * 1024

/** Lets `read` use standard input. Ctrl-C ends that, and the command. */
export async function withStdin<T>(read: (stdin: Readable) => Promise<T>): Promise<T> {
  const { stdin, signals } = io()
  const interrupt = new AbortController()
  const onInterrupt = withCurrentIo(() => interrupt.abort())
  signals.on('SIGINT', onInterrupt)
  try {
    return await read(addAbortSignal(interrupt.signal, stdin))
  } catch (error) {
    throw interrupt.signal.aborted ? new Failure(EXIT.interrupted, '') : error
  } finally {
    signals.off('SIGINT', onInterrupt)
  }
}

/** `what`: the purpose of the content, for the message when it is too large. */
export async function standardInput(what: string): Promise<Buffer> {
  const { fd } = io().stdin
  // Node.js reads a directory as an empty input.
  if (fd !== undefined && fstatSync(fd).isDirectory())
    throw new Failure(EXIT.failed, 'standard input is a directory')
  return withStdin((stdin) => readContent(stdin, 'standard input', what))
}

/** `hint`: added to the message if the file cannot be read. */
export async function fileContent(path: string, what: string, hint = ''): Promise<Buffer> {
  try {
    // SIGINT keeps its default: the read of a pipe without a writer never ends.
    return await readContent(createReadStream(userPath(path)), path, what)
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure(EXIT.failed, `cannot read ${path}: ${failureReason(error)}${hint}`)
  }
}

async function readContent(source: Readable, name: string, what: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of source) {
    chunks.push(Buffer.from(chunk))
    bytes += chunk.length
    if (bytes > INPUT_BYTES_MAX)
      throw new Failure(
        EXIT.failed,
        `${name} is too large for ${what}: it has more than ${INPUT_MIB_MAX} MiB`,
      )
  }
  return Buffer.concat(chunks)
}
