// Which directory a path leads to just now. A cluster belongs to its directory, not to the path: that may be moved, copied or replaced meanwhile.

import { statSync } from 'node:fs'

/** undefined: there is none. Two directories that exist at the same time never have the same. Throws when the system does not tell. */
export function directoryId(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true })
    return `${dev}:${ino}`
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined
    throw error
  }
}
