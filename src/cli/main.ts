// The `kv` command: from arguments to an exit code.
//
//   main.ts, program.ts      the command line; each command loads what it needs when it runs
//   global-flags.ts          flags that every command takes, variables, and which endpoints to ask
//   session.ts               a client for one command; explain.ts: errors in words, with exit codes
//   commands/                one module for each command;  output.ts, shapes.ts: tables and JSON
//   completion/              completion in shells
//   cluster/, node.ts        the local cluster and `kv node start`
//
// It is built on the client library and knows no more about the server than other users of the HTTP API. Only `kv node`
// and the local cluster start servers.

import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { CommanderError } from '@commander-js/extra-typings'
import { Failure, isSystemError, messageOf } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import { printable, say, watchOutput } from './output.ts'
import { buildProgram } from './program.ts'

/** Rejects only because of a defect. */
export async function main(args: readonly string[]): Promise<number> {
  watchOutput()
  try {
    if (isGarbled(args))
      throw new Failure(EXIT.usage, 'the command line is not valid UTF-8; a value can come from a file')
    const program = await buildProgram(args)
    await program.parseAsync(args, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    // The message is already printed.
    if (error instanceof CommanderError) return isAnswer(error) ? EXIT.ok : EXIT.usage
    if (error instanceof Failure) {
      if (error.message !== '') say(`error: ${error.message}`)
      return error.exitCode
    }
    if (isSystemError(error)) {
      say(`error: ${printable(messageOf(error))}`)
      return EXIT.failed
    }
    throw error
  }
}

/**
 * Node.js replaces invalid UTF-8 by U+FFFD, so a key would differ from the typed one. This is detected where the system
 * shows the original arguments.
 */
function isGarbled(args: readonly string[]): boolean {
  if (!args.some((arg) => arg.includes('\uFFFD'))) return false
  try {
    return !isUtf8(readFileSync('/proc/self/cmdline'))
  } catch {
    return false
  }
}

/** Help or the version was requested. */
function isAnswer(error: CommanderError): boolean {
  return error.code === 'commander.helpDisplayed' || error.code === 'commander.version'
}
