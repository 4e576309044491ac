// Ends paused nodes when their supervisor is gone. A stopped process (SIGSTOP, by `pause` or by another program) cannot
// notice that. So a shell reads the pids of all nodes from a pipe. When the supervisor is gone, the pipe closes, and
// the shell continues the nodes. Each node then finds its IPC channel broken and ends.

import { spawn } from 'node:child_process'
import { Socket } from 'node:net'

/** Runs in the background of a shell that ends at once, so the supervisor has no other children than its nodes. */
const SCRIPT =
  '(pids=; while read -r line; do pids=$line; done; for pid in $pids; do kill -CONT $pid; done) <&3 3<&- &'

export class PausedProcessGuard {
  #pipe: Socket | undefined

  constructor() {
    // Windows has neither the shell nor the signal.
    if (process.platform === 'win32') return
    // Not its standard input, which closes when the outer shell ends.
    const shell = spawn('/bin/sh', ['-c', SCRIPT], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      detached: true,
    })
    shell.on('error', () => {})
    // Without free descriptors there is no pipe, although the types say so.
    const pipe = shell.stdio?.[3]
    if (!(pipe instanceof Socket)) return
    pipe.on('error', () => {}).unref()
    this.#pipe = pipe
  }

  /** Replaces the list of processes to continue. */
  watch(pids: readonly number[]): void {
    this.#pipe?.write(`${pids.join(' ')}\n`)
  }

  /** Ends the guard; it continues no process. */
  close(): void {
    this.#pipe?.end('\n')
    this.#pipe = undefined
  }
}
