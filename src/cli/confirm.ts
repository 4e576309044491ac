// Before something that runs or is healthy is destroyed: a question on a terminal, --yes everywhere else.

import { createInterface } from 'node:readline'
import type { ReadStream } from 'node:tty'
import { Failure } from './cluster/failure.ts'
import { EXIT } from './exit-codes.ts'
import { say } from './output.ts'

/** Returns when the user agrees to what `consequence`, a sentence, says. Throws a Failure when nobody does, or nobody can be asked. */
export async function confirm(
  consequence: string,
  input: Pick<ReadStream, 'isTTY'> & NodeJS.ReadableStream = process.stdin,
): Promise<void> {
  if (input.isTTY !== true) throw new Failure(EXIT.usage, `${consequence} To do that, add --yes.`)
  say(`${consequence} Go on? [y/N]`)
  if (!/^y(es)?$/i.test((await lineFrom(input)).trim())) throw new Failure(EXIT.failed, 'nothing was changed')
}

/** Empty when there is none. */
async function lineFrom(input: NodeJS.ReadableStream): Promise<string> {
  const onInterrupt = (): never => process.exit(EXIT.interrupted)
  process.on('SIGINT', onInterrupt)
  try {
    for await (const line of createInterface({ input })) return line
    return ''
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}
