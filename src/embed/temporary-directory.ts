// The temporary directory of an embedded cluster. A process that ends without `close()` leaves its directory behind,
// and a later cluster removes it.
//
// Containers may share a directory for temporary files, but not their process ids. So the name of a directory has the
// process id of its owner and the set of processes in which that id counts. A cluster removes only directories of its
// own set. What a killed container has left, or this machine before its last start, is for the owner of the directory.

import { createHash } from 'node:crypto'
import { lstat, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { processExists, processNamespace } from '../local/processes.ts'

const NAME = /^quorate-embedded-([0-9a-f]{12})-(\d+)-/

export interface TemporaryDirectory {
  readonly path: string
  remove(): Promise<void>
}

export async function createTemporaryDirectory(): Promise<TemporaryDirectory> {
  const parent = resolve(tmpdir())
  const namespace = processNamespace()
  const owners = namespace === undefined ? 'unknown' : shortHash(namespace)
  if (namespace !== undefined) await removeAbandoned(parent, owners)
  const path = await mkdtemp(join(parent, `quorate-embedded-${owners}-${process.pid}-`))
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

const shortHash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

/** `owners`: the set of processes of this one, as in names. */
async function removeAbandoned(parent: string, owners: string): Promise<void> {
  // A user may create directories in a directory without the permission to list it.
  const names = await readdir(parent).catch(() => [])
  const abandoned = names.filter((name) => {
    const [, namespace, pid] = NAME.exec(name) ?? []
    return namespace === owners && !processExists(Number(pid))
  })
  await Promise.all(
    abandoned.map(async (name) => {
      const path = join(parent, name)
      const stats = await lstat(path).catch(() => undefined)
      if (stats?.isDirectory() !== true || stats.uid !== process.getuid?.()) return
      // Another process may remove it at the same time.
      await rm(path, { recursive: true, force: true }).catch(() => {})
    }),
  )
}
