// Which files a process has open. Only Linux tells.

import { readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'

/** Whichever of its threads has it open. False where the system does not tell. */
export function isOpenInProcess(file: Stats): boolean {
  try {
    return isOpenIn('self', file)
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

function isOpenIn(pid: string, { dev, ino }: Stats): boolean {
  const descriptors = join('/proc', pid, 'fd')
  return readdirSync(descriptors).some((fd) => {
    const open = statSync(join(descriptors, fd), { throwIfNoEntry: false })
    return open?.ino === ino && open.dev === dev
  })
}
