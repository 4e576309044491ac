// Before something that runs or is healthy is destroyed: a question on a terminal, --yes everywhere else.

import type { ReadStream, WriteStream } from 'node:tty'
import { Failure } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import { say } from './output.ts'

/**
 * Returns when the user agrees to what `consequence`, a sentence, says. Throws a Failure when nobody does, or nobody
 * can be asked.
 */
export async function confirm(
  consequence: string,
  input: Pick<ReadStream, 'isTTY'> & NodeJS.ReadableStream = process.stdin,
  question: Pick<WriteStream, 'isTTY'> = process.stderr,
): Promise<void> {
  // A question that went to a file would be waited for, and never seen.
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
 * A terminal hands over whole lines. Empty when there is none. Ends `input`: while it is read, the process does not
 * end.
 */
async function lineFrom(input: NodeJS.ReadableStream): Promise<string> {
  for await (const typed of input) return String(typed)
  return ''
}
