// Room for scheduled backups on the file system of the data. Backups that fill it would end all writes of the cluster.

import { statfsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

/** Multiples of the disk reserve that backups leave free: below one, changes are refused. */
const RESERVES = 2

/**
 * Bytes that backups in `target` may still take; Infinity on another file system than that of the data, and if it is
 * unknown.
 */
export function backupRoom(target: string, dataDir: string, diskReserveBytes: number): number {
  try {
    const found = existingAbove(resolve(target))
    const [there, data] = [statfsSync(found), statfsSync(dataDir)]
    const [free, freeForData] = [there.bavail * there.bsize, data.bavail * data.bsize]
    // Subvolumes of one pool are different devices with the same free space.
    const isSame = statSync(found).dev === statSync(dataDir).dev || (free === freeForData && free > 0)
    // Some network file systems report no sizes.
    if (!isSame || data.blocks === 0) return Number.POSITIVE_INFINITY
    return Math.max(0, freeForData - RESERVES * diskReserveBytes)
  } catch {
    // The backup will report the problem with the directory, and its message is better.
    return Number.POSITIVE_INFINITY
  }
}

/** The directory, or the nearest one above it that exists. */
function existingAbove(dir: string): string {
  const above = dirname(dir)
  return above === dir || statSync(dir, { throwIfNoEntry: false }) !== undefined ? dir : existingAbove(above)
}
