// Commands that kv runs: with `kv watch --exec`, `kv lock` and `kv elect`.

import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { Failure, failureReason, isSystemError } from '../../local/failure.ts'
import { EXIT } from '../exit-codes.ts'
import { io, PROCESS_IO, withCurrentIo } from '../terminal/io.ts'
import { say } from '../terminal/output.ts'

/** Throws a Failure for words that name no command. */
export function checkCommand([file]: readonly string[]): void {
  if (file === '') throw new Failure(EXIT.usage, 'the name of the command is empty: it comes after --')
}

interface ChildOptions {
  readonly stdin: 'inherit' | 'pipe'
  readonly env: NodeJS.ProcessEnv
}

/** Node throws for some files that cannot be run. The others emit an error, which `childExitCode` handles. */
export function startChild(
  [file = '', ...args]: readonly string[],
  { stdin, env }: ChildOptions,
  when = '',
): ChildProcess {
  const { cwd, stdout, stderr } = io()
  const streams = io() === PROCESS_IO ? 'inherit' : 'pipe'
  try {
    const child = spawn(file, args, { cwd, env, stdio: [stdin, streams, streams] })
    child.stdout?.pipe(stdout, { end: false })
    child.stderr?.pipe(stderr, { end: false })
    return child
  } catch (error) {
    throw cannotRun(file, when, error)
  }
}

/**
 * Its exit code; 128 and the number of the signal that has ended it. If it cannot be run, throws a Failure; `when`
 * follows the name of the command in the message.
 */
export async function childExitCode(child: ChildProcess, file: string, when = ''): Promise<number> {
  try {
    // Not 'close': a process that the command has left in the background may hold its standard input.
    return await new Promise<number>((resolve, reject) => {
      let isReported = false
      const onError = (error: Error) => {
        if (child.pid === undefined) return reject(error)
        // It runs. A signal could not be sent to it: it belongs to another user, as with sudo.
        if (!isReported) say(`cannot end ${file}${when}: ${failureReason(error)}`)
        isReported = true
      }
      child.on('error', withCurrentIo(onError))
      child.on('exit', (code, name) => resolve(code ?? 128 + (name === null ? 0 : constants.signals[name])))
    })
  } catch (error) {
    throw cannotRun(file, when, error)
  }
}

function cannotRun(file: string, when: string, error: unknown): unknown {
  if (!isSystemError(error)) return error
  const reason = error.code === 'ENOENT' ? 'there is no such command' : failureReason(error)
  return new Failure(EXIT.failed, `cannot run ${file}${when}: ${reason}`)
}
