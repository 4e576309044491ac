// The `jepsen-lite` command: parses the arguments, runs a subcommand, and sets the exit code (exit-codes.ts). Each
// subcommand is a module in commands/ that adds itself to the program with `add(program)`. Only the subcommand that is
// used is loaded, so that `check` does not load the simulator.
//
// The action of a subcommand sets `process.exitCode` by its result, and throws `Failure` if it could not do its work.

import { Command, CommanderError, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { version } from '../src/system/version.ts'
import { CommandError, EXIT } from './exit-codes.ts'

const SUBCOMMANDS: ReadonlyMap<string, () => Promise<{ add(program: CommandUnknownOpts): void }>> = new Map([
  ['check', () => import('./commands/check.ts')],
  ['sim', () => import('./commands/sim.ts')],
  ['replay', () => import('./commands/replay.ts')],
  ['lesson', () => import('./commands/lesson.ts')],
  ['run', () => import('./commands/run.ts')],
  ['study', () => import('./commands/study.ts')],
  ['report', () => import('./commands/report.ts')],
  // Only a clone has the sources of these: the package leaves them out (scripts/build.mjs).
  ...(import.meta.filename.endsWith('.ts')
    ? ([
        ['power', () => import('./commands/power.ts')],
        ['mutants', () => import('./commands/mutants.ts')],
        ['exercise', () => import('./commands/exercise.ts')],
      ] as const)
    : []),
])

/** Resolves when the command has ended; never rejects. */
export async function main(args: readonly string[]): Promise<void> {
  process.stdout.off('error', outputFailed).on('error', outputFailed)
  try {
    const program = await buildProgram(args)
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = errorExitCode(error)
  }
}

/**
 * The reader of our output may stop at any time (`| head`). If there is a verdict, the exit code stays the same;
 * otherwise the command has failed.
 */
function outputFailed(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(process.exitCode ?? EXIT.failed)
  throw error
}

/** Adds only the subcommand that `args` name, or all of them if `args` name none. */
export async function buildProgram(args: readonly string[]): Promise<CommandUnknownOpts> {
  const program = new Command('jepsen-lite')
    .description('Breaks a quorate cluster, and checks what its clients saw.')
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help on a command')
    .showHelpAfterError('See: jepsen-lite --help')
    .configureHelp({ helpWidth: 100 })
    .exitOverride()
    .addHelpText('after', EXIT_CODES)
  const meant = args.find((arg) => SUBCOMMANDS.has(arg))
  for (const [name, load] of SUBCOMMANDS) {
    if (meant === undefined || name === meant) (await load()).add(program)
  }
  return program
}

const EXIT_CODES = `
Exit codes: 0 nothing wrong; 1 a violation was found; 2 undecided; 3 wrong usage, or the harness failed.`

function errorExitCode(error: unknown): number {
  if (error instanceof CommanderError) {
    // It has already printed the help, the version or the error.
    return error.exitCode === 0 ? EXIT.ok : EXIT.failed
  }
  if (error instanceof CommandError) {
    process.stderr.write(`error: ${error.message}\n`)
    return error.exitCode
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return EXIT.failed
}
