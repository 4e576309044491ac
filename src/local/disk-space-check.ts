import { driverLimits } from '../server/node/limits.ts'
import { DirectoryDisk } from '../server/node/upkeep/disk-space.ts'

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
