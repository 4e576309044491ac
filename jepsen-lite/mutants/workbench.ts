// A copy of the project in a separate directory, in which bugs are planted and removed again. The project itself is
// never changed.

import { cpSync, existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Failure } from '../exit-codes.ts'
import { TemporaryDirectory } from '../temporary-directory.ts'
import { type Edit, withEdit } from './mutant.ts'

export const ROOT = join(import.meta.dirname, '../..')

const CODE = ['src', 'jepsen-lite', 'package.json']
const TESTS = [
  'test',
  'mutation',
  'bench',
  'docs',
  'scripts',
  'bin',
  'README.md',
  'tsconfig.json',
  'vitest.config.ts',
]

/** Without the files that `npm run mutation` has installed and written in its folder. */
const isSource = (path: string): boolean => !/\/(node_modules|reports)$/.test(path)

export class Workbench {
  readonly dir: string
  readonly #directory: TemporaryDirectory

  /** `withTests`: also copies what the tests of the project need. */
  constructor(withTests: boolean) {
    if (!existsSync(join(ROOT, 'src/raft/raft.ts')))
      throw new Failure('mutants are planted in the sources: run this in a clone')
    this.#directory = new TemporaryDirectory(tmpdir(), 'quorate-mutants-')
    this.dir = this.#directory.path
    for (const part of withTests ? [...CODE, ...TESTS] : CODE) {
      cpSync(join(ROOT, part), join(this.dir, part), { recursive: true, filter: isSource })
    }
    symlinkSync(join(ROOT, 'node_modules'), join(this.dir, 'node_modules'), 'dir')
  }

  /** Plants a bug. The returned function removes it again. */
  plant(edits: readonly Edit[]): () => void {
    const before = new Map<string, string>()
    const after = new Map<string, string>()
    for (const edit of edits) {
      const path = join(this.dir, edit.file)
      const text = after.get(path) ?? readFileSync(path, 'utf8')
      if (!before.has(path)) before.set(path, text)
      after.set(path, withEdit(text, edit))
    }
    for (const [path, text] of after) writeFileSync(path, text)
    return () => {
      for (const [path, text] of before) writeFileSync(path, text)
    }
  }

  remove(): void {
    this.#directory.remove()
  }
}
