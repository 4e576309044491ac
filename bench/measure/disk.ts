// The disk under the data: its kind of file system, and how long it takes to make a small append durable.

import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { median } from '../report/median.ts'

const APPENDS = 300
const APPEND_BYTES = 4096

/** Numbers of statfs(2). */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  1481003842: 'xfs',
  2435016766: 'btrfs',
  801189825: 'zfs',
  2035054128: 'overlay',
  16914836: 'tmpfs',
  2240043254: 'ramfs',
}

export function fileSystemOf(directory: string): string {
  const { type } = statfsSync(directory)
  return FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`
}

/** Nothing is durable there, so syncs cost nothing: figures of writes mean little. */
export const isInMemory = (fileSystem: string): boolean => ['tmpfs', 'ramfs'].includes(fileSystem)

/** Median time of an append of 4 KiB with its fdatasync. */
export function fdatasyncMs(directory: string): number {
  const path = join(directory, 'fdatasync')
  const block = Buffer.alloc(APPEND_BYTES, 'fdatasync')
  const file = openSync(path, 'w')
  try {
    const times = Array.from({ length: APPENDS }, () => {
      const begin = performance.now()
      writeSync(file, block)
      fdatasyncSync(file)
      return performance.now() - begin
    })
    return median(times)
  } finally {
    closeSync(file)
    rmSync(path)
  }
}
