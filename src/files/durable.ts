// Files and names of files that are durable when the call returns.

import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

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
