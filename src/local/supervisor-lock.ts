// At most one supervisor per data directory. The lock is a file that names its holder. It appears complete or not at
// all (link), and it counts only while that holder answers. So a killed supervisor leaves nothing that a user would
// have to remove.

import { linkSync, lstatSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CLUSTER_FILE, type ControlAddress, isControlAddress, readClusterFile } from './cluster-file.ts'
import { identifies } from './control-client.ts'
import { fileId } from './directory-id.ts'
import { Failure, isAbsent, writing } from './failure.ts'

export const LOCK_FILE = 'supervisor.lock'

/**
 * The supervisor of the cluster in `dataDir`, once it has identified itself; undefined when none runs. The lock is
 * there from before the first write until nothing runs any more. cluster.json names the supervisor too, in case a user
 * has deleted the lock.
 */
export async function findSupervisor(dataDir: string): Promise<ControlAddress | undefined> {
  const held = read(join(dataDir, LOCK_FILE))
  const holder = held === undefined ? undefined : parse(held)
  if (holder !== undefined && (await identifies(holder, dataDir))) return holder
  const noted = readClusterFile(dataDir)?.supervisor ?? undefined
  return noted !== undefined && (await identifies(noted, dataDir)) ? noted : undefined
}

/**
 * Whether the files there name `self`: the lock or cluster.json is there, and no foreign file is in the place of the
 * other. If not, the files were deleted under a running cluster, or replaced. The names inside do not suffice: a copy
 * that was made while the cluster ran names `self`, too, but its cluster.json is another file. `ownCluster`: id of the
 * cluster.json that `self` has written (`fileId`); undefined until it has.
 */
export function names(dataDir: string, self: ControlAddress, ownCluster: string | undefined): boolean {
  const held = read(join(dataDir, LOCK_FILE))
  const isOwnLock = held === JSON.stringify(self)
  const clusterId = fileId(join(dataDir, CLUSTER_FILE))
  if (ownCluster === undefined || clusterId === undefined) return isOwnLock
  const isOwnCluster = clusterId === ownCluster && readClusterFile(dataDir)?.supervisor?.token === self.token
  return isOwnCluster && (isOwnLock || held === undefined)
}

/** No file there names a supervisor: none runs, or the directory of a running one was moved, or emptied. */
export function namesNobody(dataDir: string): boolean {
  return [LOCK_FILE, CLUSTER_FILE].every(
    (name) => statSync(join(dataDir, name), { throwIfNoEntry: false }) === undefined,
  )
}

/** Takes the lock for `self`. If another supervisor holds it, returns that one. */
export async function takeLock(dataDir: string, self: ControlAddress): Promise<ControlAddress | undefined> {
  const lock = join(dataDir, LOCK_FILE)
  const own = `${lock}.${self.pid}`
  try {
    writing(lock, () => writeFileSync(own, JSON.stringify(self), { mode: 0o600 }))
    for (;;) {
      if (link(own, lock)) return undefined
      const held = read(lock)
      if (held === undefined) {
        // A symlink that leads nowhere exists, and cannot be read.
        if (lstatSync(lock, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(lock, { force: true })
        continue
      }
      const holder = parse(held)
      if (holder !== undefined && (await identifies(holder, dataDir))) return holder
      dropStale(lock, held, `${own}.stale`)
    }
  } finally {
    rmSync(own, { force: true })
  }
}

/** Only the lock of `self`: another supervisor may have taken `self` for dead, and have the lock now. */
export function releaseLock(dataDir: string, self: ControlAddress): void {
  const lock = join(dataDir, LOCK_FILE)
  try {
    if (readFileSync(lock, 'utf8') === JSON.stringify(self)) rmSync(lock)
  } catch {
    // A lock that stays does not count: its holder does not answer.
  }
}

/**
 * Between the look and the removal another supervisor may have taken the lock: then it is put back. (If a third one
 * takes the lock at that very instant, its nodes find ports and directories taken, and it ends.)
 */
function dropStale(lock: string, stale: string, aside: string): void {
  try {
    renameSync(lock, aside)
  } catch (error) {
    if (isAbsent(error)) return
    throw error
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

/** undefined: there is none. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (isAbsent(error)) return undefined
    const reason = error instanceof Error ? error.message : String(error)
    throw new Failure(1, `${path}, which says who runs this cluster, cannot be read: ${reason}`)
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
