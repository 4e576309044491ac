// The process that holds LevelDB's lock on a data directory. Only Linux shows it without an attempt to lock. This
// module does not load the database library.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { hasErrorCode } from '../system/errors.ts'
import { hasOpen } from './open-files.ts'
import { unreadable } from './replica-identity.ts'

const LOCKS = '/proc/locks'

/** Whether a living process holds LevelDB's lock on the directory. False where the system does not show it. */
export const isInUse = (dir: string, unknown = true): boolean => lockHolder(dir, unknown) !== undefined

/**
 * The process id of the holder; 0: a process of another PID namespace. Inode numbers are unique within one file system
 * only, and the device in /proc/locks is not always that of stat (Btrfs). So the open files of the holder decide; where
 * they cannot be read, `unknown` does.
 */
export function lockHolder(dir: string, unknown = true): number | undefined {
  const lock = statSync(join(dir, 'LOCK'), { throwIfNoEntry: false })
  if (lock === undefined || !existsSync(LOCKS)) return undefined
  for (const line of readLocks().split('\n')) {
    const fields = line.split(/\s+/)
    const at = fields.indexOf('WRITE')
    const pid = fields[at + 1] ?? ''
    if (at > 0 && fields[at + 2]?.endsWith(`:${lock.ino}`) && hasOpen(pid, lock, unknown)) return Number(pid)
  }
  return undefined
}

/** Empty where this process may not read it, e.g. under AppArmor. LevelDB checks the lock too. */
function readLocks(): string {
  try {
    return readFileSync(LOCKS, 'latin1')
  } catch (error) {
    if (hasErrorCode(error, 'EACCES')) return ''
    throw unreadable(LOCKS, error)
  }
}
