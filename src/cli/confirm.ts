// Asks before something running or healthy is destroyed: a question on a terminal, --yes elsewhere.

import { Cancellation, Failure } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import { withStdin } from './input.ts'
import { io } from './io.ts'
import { say } from './output.ts'

/**
 * Returns if the user agrees to `consequence`. Throws a Failure otherwise, and without a terminal. `contextName`: the
 * context whose cluster it concerns. `flag`: the one that agrees without a question.
 */
export async function confirm(what: string, contextName?: string | undefined, flag = '--yes'): Promise<void> {
  const consequence =
    contextName === undefined ? what : `${what} in the cluster of the context ${contextName}`
  // If stderr is a file, the user would not see the question, and the command would wait for the answer.
  if (io().stdin.isTTY !== true || io().stderr.isTTY !== true)
    throw new Failure(EXIT.usage, `${consequence}; to do that, add ${flag}`)
  say(`${consequence}; continue? [y/N]`)
  // A terminal delivers whole lines. The loop ends the input, because an open one keeps the process alive.
  const answer = await withStdin(async (stdin) => {
    for await (const typed of stdin) return String(typed)
    return ''
  })
  if (!/^\s*y(es)?\s*$/i.test(answer)) throw new Cancellation(EXIT.failed, 'cancelled: nothing was changed')
}
