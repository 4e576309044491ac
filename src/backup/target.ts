// The place of scheduled backups: a directory, or a bucket (`s3.ts`). The name of a backup has the
// cluster, the time and the revision.

import { readdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { makeDirectories } from '../files/durable.ts'
import { PARTIAL, writeBackup } from './file.ts'

/** A file in a target. */
export interface StoredFile {
  readonly name: string
  readonly bytes: number
}

/** Backups of one cluster, whichever node has made them. The signals end a call early. */
export interface BackupTarget {
  /** The local directory that a backup is written to, if only at first. */
  readonly directory: string
  /** Files whose names begin with `prefix`, in any order. An answer that may lack some is an error. */
  list(prefix: string, signal: AbortSignal): Promise<readonly StoredFile[]>
  /** Stores a backup under this name when it is complete. */
  write(name: string, chunks: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void>
  /** A name that does not exist is no error: another node may have deleted it. */
  delete(name: string, signal: AbortSignal): Promise<void>
}

interface BackupName extends StoredFile {
  readonly timeMs: number
}

const NAME = /^quorate-([0-9]{1,20})-([0-9]{8}T[0-9]{9}Z)-r[0-9]+\.backup$/

/** The beginning of the names of all backups of a cluster. */
export const namePrefix = (clusterId: string): string => `quorate-${clusterId}-`

/** Names sort like their times. */
export function backupName(clusterId: string, timeMs: number, revision: number): string {
  const time = new Date(timeMs).toISOString().replaceAll(/[-:.]/g, '')
  return `${namePrefix(clusterId)}${time}-r${revision}.backup`
}

/** Cluster and time in the name of a backup; undefined: it is no such name. */
export function parseBackupName(
  name: string,
): { readonly clusterId: string; readonly timeMs: number } | undefined {
  const [, clusterId, time = ''] = NAME.exec(name) ?? []
  const timeMs = parseTime(time)
  // Something else has made a name with a month 13.
  return clusterId === undefined || !Number.isFinite(timeMs) ? undefined : { clusterId, timeMs }
}

/** The backups of this cluster among these files, the newest first. */
export function findBackups(clusterId: string, files: readonly StoredFile[]): readonly BackupName[] {
  const found = files.flatMap((file) => {
    const parsed = parseBackupName(file.name)
    return parsed?.clusterId === clusterId ? [{ ...file, timeMs: parsed.timeMs }] : []
  })
  return found.sort((a, b) => b.timeMs - a.timeMs)
}

function parseTime(time: string): number {
  const [, date, clock, ms] = /^(.{8})T(.{6})(.{3})Z$/.exec(time) ?? []
  return Date.parse(
    `${date?.replace(/(....)(..)(..)/, '$1-$2-$3')}T${clock?.replace(/(..)(..)(..)/, '$1:$2:$3')}.${ms}Z`,
  )
}

/** Names of incomplete backups of this cluster among these files. */
export const findPartials = (clusterId: string, files: readonly StoredFile[]): readonly string[] =>
  files.flatMap(({ name }) =>
    name.startsWith(namePrefix(clusterId)) && name.endsWith(PARTIAL) ? [name] : [],
  )

export class DirectoryTarget implements BackupTarget {
  readonly directory: string

  constructor(dir: string) {
    this.directory = dir
  }

  /** A directory that does not exist has no files: the first backup makes it. */
  async list(prefix: string): Promise<readonly StoredFile[]> {
    const names = await readdir(this.directory).catch(emptyIfMissing)
    const files = await Promise.all(
      names.map(async (name) => {
        if (!name.startsWith(prefix)) return []
        // Another node may delete it now.
        const found = await stat(join(this.directory, name)).catch(undefinedIfMissing)
        return found === undefined ? [] : [{ name, bytes: found.size }]
      }),
    )
    return files.flat()
  }

  async write(name: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    makeDirectories(this.directory, 0o700)
    await writeBackup(join(this.directory, name), chunks)
  }

  async delete(name: string): Promise<void> {
    await unlink(join(this.directory, name)).catch(undefinedIfMissing)
  }
}

function undefinedIfMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
  throw error
}

const emptyIfMissing = (error: unknown): readonly string[] => undefinedIfMissing(error) ?? []

export const isBucket = (to: string): boolean => to.startsWith('s3://')
