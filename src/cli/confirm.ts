// Asks before something running or healthy is destroyed: a question on a terminal, --yes elsewhere.

import type { ReadStream, WriteStream } from 'node:tty'
import { Failure } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import { say } from './output.ts'

/**
 * Returns if the user agrees to `consequence`, a sentence. Throws a Failure if the user does not agree, or cannot be
 * asked.
 */
export async function confirm(
  consequence: string,
  input: Pick<ReadStream, 'isTTY'> & NodeJS.ReadableStream = process.stdin,
  question: Pick<WriteStream, 'isTTY'> = process.stderr,
): Promise<void> {
  // If stderr is a file, the user would not see the question, and the command would wait for the answer.
  if (input.isTTY !== true || question.isTTY !== true)
    throw new Failure(EXIT.usage, `${consequence} To do that, add --yes.`)
  const onInterrupt = (): never => process.exit(EXIT.interrupted)
  process.on('SIGINT', onInterrupt)
  say(`${consequence} Go on? [y/N]`)
  const answer = await lineFrom(input)
  process.off('SIGINT', onInterrupt)
  if (!/^\s*y(es)?\s*$/i.test(answer)) throw new Failure(EXIT.failed, 'nothing was changed')
}

/**
 * Reads a line; empty if there is none. A terminal delivers whole lines. Ends `input`, because the process does not end
 * while it is read.
 */
async function lineFrom(input: NodeJS.ReadableStream): Promise<string> {
  for await (const typed of input) return String(typed)
  return ''
}
