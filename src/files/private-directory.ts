// Directories that only their owner may use. Windows has no such modes. A directory of another user, such as the mount
// point of a volume, cannot be changed here: its owner decides. A group may have access: orchestrators share volumes
// so.

import { chmodSync, realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

const OTHERS = 0o007
const OTHERS_ENTER = 0o001

/** Whether other users can open what is in the directory: a directory that they cannot enter protects all below it. */
export function isOpenToOthers(path: string): boolean {
  if (process.platform === 'win32') return false
  for (let at = realpathSync(path); at !== dirname(at); at = dirname(at))
    if ((statSync(at).mode & OTHERS_ENTER) === 0) return false
  return true
}

/** The mode of a directory of this user that is open to others; undefined: it is not, or cannot be closed. */
export function modeOpenToOthers(path: string): number | undefined {
  const mode = ownMode(path)
  return mode !== undefined && isOpenToOthers(path) && keepsModes(path, mode) ? mode & 0o777 : undefined
}

/** Whether the file system keeps modes. Those of Windows and some of networks show the same one for all files. */
function keepsModes(path: string, mode: number): boolean {
  chmodSync(path, mode & ~OTHERS)
  const isKept = statSync(path).mode !== mode
  chmodSync(path, mode)
  return isKept
}

/** Takes the access of other users away. */
export function closeToOthers(path: string): void {
  const mode = ownMode(path)
  if (mode !== undefined && (mode & OTHERS) !== 0) chmodSync(path, mode & ~OTHERS)
}

/** undefined: it belongs to another user. */
function ownMode(path: string): number | undefined {
  const { mode, uid } = statSync(path)
  return process.getuid !== undefined && process.getuid() === uid ? mode : undefined
}
