// The `kv` command: what was typed, to an exit code.
//
//   main.ts, program.ts      the command line; each command loads what it needs when it runs
//   global-flags.ts          flags that every command takes, variables, and which endpoints to ask
//   session.ts               a client for one command; explain.ts: errors in words, and their exit codes
//   commands/                one module for each command;  output.ts, shapes.ts: tables and JSON
//   completion/              what a Tab offers
//   cluster/, node.ts        the local cluster and `kv node start`
//
// It is built on the client library and knows no more of the server than any other user of the HTTP API; only `kv node`
// and the local cluster start servers.

import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { CommanderError } from '@commander-js/extra-typings'
import { Failure, isSystemError, messageOf } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import { printable, say, watchOutput } from './output.ts'
import { buildProgram } from './program.ts'

/** Never rejects but for a defect. */
export async function main(args: readonly string[]): Promise<number> {
  watchOutput()
  try {
    if (isGarbled(args))
      throw new Failure(EXIT.usage, 'the command line is not valid UTF-8; a value can come from a file')
    const program = await buildProgram(args)
    await program.parseAsync(args, { from: 'user' })
    return EXIT.ok
  } catch (error) {
    // It has printed what there is to say.
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
 * Node.js puts U+FFFD in place of what is no UTF-8: a key would be another one than was typed. Known where the system
 * tells.
 */
function isGarbled(args: readonly string[]): boolean {
  if (!args.some((arg) => arg.includes('\uFFFD'))) return false
  try {
    return !isUtf8(readFileSync('/proc/self/cmdline'))
  } catch {
    return false
  }
}

/** Help or a version that was asked for. */
function isAnswer(error: CommanderError): boolean {
  return error.code === 'commander.helpDisplayed' || error.code === 'commander.version'
}
