// Which directory a path leads to just now. A cluster belongs to its directory, not to the path: that may be moved, copied or replaced meanwhile.

import { statSync } from 'node:fs'

/** undefined: there is none. Two directories that exist at the same time never have the same. */
export function directoryId(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true })
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}
