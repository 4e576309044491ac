// A question on the terminal whose answer is not shown.

import { Failure } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import { escapeText } from './format-text.ts'
import { io, withCurrentIo } from './io.ts'

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
