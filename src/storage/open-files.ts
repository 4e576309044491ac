// Which files a process has open. Only Linux tells.

import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'

/** Whichever of its threads has it open. False where the system does not tell. */
export function isOpenInProcess(file: Stats): boolean {
  try {
    return isOpenIn('self', file)
  } catch {
    return false
  }
}

/** Whether this process has it open more than once, whichever of its threads. False where the system does not tell. */
export function isOpenTwiceInProcess(file: Stats): boolean {
  try {
    return descriptorsIn('self', file).length > 1
  } catch {
    return false
  }
}

/**
 * Whether this process holds a lock on it, whichever of its threads took it. That it has it open does not say so:
 * LevelDB's files are inherited by every process that is started while they are open, and locks are not. False where
 * the system does not tell.
 */
export function isLockedInProcess(file: Stats): boolean {
  try {
    return descriptorsIn('self', file).some((fd) =>
      /^lock:/m.test(readFileSync(join('/proc/self/fdinfo', fd), 'latin1')),
    )
  } catch {
    return false
  }
}

/** `unknown`: where the files of that process cannot be read. */
export function hasOpen(pid: string, file: Stats, unknown: boolean): boolean {
  try {
    return isOpenIn(pid, file)
  } catch {
    return unknown
  }
}

const isOpenIn = (pid: string, file: Stats): boolean => descriptorsIn(pid, file).length > 0

function descriptorsIn(pid: string, { dev, ino }: Stats): string[] {
  const descriptors = join('/proc', pid, 'fd')
  return readdirSync(descriptors).filter((fd) => {
    const open = statSync(join(descriptors, fd), { throwIfNoEntry: false })
    return open?.ino === ino && open.dev === dev
  })
}
