// Which directory or file a path leads to just now. A cluster belongs to its directory, not to the path: that may be
// moved, copied or replaced meanwhile.

import { type BigIntStats, statSync } from 'node:fs'
import { isAbsent } from './failure.ts'

/**
 * undefined: there is none. Two directories that exist at the same time never have the same. Throws when the system
 * does not tell.
 */
export function directoryId(path: string): string | undefined {
  return idOf(path, ({ dev, ino }) => `${dev}:${ino}`)
}

/**
 * The same of a file: one that is made after another was deleted has another one, though the system may give it the old
 * number.
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
