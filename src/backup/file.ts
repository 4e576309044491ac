// Backups in files.

import { createReadStream } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncDirectory } from '../files/durable.ts'
import { BackupRows, decodeState, type KvState, TABLE_LEASES } from '../kv/index.ts'
import { type BackupEnd, type BackupHeader, BackupReader, DamagedBackupError } from './format.ts'

/** The end of the name of a file that is not complete. */
export const PARTIAL = '.partial'

/** The content of a whole backup. */
export interface BackupSummary {
  readonly header: BackupHeader
  readonly state: KvState
  readonly end: BackupEnd
  readonly bytes: number
}

export const readerOf = (path: string): BackupReader => new BackupReader(createReadStream(path))

/** Reads the header only. */
export async function readHeader(path: string): Promise<BackupHeader> {
  const chunks = createReadStream(path)
  try {
    return await new BackupReader(chunks).header()
  } finally {
    chunks.destroy()
  }
}

/** Reads the whole file. Throws `DamagedBackupError` if it is not what was written, or contradicts itself. */
export async function verifyBackup(chunks: AsyncIterable<Uint8Array>): Promise<BackupSummary> {
  let bytes = 0
  async function* counted(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of chunks) {
      bytes += chunk.length
      yield chunk
    }
  }
  const reader = new BackupReader(counted())
  const header = await reader.header()
  const state = decodeState(header.kv)
  const rows = new BackupRows(header.hasHistory)
  let leases = 0
  for await (const page of reader.pages())
    for (const row of page) {
      if (!rows.has(row)) throw new DamagedBackupError('the backup has a row that belongs into none')
      if (row.key[0] === TABLE_LEASES) leases++
    }
  const found = [rows.keys, rows.bytes, leases]
  const said = [state.keys, state.storeBytes, state.leases.count]
  if (found.some((count, at) => count !== said[at]))
    throw new DamagedBackupError(
      `the backup has ${found[0]} keys of ${found[1]} bytes and ${found[2]} leases, its header says ${said.join(', ')}`,
    )
  return { header, state, end: reader.end, bytes }
}

export const verifyFile = (path: string): Promise<BackupSummary> => verifyBackup(createReadStream(path))

/**
 * Writes a backup to a file. Only a verified and durable one gets its name; until then it has `.partial` behind it. If
 * this fails, that file is deleted.
 */
export async function writeBackup(path: string, chunks: AsyncIterable<Uint8Array>): Promise<BackupSummary> {
  const partial = `${path}${PARTIAL}`
  const file = await open(partial, 'w', 0o600)
  try {
    async function* copied(): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of chunks) {
        await file.writeFile(chunk)
        yield chunk
      }
    }
    const summary = await verifyBackup(copied())
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
