// Reads of a stopped replica that change nothing in its directory. Opening a directory writes to it: LevelDB recovers
// its WALs into tables, and the replica counts a start. So a copy is opened. Tables are never changed after they were
// written: the copy has links to them, and only the small files are copied.

import { copyFileSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { extname, join, resolve } from 'node:path'
import { UnknownKindError } from '../../kv/index.ts'
import { inspectDirectory, isInUse, isLocked, openStorage } from '../../storage/directory.ts'
import { type Storage, StorageInUseError, StorageRefusedError } from '../../storage/index.ts'

const NOT_COPIED = new Set(['LOCK', 'LOG', 'LOG.old', 'RESERVE'])

export const inUse = (dir: string): StorageInUseError =>
  new StorageInUseError(`${dir} is in use: a node runs on it. Stop it first.`)

/** Rejects with the errors of `openStorage`, which name `dir`. */
export async function withReplicaCopy<T>(dir: string, use: (storage: Storage) => Promise<T>): Promise<T> {
  if (inspectDirectory(dir).kind === 'empty') throw new StorageRefusedError(`${dir} holds no node.`)
  if (isInUse(dir)) throw inUse(dir)
  const copy = mkdtempSync(join(tmpdir(), 'quorate-read-'))
  try {
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      if (!entry.isFile() || NOT_COPIED.has(entry.name)) continue
      const [from, to] = [join(resolve(dir), entry.name), join(copy, entry.name)]
      if (extname(entry.name) === '.ldb') symlinkSync(from, to)
      else copyFileSync(from, to)
    }
    const storage = await openStorage(copy, { readsFirst: true })
    try {
      return await use(storage)
    } finally {
      await new Promise<void>((done) => storage.close(() => done()))
    }
  } catch (error) {
    // A node may have started on it, or runs in another container, whose locks the system does not show.
    if (isInUse(dir) || (await isLocked(dir))) throw inUse(dir)
    if (error instanceof UnknownKindError) throw new StorageRefusedError(`${dir}: ${error.message}.`)
    if (error instanceof Error) error.message = error.message.replaceAll(copy, dir)
    throw error
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
