// Reads a transaction at a terminal: lines up to the first empty one.

import { isUtf8 } from 'node:buffer'
import type { Readable } from 'node:stream'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { withStdin } from '../input.ts'
import { say } from '../output.ts'

/** Linux silently cuts off what a line at a terminal has beyond this, with its end. */
const TERMINAL_LINE_BYTES = 4096

const INTRODUCTION = `\
Comparisons, then, operations, else, operations: each on a line of its own.
An empty line sends the transaction. Ctrl-C gives up.`

export async function readInteractively(): Promise<string> {
  say(INTRODUCTION)
  const text = await withStdin(linesUpToEmpty)
  if (text === undefined)
    throw new Failure(EXIT.usage, 'the input ended before an empty line: nothing was sent')
  return text
}

/** undefined: the input has ended before an empty line. */
async function linesUpToEmpty(input: Readable): Promise<string | undefined> {
  let bytes = Buffer.alloc(0)
  // A terminal delivers whole lines.
  for await (const chunk of input) {
    bytes = Buffer.concat([bytes, Buffer.from(chunk)])
    const text = bytes.toString('latin1')
    const end = /(?:^|\n)[ \t]*\r?\n/.exec(text)
    if (end === null) continue
    const lines = bytes.subarray(0, end.index)
    checkLines(lines)
    return lines.toString()
  }
  return undefined
}

function checkLines(lines: Buffer): void {
  if (!isUtf8(lines)) throw new Failure(EXIT.usage, 'the transaction is not UTF-8')
  const long = lines
    .toString('latin1')
    .split('\n')
    .findIndex((line) => line.length + 1 >= TERMINAL_LINE_BYTES)
  if (long >= 0)
    throw new Failure(
      EXIT.usage,
      `line ${long + 1} is too long for a terminal, which may have cut it off: a line has less than ${TERMINAL_LINE_BYTES - 1} bytes; use a file`,
    )
}
