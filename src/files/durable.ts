// Directories, files and their names. What is written is durable when the call returns; a new directory is not.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a directory and those above it that are missing. Returns the topmost that it has made; undefined if there was
 * none to make. Unlike `mkdirSync` with `recursive`, it fails with the reason of the system: on a read-only file system
 * that one says that a file is missing.
 */
export function makeDirectories(path: string, mode = 0o777): string | undefined {
  const above = dirname(path)
  try {
    return makeOne(path, mode)
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' || above === path) throw error
  }
  const first = makeDirectories(above, mode)
  // If the system calls it missing again (in /proc, in a directory that was removed), that is the reason.
  return makeOne(path, mode) === undefined ? first : (first ?? path)
}

/** Makes one directory. Returns its path, or undefined if it was there. */
function makeOne(path: string, mode: number): string | undefined {
  try {
    mkdirSync(path, mode)
    return path
  } catch (error) {
    const there = codeOf(error) === 'ENOENT' ? undefined : statSync(path, { throwIfNoEntry: false })
    if (there === undefined) throw error
    // Fails with what is wrong with a file that is in the way.
    if (!there.isDirectory()) readdirSync(path)
    return undefined
  }
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined

/**
 * Writes the whole file, with permissions `mode` if it is new. At every moment the file is either complete or as it was
 * before: the content goes to `PATH.new` first.
 * @throws Error of the system; the file is complete, as it was before or as it should be
 */
export function writeWhole(path: string, content: string | Uint8Array, mode = 0o666): void {
  const next = `${path}.new`
  const file = openSync(next, 'w', mode)
  try {
    // Writes again after a partial write.
    writeFileSync(file, content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(next, path)
  syncDirectory(dirname(path))
}

/** Makes the names in a directory durable: files that were created, renamed or deleted there. */
export function syncDirectory(path: string): void {
  // Windows cannot open a directory; there the rename itself has to be enough.
  if (process.platform === 'win32') return
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
