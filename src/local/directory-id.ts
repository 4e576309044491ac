// Which directory or file a path leads to at this moment. A cluster belongs to its directory, not to the path: the
// directory may be moved, copied or replaced while the cluster runs.

import { type BigIntStats, statSync } from 'node:fs'
import { isAbsent } from './failure.ts'

/**
 * undefined: there is no directory. Two directories that exist at the same time never have the same id. Throws when the
 * system does not tell.
 */
export function directoryId(path: string): string | undefined {
  return idOf(path, ({ dev, ino }) => `${dev}:${ino}`)
}

/**
 * The id of a file. A file that is made after another was deleted has another id, even where the system gives it the
 * old inode number.
 */
export function fileId(path: string): string | undefined {
  return idOf(path, ({ dev, ino, birthtimeNs }) => `${dev}:${ino}:${birthtimeNs}`)
}

function idOf(path: string, id: (stats: BigIntStats) => string): string | undefined {
  try {
    return id(statSync(path, { bigint: true }))
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}
