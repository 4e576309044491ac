// The command of `kv watch --exec`, once for one revision. Its output is that of kv, and its standard input is the
// events; it need not read them.

import { Failure } from '../local/failure.ts'
import { exitCodeOfChild, startChild } from './child.ts'
import { printable } from './output.ts'
import { TERMINATING } from './stop-signals.ts'

/**
 * Resolves when the command has ended with 0. When `signal` fires, the command gets SIGTERM, and this resolves when it
 * has ended, whatever its exit code. So do SIGTERM and SIGHUP, by which kv then ends too: a supervisor that begins the
 * watch anew must not have two commands at a time. A second one ends kv at once.
 */
export async function runOnce(
  command: readonly string[],
  revision: number,
  events: string,
  signal: AbortSignal,
): Promise<void> {
  if (signal.aborted) return
  const [file = ''] = command
  const when = ` at revision ${revision}`
  const env = { ...process.env, KV_REVISION: String(revision) }
  const child = startChild(command, { stdio: ['pipe', 'inherit', 'inherit'], env }, when)
  const { stdin } = child
  // The command has ended without reading all of it.
  stdin?.on('error', () => {})
  stdin?.end(`${events}\n`)
  const terminate = () => void child.kill('SIGTERM')
  signal.addEventListener('abort', terminate)
  let terminatedBy: NodeJS.Signals | undefined
  const onTerminate = (name: NodeJS.Signals) => {
    terminatedBy = name
    for (const each of TERMINATING) process.off(each, onTerminate)
    terminate()
  }
  for (const name of TERMINATING) process.on(name, onTerminate)
  try {
    const code = await exitCodeOfChild(child, file, when)
    if (code === 0 || signal.aborted) return
    throw new Failure(
      code,
      `${printable(file)} ended with exit code ${code} at revision ${revision}; --from ${revision} repeats this revision`,
    )
  } finally {
    signal.removeEventListener('abort', terminate)
    stdin?.destroy()
    for (const name of TERMINATING) process.off(name, onTerminate)
    if (terminatedBy !== undefined) process.kill(process.pid, terminatedBy)
  }
}
