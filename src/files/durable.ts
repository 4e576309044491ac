// Directories, files and their names. Written files are durable when the call returns; new directories are not.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'

/**
 * Creates a directory and its missing parents. Returns the topmost new directory; undefined if none was missing. Fails
 * with the reason of the system, unlike `mkdirSync` with `recursive`, which reports a missing file on a read-only file
 * system.
 */
export function makeDirectories(path: string, mode = 0o777): string | undefined {
  const above = dirname(path)
  try {
    return makeOne(path, mode)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || above === path) throw error
  }
  const first = makeDirectories(above, mode)
  // If the system reports it missing again (in /proc, in a deleted directory), that is the reason.
  return makeOne(path, mode) === undefined ? first : (first ?? path)
}

/** Creates one directory. Returns its path, or undefined if it exists already. */
function makeOne(path: string, mode: number): string | undefined {
  try {
    mkdirSync(path, mode)
    return path
  } catch (error) {
    const there = errorCode(error) === 'ENOENT' ? undefined : statSync(path, { throwIfNoEntry: false })
    if (there === undefined) throw error
    // Fails with the right reason if the path is a file.
    if (!there.isDirectory()) readdirSync(path)
    return undefined
  }
}

/** The code of an error of the system. In a context of `node:vm` its class is another one than that of the context. */
export const errorCode = (error: unknown): unknown =>
  typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined

/**
 * Writes the whole file, with permissions `mode`. Readers see either the old or the new content: it goes to `PATH.new`
 * first, which is always a new file, so that no link of another user is followed. `prepare` gives it its owner.
 * @throws Error of the system; the file then has the old or the new content
 */
export function writeFileAtomically(
  path: string,
  content: string | Uint8Array,
  mode = 0o666,
  prepare?: (file: number) => void,
): void {
  const next = `${path}.new`
  unlinkIfThere(next)
  const file = openSync(next, 'wx', mode)
  try {
    prepare?.(file)
    // Repeats after a partial write.
    writeFileSync(file, content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(next, path)
  syncDirectory(dirname(path))
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}

/** Makes changes of the names in a directory durable: created, renamed and deleted files. */
export function syncDirectory(path: string): void {
  // Windows cannot open a directory; there the rename itself must be enough.
  if (process.platform === 'win32') return
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
