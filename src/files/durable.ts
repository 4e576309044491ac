// Directories, files and their names. What is written is durable when the call returns; a new directory is not.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  opendirSync,
  openSync,
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
  try {
    mkdirSync(path, mode)
    return path
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    const isThere = code !== 'ENOENT' && statSync(path, { throwIfNoEntry: false }) !== undefined
    // Says what is wrong with a file that is in the way.
    if (isThere && !statSync(path).isDirectory()) opendirSync(path).closeSync()
    if (isThere) return undefined
    if (code !== 'ENOENT' || dirname(path) === path) throw error
  }
  const first = makeDirectories(dirname(path), mode)
  return makeDirectories(path, mode) === undefined ? first : (first ?? path)
}

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
