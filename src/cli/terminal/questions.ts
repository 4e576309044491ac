// Questions on the terminal: for a secret, which is not shown, and before something is destroyed.

import { Cancellation, Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { escapeText } from '../format/text.ts'
import { withStdin } from './input.ts'
import { io, withCurrentIo } from './io.ts'
import { say } from './output.ts'

/** Without them, the user would not see the question, and the command would wait for the answer. */
export const hasTerminal = (): boolean => io().stdin.isTTY === true && io().stderr.isTTY === true

const [CTRL_C, CTRL_D, BACKSPACE, NEWLINE, RETURN, DELETE] = [3, 4, 8, 10, 13, 127]

/** Asks for a line. Ctrl-C and Ctrl-D end the command. */
export async function askSecret(question: string): Promise<string> {
  const { stdin, stderr, signals } = io()
  stderr.write(`${escapeText(question)}: `)
  stdin.setRawMode?.(true)
  try {
    return await new Promise<string>((resolve, reject) => {
      const typed: number[] = []
      const end = (finish: () => void): void => {
        stdin.off('data', onData).off('end', onEnd)
        signals.off('SIGINT', onEnd)
        stdin.pause()
        finish()
      }
      const onEnd = withCurrentIo(() => end(() => reject(new Failure(EXIT.interrupted, ''))))
      const onData = withCurrentIo((chunk: Buffer | string) => {
        const bytes = Buffer.from(chunk)
        for (const [at, byte] of bytes.entries()) {
          if (byte === CTRL_C || byte === CTRL_D) return onEnd()
          if (byte === NEWLINE || byte === RETURN) {
            // Keys behind the line answer the next question.
            const rest = bytes.subarray(at + 1)
            return end(() => {
              if (rest.length > 0) stdin.unshift(rest)
              resolve(Buffer.from(typed).toString())
            })
          }
          if (byte === BACKSPACE || byte === DELETE) deleteCharacter(typed)
          else typed.push(byte)
        }
      })
      signals.on('SIGINT', onEnd)
      stdin.on('data', onData).on('end', onEnd)
      stdin.resume()
    })
  } finally {
    stdin.setRawMode?.(false)
    stderr.write('\n')
  }
}

/** A character of UTF-8 has a first byte, and others that begin with the bits 10. */
function deleteCharacter(typed: number[]): void {
  let byte = typed.pop()
  while (byte !== undefined && (byte & 0xc0) === 0x80) byte = typed.pop()
}

/**
 * Asks before something running or healthy is destroyed: a question on a terminal, `flag` elsewhere. Returns if the
 * user agrees to `consequence`, and throws a Failure otherwise. `contextName`: the context whose cluster it concerns.
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
