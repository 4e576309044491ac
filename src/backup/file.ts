// Backups in files.

import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDirectory } from '../files/durable.ts'
import { BackupRows, decodeState, type KvState, ROOT_KEY, TABLE_LEASES } from '../kv/index.ts'
import { compareKeys } from '../operations/forms/index.ts'
import { type BackupEnd, type BackupHeader, BackupReader, DamagedBackupError } from './format.ts'

/** The end of the name of a file that is not complete. */
export const PARTIAL = '.partial'

/** The content of a whole backup. */
export interface BackupSummary {
  readonly header: BackupHeader
  readonly state: KvState
  readonly end: BackupEnd
  readonly bytes: number
  /** The row of the user root; undefined: there is no such user. */
  readonly root: Uint8Array | undefined
}

export const openBackup = (path: string): BackupReader => new BackupReader(createReadStream(path))

/** Reads the header only. */
export async function readBackupHeader(path: string): Promise<BackupHeader> {
  const chunks = createReadStream(path)
  try {
    return await new BackupReader(chunks).header()
  } finally {
    chunks.destroy()
  }
}

/**
 * Reads the whole file. Throws `DamagedBackupError` if it is not what was written, or contradicts itself, and an error
 * as soon as it is known to have more bytes than `bytesMax`.
 */
export async function verifyBackup(
  chunks: AsyncIterable<Uint8Array>,
  bytesMax = Number.POSITIVE_INFINITY,
): Promise<BackupSummary> {
  const refuseMoreThanMax = (count: number): void => {
    if (count > bytesMax)
      throw new Error(`the backup has ${count} bytes or more, and may have ${bytesMax} here`)
  }
  let bytes = 0
  async function* counted(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      bytes += chunk.length
      refuseMoreThanMax(bytes)
      yield chunk
    }
  }
  const reader = new BackupReader(counted())
  const header = await reader.header()
  const state = decodeState(header.kv)
  refuseMoreThanMax(state.storeBytes)
  const rows = new BackupRows(header.hasHistory)
  let leases = 0
  let root: Uint8Array | undefined
  for await (const page of reader.pages())
    for (const row of page) {
      if (!rows.has(row)) throw new DamagedBackupError('the backup has a row that belongs into none')
      if (row.key[0] === TABLE_LEASES) leases++
      if (compareKeys(row.key, ROOT_KEY) === 0) root = row.value
    }
  const found = [rows.keys, rows.bytes, leases]
  const said = [state.keys, state.storeBytes, state.leases.count]
  if (found.some((count, at) => count !== said[at]))
    throw new DamagedBackupError(
      `the backup has ${found[0]} keys of ${found[1]} bytes and ${found[2]} leases, its header says ${said.join(', ')}`,
    )
  return { header, state, end: reader.end, bytes, root }
}

export const verifyFile = (path: string): Promise<BackupSummary> => verifyBackup(createReadStream(path))

/**
 * Writes a backup to a file. Only a verified and durable one gets its name. Until then it is PATH.RANDOM.partial: two
 * processes that save under one name must not write into one file. If this fails, that file is deleted.
 */
export async function writeBackup(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  bytesMax?: number,
): Promise<BackupSummary> {
  const partial = `${path}.${randomBytes(4).toString('hex')}${PARTIAL}`
  const file = await open(partial, 'wx', 0o600)
  try {
    async function* copied(): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of chunks) {
        await file.writeFile(chunk)
        yield chunk
      }
    }
    const summary = await verifyBackup(copied(), bytesMax)
    await file.sync()
    await file.close()
    await rename(partial, path)
    syncDirectory(dirname(path))
    return summary
  } catch (error) {
    await file.close().catch(() => {})
    await unlink(partial).catch(() => {})
    throw error
  }
}
