// The temporary directory of an embedded cluster. A process that ends without `close()` leaves its directory behind,
// and a later cluster on this machine removes it.

import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { processExists } from '../local/processes.ts'

const NAME = /^quorate-embedded-(\d+)-/
/** Containers may share a temporary directory but not their pids, so a directory is kept for some time in any case. */
const ABANDONED_AGE_MS = 3_600_000

export interface TemporaryDirectory {
  readonly path: string
  remove(): Promise<void>
}

export async function createTemporaryDirectory(): Promise<TemporaryDirectory> {
  const parent = resolve(tmpdir())
  await removeAbandoned(parent)
  const path = await mkdtemp(join(parent, `quorate-embedded-${process.pid}-`))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

async function removeAbandoned(parent: string): Promise<void> {
  // A user may create directories in a directory without the permission to list it.
  const names = await readdir(parent).catch(() => [])
  const abandoned = names.filter((name) => {
    const pid = NAME.exec(name)?.[1]
    return pid !== undefined && !processExists(Number(pid))
  })
  await Promise.all(
    abandoned.map(async (name) => {
      const path = join(parent, name)
      const stats = await lstat(path).catch(() => undefined)
      const isOwn = stats?.isDirectory() === true && stats.uid === process.getuid?.()
      if (!isOwn || Date.now() - stats.mtimeMs < ABANDONED_AGE_MS) return
      // Another process may remove it at the same time.
      await rm(path, { recursive: true, force: true }).catch(() => {})
    }),
  )
}
