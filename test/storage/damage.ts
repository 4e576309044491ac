// Directories as a crash leaves them, damaged on purpose, and what a replica does with them.

import { cpSync, rmSync } from 'node:fs'
import { formatStorage, type OpenOptions, openStorage } from '../../src/storage/directory.ts'
import { StorageRefusedError } from '../../src/storage/index.ts'
import { type Files, filesOf, sameFiles, temporaryDirectory } from './files.ts'
import { closed, identity, initial } from './samples.ts'
import { contentOf, submit } from './workload.ts'

/**
 * The files of a replica after batches 1 to `count`, as kill -9 leaves them: tables from earlier runs, and everything
 * since in a WAL. `each` is called with the files after each batch.
 */
export async function crashImage(
  count: number,
  { restartEvery = 8, padding = 0 } = {},
  each?: (files: Files, batches: number) => void,
): Promise<Files> {
  const dir = await temporaryDirectory()
  try {
    await formatStorage(dir, identity, initial)
    let storage = await openStorage(dir)
    for (let number = 1; number <= count; number++) {
      await submit(storage, number, padding)
      each?.(filesOf(dir), number)
      if (number % restartEvery !== 0) continue
      await closed(storage)
      storage = await openStorage(dir)
    }
    const files = filesOf(dir)
    await closed(storage)
    return files
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

export type Outcome =
  | { readonly kind: 'opened'; readonly content: string }
  | { readonly kind: 'refused'; readonly message: string; readonly untouched: boolean }

/** Opens the directory and reads everything, or returns the refusal. Any other error is thrown. */
export async function outcomeOf(dir: string, options: OpenOptions = {}): Promise<Outcome> {
  const before = filesOf(dir)
  try {
    const storage = await openStorage(dir, options)
    try {
      return { kind: 'opened', content: await contentOf(storage) }
    } finally {
      await closed(storage)
    }
  } catch (error) {
    if (!(error instanceof StorageRefusedError)) throw error
    return { kind: 'refused', message: error.message, untouched: sameFiles(before, filesOf(dir)) }
  }
}

export function copyTo(dir: string, from: string): void {
  rmSync(dir, { recursive: true, force: true })
  cpSync(from, dir, { recursive: true })
}
