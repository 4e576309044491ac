// Has another process open a directory, and starts a new one when it does not survive that.

import { type ChildProcess, fork } from 'node:child_process'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Outcome } from './opener.ts'

export class Opener {
  #child: ChildProcess | undefined

  open(dir: string): Promise<Outcome> {
    const child = this.#running()
    return new Promise((resolve) => {
      const answered = (outcome: unknown): void => {
        child.off('exit', died)
        // The other end is opener.ts, which sends nothing else.
        resolve(outcome as Outcome)
      }
      const died = (code: number | null, signal: string | null): void => {
        child.off('message', answered)
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
    this.#child?.kill()
  }

  #running(): ChildProcess {
    const file = new URL(`./opener${extname(fileURLToPath(import.meta.url))}`, import.meta.url)
    this.#child ??= fork(fileURLToPath(file), { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    return this.#child
  }
}
