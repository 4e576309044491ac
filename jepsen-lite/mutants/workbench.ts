// A copy of the project in a temporary directory, in which bugs are planted. The project itself never changes.

import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CommandError } from '../exit-codes.ts'
import { ScratchDirectory } from '../scratch-directory.ts'
import { applyPatch, changedFiles, type Patch, ROOT } from './mutant.ts'

/** The sources, and what tests read. */
const PARTS = [
  ...['src', 'jepsen-lite', 'test', 'bin', 'docs', 'package.json', 'README.md'],
  ...['tsconfig.json', 'vitest.config.ts', 'web/src/design'],
]

export class Workbench {
  readonly dir: string
  readonly #directory: ScratchDirectory

  constructor() {
    if (!existsSync(join(ROOT, 'src/raft/raft.ts')))
      throw new CommandError('mutants are planted in the sources: run this in a clone')
    this.#directory = new ScratchDirectory(tmpdir(), 'quorate-mutants-')
    this.dir = this.#directory.path
    for (const part of PARTS) cpSync(join(ROOT, part), join(this.dir, part), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(this.dir, 'node_modules'), 'dir')
  }

  /** Plants a bug. The returned function removes it. */
  plant(patch: Patch): () => void {
    const files = changedFiles(patch).map((path) => join(this.dir, path))
    const before = files.filter(existsSync).map((file) => [file, readFileSync(file)] as const)
    applyPatch(this.dir, patch)
    return () => {
      for (const [file, bytes] of before) writeFileSync(file, bytes)
    }
  }

  remove(): void {
    this.#directory.remove()
  }
}
