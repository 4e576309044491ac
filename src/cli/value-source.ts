// Where a command takes a value from: an argument, standard input, a file, or --value.

import { bytesOf } from '../client/address.ts'
import { Failure } from '../local/failure.ts'
import { PROGRAM } from '../local/program-name.ts'
import { EXIT } from './exit-codes.ts'
import { fileContent, standardInput } from './input.ts'

/** `command`: with what comes before the value, for the message when it is missing. */
export async function valueFrom(
  source: string | undefined,
  literal: string | undefined,
  command: string,
): Promise<Uint8Array> {
  if (source !== undefined && literal !== undefined) {
    throw new Failure(EXIT.usage, 'a value is given twice: as an argument and with --value')
  }
  if (literal !== undefined) return bytesOf(literal)
  if (source === undefined) {
    throw new Failure(
      EXIT.usage,
      `a value is missing: ${PROGRAM} ${command} VALUE, or '-' to read it from standard input, or @FILE`,
    )
  }
  if (source === '-') return standardInput(A_VALUE)
  if (source.startsWith('@')) return fileContent(source.slice(1), A_VALUE, HINT)
  return bytesOf(source)
}

const A_VALUE = 'a value'
const HINT = '. (For a value that begins with @: --value)'
