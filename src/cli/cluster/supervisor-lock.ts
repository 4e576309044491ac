// At most one supervisor per data directory. The lock is a file that names its holder; it appears complete or not at all (link), and
// it counts only as long as that holder answers. So a supervisor that was killed leaves nothing that a person would have to remove.

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ControlAddress, isControlAddress } from './cluster-file.ts'
import { identifies } from './control-client.ts'

const FILE = 'supervisor.lock'

/** Takes the lock for `self`; or says who holds it. */
export async function takeLock(dataDir: string, self: ControlAddress): Promise<ControlAddress | undefined> {
  const lock = join(dataDir, FILE)
  const own = `${lock}.${self.pid}`
  writeFileSync(own, JSON.stringify(self), { mode: 0o600 })
  try {
    for (;;) {
      if (link(own, lock)) return undefined
      const held = read(lock)
      if (held === undefined) continue
      const holder = parse(held)
      if (holder !== undefined && (await identifies(holder, dataDir))) return holder
      dropStale(lock, held, `${own}.stale`)
    }
  } finally {
    rmSync(own, { force: true })
  }
}

export function releaseLock(dataDir: string): void {
  rmSync(join(dataDir, FILE), { force: true })
}

/**
 * Between the look and the removal another supervisor may have taken the lock: then it is put back. (Should a third one slip in at that very
 * instant, its nodes find ports and directories taken, and it ends.)
 */
function dropStale(lock: string, stale: string, aside: string): void {
  try {
    renameSync(lock, aside)
  } catch {
    return
  }
  if (read(aside) !== stale) link(aside, lock)
  rmSync(aside, { force: true })
}

function link(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function parse(text: string): ControlAddress | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isControlAddress(value) ? value : undefined
  } catch {
    return undefined
  }
}
