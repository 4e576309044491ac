// Why a command has failed, on stderr.

import { debuglog } from 'node:util'
import { Cancellation, Failure, failureMessage } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { say } from './output.ts'

const debug = debuglog('quorate')

/** Prints the message of a failure, and returns the exit code. */
export function sayFailure(error: unknown): number {
  if (!(error instanceof Failure)) {
    sayDefect(error)
    return EXIT.failed
  }
  const { message, details, exitCode } = error
  if (message !== '') say(error instanceof Cancellation ? message : `error: ${message}`)
  for (const line of details) say(line)
  return exitCode
}

/** The stack is printed only with NODE_DEBUG=quorate. */
export function sayDefect(error: unknown): void {
  say(`error: ${failureMessage(error)}`)
  debug('%O', error)
}
