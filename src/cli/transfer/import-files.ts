// The regular files of a directory as keys and values. Keys are paths relative to it, as bytes: a name need not be
// UTF-8. Symlinks are not followed, so nothing outside the directory is read. Not covered: a directory that is replaced
// by a symlink during the import.

import { closeSync, constants, type Dirent, fstatSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { failureReason } from '../../local/failure.ts'
import type { ImportItem } from './import-lines.ts'

const SLASH = Buffer.from('/')

export function* readItemsFromFiles(
  directory: string,
  bytesMax: number,
): Generator<ImportItem, void, undefined> {
  yield* walk(Buffer.from(directory), undefined, bytesMax)
}

/** Depth first, in the order of the names' bytes. `within`: the path of this directory relative to the top. */
function* walk(
  path: Buffer,
  within: Buffer | undefined,
  bytesMax: number,
): Generator<ImportItem, void, undefined> {
  let entries: Dirent<Buffer>[]
  try {
    entries = readdirSync(path, { withFileTypes: true, encoding: 'buffer' })
  } catch (error) {
    if (within === undefined) throw error
    yield { kind: 'skip', name: within.toString(), reason: failureReason(error) }
    return
  }
  if (entries.length === 0 && within !== undefined) {
    yield { kind: 'skip', name: within.toString(), reason: 'an empty directory' }
  }
  for (const entry of entries.sort((a, b) => Buffer.compare(a.name, b.name))) {
    const child = Buffer.concat([path, SLASH, entry.name])
    const key = within === undefined ? entry.name : Buffer.concat([within, SLASH, entry.name])
    if (entry.isDirectory()) yield* walk(child, key, bytesMax)
    else if (entry.isFile()) {
      yield { kind: 'write', name: key.toString(), key, value: () => content(child, bytesMax) }
    } else yield { kind: 'skip', name: key.toString(), reason: entryKind(entry) }
  }
}

/** O_NOFOLLOW and O_NONBLOCK: since the listing, the file may have been replaced by a symlink or a pipe. */
function content(path: Buffer, bytesMax: number): Buffer {
  const file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const stat = fstatSync(file)
    if (!stat.isFile()) throw new Error('not a regular file any more')
    if (stat.size > bytesMax) throw tooLarge(`${stat.size} bytes`, bytesMax)
    // The size is only a hint: files below /proc report 0, and others may grow.
    const bytes = readFileSync(file)
    if (bytes.length > bytesMax) throw tooLarge(`${bytes.length} bytes`, bytesMax)
    return bytes
  } finally {
    closeSync(file)
  }
}

const tooLarge = (size: string, bytesMax: number): Error =>
  new Error(`${size}; a value has at most ${bytesMax}`)

function entryKind(entry: Dirent<Buffer>): string {
  if (entry.isSymbolicLink()) return 'a symlink'
  if (entry.isSocket()) return 'a socket'
  if (entry.isFIFO()) return 'a pipe'
  return 'not a regular file'
}
