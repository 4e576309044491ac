// The directory of a cluster and those of its nodes: created, checked for space and for other users, moved aside.

import { existsSync, renameSync } from 'node:fs'
import { basename } from 'node:path'
import { makeDirectories } from '../../files/durable.ts'
import { DirectoryDisk } from '../../server/node/directory-disk.ts'
import { driverLimits } from '../../server/node/limits.ts'
import { lockHolder } from '../../server/replica/inspect-data-directory.ts'
import { Failure, failureReason, isSystemError } from '../failure.ts'

/** Creates the directory of a cluster, readable by its owner only. */
export function createDataDirectory(dataDir: string): void {
  try {
    makeDirectories(dataDir, 0o700)
  } catch (error) {
    if (!isSystemError(error)) throw error
    throw new Failure(
      1,
      `cannot create the directory of the cluster, ${dataDir}: ${failureReason(error)}; choose another one with --data`,
    )
  }
}

/** Renames `dir` to the first free name `dir.old-N` and returns that name; undefined when there is no `dir`. */
export function backUpDirectory(dir: string): string | undefined {
  if (!existsSync(dir)) return undefined
  for (let number = 1; ; number++) {
    const backup = `${dir}.old-${number}`
    if (existsSync(backup)) continue
    renameSync(dir, backup)
    return backup
  }
}

/**
 * The node that a user has started by hand on a directory of the cluster, its process and how to end it. Its data must
 * not be deleted or moved. undefined: there is none, as far as the system shows it.
 */
export function describeUse(dir: string): string | undefined {
  const pid = lockHolder(dir)
  if (pid === undefined) return undefined
  const [process, end] = pid > 0 ? [`process ${pid}`, `Ctrl-C or kill ${pid}`] : ['a process', 'Ctrl-C']
  return `${basename(dir)} runs outside of the cluster, as ${process} on ${dir}; end it with ${end}`
}

const MiB = 2 ** 20

/**
 * Why the disk of a directory has no room for a new cluster of several nodes; undefined if it has. On a nearly full
 * disk no node can join, which would show only after a long time.
 */
export function diskSpaceFault(directory: string): string | undefined {
  const needed = driverLimits.diskReserveBytes
  const free = new DirectoryDisk(directory).freeBytes()
  if (free >= needed) return undefined
  return `the disk is nearly full (${Math.floor(free / MiB)} MiB free), and a new cluster needs ${needed / MiB} MiB`
}
