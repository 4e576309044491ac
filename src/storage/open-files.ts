// Which files a process has open. This works on Linux only.

import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'

/** Whether any thread of this process has the file open. False where the system does not show it. */
export function isOpenInProcess(file: Stats): boolean {
  try {
    return isOpenBy('self', file)
  } catch {
    return false
  }
}

/**
 * Whether this process has the file open more than once, in any of its threads. False where the system does not show
 * it.
 */
export function isOpenTwiceInProcess(file: Stats): boolean {
  try {
    return findDescriptors('self', file).length > 1
  } catch {
    return false
  }
}

/**
 * Whether any thread of this process holds a lock on the file. An open descriptor alone does not show this: a process
 * that is started while LevelDB's files are open inherits them, but not their locks. False where the system does not
 * show it.
 */
export function isLockedInProcess(file: Stats): boolean {
  try {
    return findDescriptors('self', file).some((fd) =>
      /^lock:/m.test(readFileSync(join('/proc/self/fdinfo', fd), 'latin1')),
    )
  } catch {
    return false
  }
}

/** `unknown`: the result when the files of that process cannot be read. */
export function hasOpen(pid: string, file: Stats, unknown: boolean): boolean {
  try {
    return isOpenBy(pid, file)
  } catch {
    return unknown
  }
}

const isOpenBy = (pid: string, file: Stats): boolean => findDescriptors(pid, file).length > 0

function findDescriptors(pid: string, { dev, ino }: Stats): string[] {
  const descriptors = join('/proc', pid, 'fd')
  return readdirSync(descriptors).filter((fd) => {
    const open = statSync(join(descriptors, fd), { throwIfNoEntry: false })
    return open?.ino === ino && open.dev === dev
  })
}
