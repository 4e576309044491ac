// Commands that kv runs: with `kv watch --exec`, `kv lock` and `kv elect`.

import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { Failure, isSystemError, reasonOf } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import { printable, say } from './output.ts'

/** Throws a Failure for words that name no command. */
export function checkCommand([file]: readonly string[]): void {
  if (file === '') throw new Failure(EXIT.usage, 'the name of the command is empty: it stands behind --')
}

/** For some files that cannot be run Node throws; of the others `exitCodeOfChild` is told. */
export function startChild(
  [file = '', ...args]: readonly string[],
  options: SpawnOptions,
  when = '',
): ChildProcess {
  try {
    return spawn(file, args, options)
  } catch (error) {
    throw cannotRun(file, when, error)
  }
}

/**
 * Its exit code; 128 and the number of the signal that has ended it. If it cannot be run, throws a Failure; `when`
 * follows the name of the command in the message.
 */
export async function exitCodeOfChild(child: ChildProcess, file: string, when = ''): Promise<number> {
  try {
    // Not 'close': a process that the command has left in the background may hold its standard input.
    return await new Promise<number>((resolve, reject) => {
      let isTold = false
      child.on('error', (error) => {
        if (child.pid === undefined) return reject(error)
        // It runs. A signal could not be sent to it: it belongs to another user, as with sudo.
        if (!isTold) say(`cannot end ${printable(file)}${when}: ${reasonOf(error)}`)
        isTold = true
      })
      child.on('exit', (code, name) => resolve(code ?? 128 + (name === null ? 0 : constants.signals[name])))
    })
  } catch (error) {
    throw cannotRun(file, when, error)
  }
}

function cannotRun(file: string, when: string, error: unknown): unknown {
  if (!isSystemError(error)) return error
  const reason = error.code === 'ENOENT' ? 'there is no such command' : reasonOf(error)
  return new Failure(EXIT.failed, `cannot run ${printable(file)}${when}: ${reason}`)
}
