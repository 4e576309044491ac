// Commands that kv runs: with `kv watch --exec`, `kv lock` and `kv elect`.

import type { ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { Failure, isSystemError, reasonOf } from '../local/failure.ts'
import { EXIT } from './exit-codes.ts'
import { printable } from './output.ts'

/**
 * Its exit code; 128 and the number of the signal that has ended it. If it cannot be run, throws a Failure; `when`
 * follows the name of the command in the message.
 */
export async function exitCodeOfChild(child: ChildProcess, file: string, when = ''): Promise<number> {
  try {
    // Not 'close': a process that the command has left in the background may hold its standard input.
    return await new Promise<number>((resolve, reject) => {
      child.on('error', reject)
      child.on('exit', (code, name) => resolve(code ?? 128 + (name === null ? 0 : constants.signals[name])))
    })
  } catch (error) {
    if (!isSystemError(error)) throw error
    const reason = 'code' in error && error.code === 'ENOENT' ? 'there is no such command' : reasonOf(error)
    throw new Failure(EXIT.failed, `cannot run ${printable(file)}${when}: ${reason}`)
  }
}
