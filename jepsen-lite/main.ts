// The `jepsen-lite` command: what was typed, to an exit code (exit-codes.ts). Each subcommand is a module in commands/ that adds itself
// to the program with `add(program)`; what it does is loaded when it runs, so that `check` does not pay for the simulator.
//
// A subcommand's action sets `process.exitCode` to what it found, and throws `Failure` when it could not do its work.

import { Command, CommanderError, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { version } from '../src/server/version.ts'
import { add as addCheck } from './commands/check.ts'
import { add as addPower } from './commands/power.ts'
import { add as addReplay } from './commands/replay.ts'
import { add as addRun } from './commands/run.ts'
import { add as addSim } from './commands/sim.ts'
import { EXIT, Failure } from './exit-codes.ts'

const SUBCOMMANDS = [addCheck, addSim, addReplay, addRun, addPower]

/** Resolves when the command is done; never rejects. */
export async function main(args: readonly string[]): Promise<void> {
  try {
    await buildProgram().parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = exitCodeOf(error)
  }
}

export function buildProgram(): CommandUnknownOpts {
  const program = new Command('jepsen-lite')
    .description('Breaks a quorate cluster, and checks what its clients saw.')
    .version(version(), '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help on a command')
    .showHelpAfterError('See: jepsen-lite --help')
    .configureHelp({ helpWidth: 100 })
    .exitOverride()
    .addHelpText('after', EXIT_CODES)
  for (const add of SUBCOMMANDS) add(program)
  return program
}

const EXIT_CODES = `
Exit codes: 0 nothing wrong; 1 a violation was found; 2 undecided; 3 wrong usage, or the harness failed.`

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) {
    // It has printed what there is to say: help or a version that was asked for, or what is wrong.
    return error.exitCode === 0 ? EXIT.ok : EXIT.failed
  }
  if (error instanceof Failure) {
    process.stderr.write(`error: ${error.message}\n`)
    return error.exitCode
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  return EXIT.failed
}
