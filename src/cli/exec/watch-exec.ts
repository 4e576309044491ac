// The command of `kv watch --exec`, once for one revision. Its output is that of kv, and its standard input is the
// events; it need not read them.

import type { ChildProcess } from 'node:child_process'
import { Failure } from '../../local/failure.ts'
import { io } from '../terminal/io.ts'
import { SAME_SIGNAL_MS, TERMINATING } from '../terminal/stop-signals.ts'
import { childExitCode, startChild } from './child.ts'

/**
 * Resolves when the command has ended with 0. When `signal` fires, the command gets SIGTERM, and this resolves when it
 * has ended, whatever its exit code. So do SIGTERM and SIGHUP, by which kv then ends too: a supervisor that begins the
 * watch anew must not have two commands at a time. A second one, some time later, ends kv at once.
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
  const env = { ...io().env, KV_REVISION: String(revision) }
  let child: ChildProcess | undefined
  const terminate = () => void child?.kill('SIGTERM')
  let terminated: { readonly by: NodeJS.Signals; readonly atMs: number } | undefined
  const onTerminate = (name: NodeJS.Signals) => {
    const now = performance.now()
    if (terminated === undefined) {
      terminated = { by: name, atMs: now }
      terminate()
    } else if (now - terminated.atMs >= SAME_SIGNAL_MS) endBy(name)
  }
  const { signals, raise } = io()
  const stopListening = () => {
    for (const name of TERMINATING) signals.off(name, onTerminate)
  }
  const endBy = (name: NodeJS.Signals) => {
    stopListening()
    raise(name)
  }
  signal.addEventListener('abort', terminate)
  // Before the command begins: what comes while it is being started is for it, too.
  for (const name of TERMINATING) signals.on(name, onTerminate)
  try {
    child = startChild(command, { stdin: 'pipe', env }, when)
    // The command has ended without reading all of it.
    child.stdin?.on('error', () => {})
    child.stdin?.end(`${events}\n`)
    const code = await childExitCode(child, file, when)
    if (code === 0 || signal.aborted) return
    throw new Failure(
      code,
      `${file} ended with exit code ${code} at revision ${revision}; --from ${revision} repeats this revision`,
    )
  } finally {
    signal.removeEventListener('abort', terminate)
    child?.stdin?.destroy()
    stopListening()
    if (terminated !== undefined) raise(terminated.by)
  }
}
