// The `kv` command: from arguments to an exit code (README.md).

import { isUtf8 } from 'node:buffer'
import { readFileSync } from 'node:fs'
import { CommanderError } from '@commander-js/extra-typings'
import { Failure } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import { hideSecrets } from './flags/credentials.ts'
import { buildProgram, withoutHelpOnUnknown } from './program.ts'
import { sayDefect, sayFailure } from './terminal/failure.ts'
import { type Io, PROCESS_IO, runWithIo } from './terminal/io.ts'
import { say, watchOutput } from './terminal/output.ts'

/** Never rejects. */
export function main(argv: readonly string[], io: Io = PROCESS_IO): Promise<number> {
  return runWithIo(io, async () => {
    watchOutput()
    if (io === PROCESS_IO) watchProcess()
    try {
      if (io === PROCESS_IO && isGarbled(argv))
        throw new Failure(EXIT.usage, 'the command line is not valid UTF-8; a value can come from a file')
      if (io === PROCESS_IO) hideSecrets(argv)
      const program = await buildProgram(argv)
      await program.parseAsync(withoutHelpOnUnknown(program, argv), { from: 'user' })
      return EXIT.ok
    } catch (error) {
      // The message is already printed.
      if (error instanceof CommanderError) return isAnswer(error) ? EXIT.ok : EXIT.usage
      return sayFailure(error)
    }
  })
}

/** Node.js would print warnings with the bytes of stored keys as they are, and defects with a stack. */
function watchProcess(): void {
  process.removeAllListeners('warning')
  process.on('warning', ({ name, message }) => {
    if (name !== 'ExperimentalWarning') say(`warning: ${message}`)
  })
  process.on('uncaughtException', (error) => {
    sayDefect(error)
    process.exit(EXIT.failed)
  })
}

/**
 * Node.js replaces invalid UTF-8 by U+FFFD, so a key would differ from the typed one. This is detected where the system
 * shows the original arguments.
 */
function isGarbled(argv: readonly string[]): boolean {
  if (!argv.some((arg) => arg.includes('\uFFFD'))) return false
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
