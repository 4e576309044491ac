// `kv cluster stop` and `destroy`.

import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { portOf } from './addresses.ts'
import { type ControlAddress, readClusterFile } from './cluster-file.ts'
import { ask } from './control-client.ts'
import { startControlServer } from './control-server.ts'
import { directoryId } from './directory-id.ts'
import { knock } from './door.ts'
import { Failure, FullDisk } from './failure.ts'
import { becomesFree, ORPHANS_LIMIT_MS } from './free-ports.ts'
import { exists, stateOf } from './processes.ts'
import { findSupervisor, LOCK_FILE, releaseLock, takeLock } from './supervisor-lock.ts'
import { until } from './until.ts'

/** The files that a local cluster makes in its directory. `destroy` deletes these and no others. */
const OURS =
  /^(n\d+(\.old-\d+|\.log(\.old)?)?|cluster\.json(\.new)?|supervisor\.(log|lock(\.\d+(\.stale)?)?))$/
const NODES = /^n\d/
const LOGS = /\.log(\.old)?$/

/** A supervisor that has answered that everything is stopped, or no longer answers, ends within this time. */
const SUPERVISOR_END_LIMIT_MS = 1_000

/** A supervisor whose directory is gone ends by itself; its nodes need some seconds to close. */
export const MOVED_END_LIMIT_MS = 15_000

/** Resolves when nothing runs any more and the ports are free: to whether something ran. */
export async function stopCluster(dataDir: string): Promise<boolean> {
  return ended(dataDir, await findSupervisor(dataDir))
}

async function ended(dataDir: string, supervisor: ControlAddress | undefined): Promise<boolean> {
  if (supervisor === undefined) {
    if (await knock(dataDir, MOVED_END_LIMIT_MS)) return true
    await orphansEnded(dataDir)
    return false
  }
  await stopSupervisor(supervisor)
  return true
}

/** Resolves when its process is gone, and all that it ran. */
export async function stopSupervisor(supervisor: ControlAddress): Promise<void> {
  const reply = await ask(supervisor, { command: 'stop' })
  if (!reply.ok && reply.ended !== true) throw new Failure(reply.exitCode, reply.said)
  await processEnded(supervisor)
}

export async function processEnded({ pid }: ControlAddress): Promise<void> {
  await until(() => !runs(pid) || undefined, { limitMs: SUPERVISOR_END_LIMIT_MS, everyMs: 5 })
}

/**
 * The supervisor has identified itself just now, and signal 0 does no harm to another process that may get its pid. A
 * process that has ended stays in the process table until its parent waits for it, which in a container may never
 * happen.
 */
function runs(pid: number): boolean {
  return exists(pid) && stateOf(pid) !== 'Z'
}

/**
 * Whether there was something to delete. A cluster that runs there is ended only after `agreed` has returned; it is
 * asked again for each one that is started meanwhile.
 */
export async function destroyCluster(dataDir: string, agreed: () => Promise<void>): Promise<boolean> {
  const supervisor = await findSupervisor(dataDir)
  if (supervisor !== undefined) await agreed()
  await ended(dataDir, supervisor)
  if (!existsSync(dataDir)) return false
  const ours = readdirSync(dataDir).filter((name) => OURS.test(name))
  // A start that was interrupted before it wrote the plan leaves its lock and log. Directories of nodes are made after
  // cluster.json.
  if (ours.some((name) => NODES.test(name)) && !ours.includes('cluster.json')) {
    throw new Failure(
      1,
      `${dataDir} has no cluster.json, so it does not look like a local cluster. Nothing was deleted.`,
    )
  }
  if (ours.length > 0 && !(await deleted(dataDir, ours))) return destroyCluster(dataDir, agreed)
  removeIfEmpty(dataDir)
  return ours.length > 0
}

/**
 * A symlink or a mount point stays: the user has made it. The user may also have files there, or have removed the
 * directory meanwhile.
 */
function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir)
  } catch {
    // An empty directory is no cluster.
  }
}

/**
 * Deletes while holding the lock, so a start of a cluster there waits. false: another process has the lock, and nothing
 * is deleted.
 */
async function deleted(dataDir: string, ours: readonly string[]): Promise<boolean> {
  const done = Promise.withResolvers<void>()
  const token = randomBytes(24).toString('hex')
  const control = await startControlServer(token, directoryId(dataDir), async ({ command }) => {
    if (command !== 'stop')
      return { ok: false, exitCode: 1, said: 'The cluster is being deleted.', stopping: true }
    await done.promise
    return { ok: true, said: '' }
  })
  const self = { pid: process.pid, control: control.url, token }
  try {
    if ((await takeLockForRoom(dataDir, self, ours)) !== undefined) return false
    // cluster.json is deleted last: an interrupted destroy can be repeated.
    for (const name of ours.filter((name) => name !== 'cluster.json' && name !== LOCK_FILE))
      await rm(join(dataDir, name), { recursive: true, force: true })
    await rm(join(dataDir, 'cluster.json'), { force: true })
    releaseLock(dataDir, self)
    return true
  } catch (error) {
    // Another process has deleted all of it.
    if (!existsSync(dataDir)) return false
    throw error
  } finally {
    control.close()
    done.resolve()
  }
}

/** A full disk has no room for the lock either. So logs are deleted first, one at a time, until there is room. */
async function takeLockForRoom(
  dataDir: string,
  self: ControlAddress,
  ours: readonly string[],
): Promise<ControlAddress | undefined> {
  const logs = ours.filter((name) => LOGS.test(name))
  for (;;) {
    try {
      return await takeLock(dataDir, self)
    } catch (error) {
      const log = logs.pop()
      if (!(error instanceof FullDisk) || log === undefined) throw error
      await rm(join(dataDir, log), { force: true })
    }
  }
}

async function orphansEnded(dataDir: string): Promise<void> {
  const file = readClusterFile(dataDir)
  if (!file?.supervisor) return
  await Promise.all(file.nodes.map(({ url }) => becomesFree(portOf(url), ORPHANS_LIMIT_MS)))
}
