// The place of scheduled backups: a directory, or a bucket (`s3.ts`). The name of a backup has the
// cluster, the time and the revision.

import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDirectories } from '../files/durable.ts'
import { PARTIAL, writeBackup } from './file.ts'

/** Backups of one cluster, whichever node has made them. */
export interface BackupTarget {
  /** Names of backups, in any order. Other names may be among them. */
  list(): Promise<readonly string[]>
  /** Stores a backup under this name when it is complete. */
  write(name: string, chunks: AsyncIterable<Uint8Array>): Promise<void>
  delete(name: string): Promise<void>
}

export interface BackupName {
  readonly name: string
  readonly timeMs: number
}

const NAME = /^quorate-([0-9]{1,20})-([0-9]{8}T[0-9]{9}Z)-r[0-9]+\.backup$/

/** Names sort like their times. */
export function backupName(clusterId: string, timeMs: number, revision: number): string {
  const time = new Date(timeMs).toISOString().replaceAll(/[-:.]/g, '')
  return `quorate-${clusterId}-${time}-r${revision}.backup`
}

/** The backups of this cluster among these names, the newest first. */
export function backupsOf(clusterId: string, names: readonly string[]): readonly BackupName[] {
  const found = names.flatMap((name) => {
    const [, cluster, time = ''] = NAME.exec(name) ?? []
    if (cluster !== clusterId) return []
    const [, date, clock, ms] = /^(.{8})T(.{6})(.{3})Z$/.exec(time) ?? []
    const iso = `${date?.replace(/(....)(..)(..)/, '$1-$2-$3')}T${clock?.replace(/(..)(..)(..)/, '$1:$2:$3')}.${ms}Z`
    return [{ name, timeMs: Date.parse(iso) }]
  })
  return found.sort((a, b) => b.timeMs - a.timeMs)
}

/** Incomplete backups of this cluster among these names. */
export const partialsOf = (clusterId: string, names: readonly string[]): readonly string[] =>
  names.filter((name) => name.startsWith(`quorate-${clusterId}-`) && name.endsWith(PARTIAL))

export class DirectoryTarget implements BackupTarget {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  async list(): Promise<readonly string[]> {
    makeDirectories(this.#dir, 0o700)
    return readdir(this.#dir)
  }

  async write(name: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await writeBackup(join(this.#dir, name), chunks)
  }

  async delete(name: string): Promise<void> {
    await unlink(join(this.#dir, name))
  }
}

export const isBucket = (to: string): boolean => to.startsWith('s3://')
