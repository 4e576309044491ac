// Directories that only their owner may use. Windows has no such modes. A directory of another user, such as the mount
// point of a volume, cannot be changed here: its owner decides. A group may have access: orchestrators share volumes so.

import { chmodSync, statSync } from 'node:fs'

const OTHERS = 0o007

/** The mode of a directory of this user to which all other users have access; undefined: they have none. */
export function modeOpenToOthers(path: string): number | undefined {
  const { mode, uid } = statSync(path)
  const isOwn = process.getuid !== undefined && process.getuid() === uid
  return isOwn && (mode & OTHERS) !== 0 ? mode & 0o777 : undefined
}

/** Takes the access of other users away. */
export function closeToOthers(path: string): void {
  const mode = modeOpenToOthers(path)
  if (mode !== undefined) chmodSync(path, mode & ~OTHERS)
}
