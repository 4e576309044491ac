// A stopped process (SIGSTOP, by `pause` or by anybody else) cannot notice that its supervisor is gone. So a shell
// waits in the place of all nodes: it reads their pids from a pipe; when the supervisor is gone, and with it the other
// end, it continues them, and each finds its channel broken and ends.

import { spawn } from 'node:child_process'
import { Socket } from 'node:net'

/** In the background of a shell that ends at once: the supervisor has no children but its nodes. */
const SCRIPT =
  '(pids=; while read -r line; do pids=$line; done; for pid in $pids; do kill -CONT $pid; done) <&3 3<&- &'

export class StoppedGuard {
  #pipe: Socket | undefined

  constructor() {
    // Windows has neither the shell nor the signal.
    if (process.platform === 'win32') return
    // Not its standard input: that is closed when the shell has ended.
    const shell = spawn('/bin/sh', ['-c', SCRIPT], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
      detached: true,
    })
    shell.on('error', () => {})
    // None where descriptors are short, whatever the types say.
    const pipe = shell.stdio?.[3]
    if (!(pipe instanceof Socket)) return
    pipe.on('error', () => {}).unref()
    this.#pipe = pipe
  }

  /** These and no others are continued at the end. */
  watch(pids: readonly number[]): void {
    this.#pipe?.write(`${pids.join(' ')}\n`)
  }

  /** Nothing is left to continue. */
  close(): void {
    this.#pipe?.end('\n')
    this.#pipe = undefined
  }
}
