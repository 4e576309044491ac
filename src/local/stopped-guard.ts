// A stopped process (SIGSTOP, by `pause` or by another program) cannot notice that its supervisor is gone. So a shell
// waits for all nodes: it reads their pids from a pipe. When the supervisor is gone, the other end of the pipe closes,
// and the shell continues the nodes. Each node then finds its channel broken and ends.

import { spawn } from 'node:child_process'
import { Socket } from 'node:net'

/** It runs in the background of a shell that ends at once, so the supervisor has no other children than its nodes. */
const SCRIPT =
  '(pids=; while read -r line; do pids=$line; done; for pid in $pids; do kill -CONT $pid; done) <&3 3<&- &'

export class StoppedGuard {
  #pipe: Socket | undefined

  constructor() {
    // Windows has neither the shell nor the signal.
    if (process.platform === 'win32') return
    // Not its standard input, which is closed when the outer shell has ended.
    const shell = spawn('/bin/sh', ['-c', SCRIPT], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      detached: true,
    })
    shell.on('error', () => {})
    // Without free descriptors there is none, although the types say so.
    const pipe = shell.stdio?.[3]
    if (!(pipe instanceof Socket)) return
    pipe.on('error', () => {}).unref()
    this.#pipe = pipe
  }

  /** Only these processes are continued at the end. */
  watch(pids: readonly number[]): void {
    this.#pipe?.write(`${pids.join(' ')}\n`)
  }

  /** Nothing is left to continue. */
  close(): void {
    this.#pipe?.end('\n')
    this.#pipe = undefined
  }
}
