// QUARANTINE: there when others know that this replica has lost what it promised, or holds another state than they do,
// or when it has found damage in what it holds. Whoever knew may not be asked at the next start, and then it would vote
// and count once more; so no later start opens the directory. A file of its own, and not a record in the database: the
// process that ends may not be able to write there any more.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hasCode } from './errors.ts'
import { unreadable, writeWhole } from './identity.ts'

export const QUARANTINE_FILE = 'QUARANTINE'

/** Durable when it returns. The first reason stays. */
export function quarantine(dir: string, why: string): void {
  if (!existsSync(join(dir, QUARANTINE_FILE))) writeWhole(dir, QUARANTINE_FILE, `${why}\n`)
}

/** The reason; undefined: there is none. */
export function quarantineOf(dir: string): string | undefined {
  const path = join(dir, QUARANTINE_FILE)
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw unreadable(path, error)
  }
}
