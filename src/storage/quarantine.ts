// QUARANTINE: a file that exists when other replicas know that this one has lost durable state or has a different
// state, or when it has found damage in its data. At the next start those others might not be reachable, and the
// replica would vote and count again. So no later start opens the directory. It is a separate file and not a database
// record, because the process that ends may not be able to write to the database any more.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeFileAtomically } from '../files/durable.ts'
import { hasErrorCode } from '../system/errors.ts'
import { unreadable } from './replica-identity.ts'

const QUARANTINE_FILE = 'QUARANTINE'

/** Durable when it returns. The first reason is kept. */
export function quarantine(dir: string, why: string): void {
  if (!existsSync(join(dir, QUARANTINE_FILE))) writeFileAtomically(join(dir, QUARANTINE_FILE), `${why}\n`)
}

/** The reason; undefined: the replica is not in quarantine. */
export function readQuarantine(dir: string): string | undefined {
  const path = join(dir, QUARANTINE_FILE)
  try {
    return readFileSync(path, 'utf8').trim()
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return undefined
    throw unreadable(path, error)
  }
}
