// Lets another process open a directory, and starts a new one when the process does not survive that.

import { type ChildProcess, fork } from 'node:child_process'
import { siblingModule } from '../../src/local/child-module.ts'
import type { OpenOutcome } from './open-worker.ts'

/** Far more than any directory here needs: none takes a hundredth of it. */
const OPEN_MS_MAX = 60_000

export class Opener {
  #child: ChildProcess | undefined

  open(dir: string): Promise<OpenOutcome> {
    const child = this.#ensureChild()
    return new Promise((resolve) => {
      const late = setTimeout(() => child.kill('SIGKILL'), OPEN_MS_MAX)
      // The other end is open-worker.ts, which sends nothing else.
      const answered = (message: unknown): void => {
        const outcome = message as OpenOutcome
        child.off('exit', died)
        clearTimeout(late)
        // The process may keep the directory open: after an error nothing is closed.
        if (outcome.kind === 'broken') this.close()
        resolve(outcome)
      }
      const died = (code: number | null, signal: string | null): void => {
        child.off('message', answered)
        clearTimeout(late)
        this.#child = undefined
        resolve({
          kind: 'broken',
          message: `the process that opened it ended with ${signal ?? `exit code ${code}`}`,
        })
      }
      child.once('message', answered)
      child.once('exit', died)
      child.send(dir)
    })
  }

  close(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  #ensureChild(): ChildProcess {
    this.#child ??= fork(siblingModule(import.meta, 'open-worker'), {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    return this.#child
  }
}
