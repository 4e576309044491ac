// The value of a command: an argument, standard input, a file, or --value.

import { Failure } from '../../local/failure.ts'
import { PROGRAM } from '../../local/program-name.ts'
import { EXIT } from '../exit-codes.ts'
import { fileContent, standardInput } from '../terminal/input.ts'

/** `command`: the command up to the value, for the message when the value is missing. */
export async function readValue(
  source: string | undefined,
  literal: string | undefined,
  command: string,
): Promise<Uint8Array> {
  if (source !== undefined && literal !== undefined) {
    throw new Failure(EXIT.usage, 'a value is given twice: as an argument and with --value')
  }
  if (literal !== undefined) return utf8(literal)
  if (source === undefined) {
    throw new Failure(
      EXIT.usage,
      `a value is missing: ${PROGRAM} ${command} VALUE, or '-' to read it from standard input, or @FILE`,
    )
  }
  if (source === '-') return standardInput(A_VALUE)
  if (source.startsWith('@')) return fileContent(source.slice(1), A_VALUE, HINT)
  return utf8(source)
}

const A_VALUE = 'a value'
const HINT = ' (for a value that begins with @: --value)'

/** The system delivers arguments as UTF-8, so the text is well formed. */
const utf8 = (text: string): Uint8Array => Buffer.from(text)
