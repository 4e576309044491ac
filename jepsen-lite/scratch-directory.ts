// A directory that goes when it is not needed any more, at the latest with the process, interrupted or not.

import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { EXIT } from './exit-codes.ts'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

export class ScratchDirectory {
  readonly path: string
  readonly #interrupted = (): void => process.exit(EXIT.failed)
  readonly #delete = (): void => rmSync(this.path, { recursive: true, force: true })

  constructor(parent: string, prefix: string) {
    this.path = realpathSync(mkdtempSync(join(parent, prefix)))
    for (const signal of SIGNALS) process.once(signal, this.#interrupted)
    process.once('exit', this.#delete)
  }

  remove(): void {
    for (const signal of SIGNALS) process.off(signal, this.#interrupted)
    process.off('exit', this.#delete)
    this.#delete()
  }
}
