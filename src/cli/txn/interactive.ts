// Reads a transaction at a terminal: lines up to the first empty one.

import { isUtf8 } from 'node:buffer'
import type { Readable } from 'node:stream'
import { Failure } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { withStdin } from '../input.ts'
import { sayLines } from '../output.ts'

/** Linux cuts off a line at a terminal at this length, without a message. */
const TERMINAL_LINE_BYTES = 4095

const INTRODUCTION = `\
Comparisons, then, operations, else, operations: each on a line of its own.
An empty line sends the transaction. Ctrl-C gives up.
`

export async function readInteractively(): Promise<string> {
  sayLines(INTRODUCTION)
  const bytes = await withStdin(linesUpToEmpty)
  if (bytes === undefined)
    throw new Failure(EXIT.usage, 'the input ended before an empty line: nothing was sent')
  if (!isUtf8(bytes)) throw new Failure(EXIT.usage, 'the transaction is not UTF-8')
  const lines = bytes.toString('latin1').split('\n')
  const longest = Math.max(...lines.map(({ length }) => length))
  if (longest >= TERMINAL_LINE_BYTES)
    throw new Failure(
      EXIT.usage,
      `a line of ${longest} bytes may be cut off by the terminal, which takes less than ${TERMINAL_LINE_BYTES}: use a file`,
    )
  return bytes.toString()
}

/** undefined: the input has ended before an empty line. */
async function linesUpToEmpty(input: Readable): Promise<Buffer | undefined> {
  let bytes = Buffer.alloc(0)
  for await (const chunk of input) {
    bytes = Buffer.concat([bytes, Buffer.from(chunk)])
    const end = /(?:^|\n)[ \t]*\r?\n/.exec(bytes.toString('latin1'))
    if (end !== null) return bytes.subarray(0, end.index)
  }
  return undefined
}
