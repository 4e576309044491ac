// `kv cluster stop` and `destroy`.

import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { portOf } from './addresses.ts'
import { becomesFree, ORPHANS_LIMIT_MS } from './client-ports.ts'
import { type ControlAddress, readClusterFile } from './cluster-file.ts'
import { ask } from './control-client.ts'
import { startControlServer } from './control-server.ts'
import { directoryId } from './directory-id.ts'
import { knock } from './door.ts'
import { Failure, FullDisk } from './failure.ts'
import { exists, stateOf } from './processes.ts'
import { findSupervisor, LOCK_FILE, releaseLock, takeLock } from './supervisor-lock.ts'
import { until } from './until.ts'

/** What a local cluster leaves in its directory, and so all that `destroy` deletes. */
const OURS =
  /^(n\d+(\.old-\d+|\.log(\.old)?)?|cluster\.json(\.new)?|supervisor\.(log|lock(\.\d+(\.stale)?)?))$/
const NODES = /^n\d/
const LOGS = /\.log(\.old)?$/

/** A supervisor that has answered that all is stopped, or answers no more, has nothing left to do but end. */
const SUPERVISOR_END_LIMIT_MS = 1_000

/** A supervisor whose directory is gone ends by itself; its nodes have some seconds to close. */
export const MOVED_END_LIMIT_MS = 15_000

/** Resolves when nothing runs any more and the ports are free. Whether something ran. */
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
 * It has identified itself just now, and signal 0 does nothing to a process that might have its number next. One that
 * has ended stays in the table of processes until its parent looks, which in a container nobody may do.
 */
function runs(pid: number): boolean {
  return exists(pid) && stateOf(pid) !== 'Z'
}

/**
 * Whether there was something to delete. Each time that a cluster runs there it is ended only when `agreed` returns.
 */
export async function destroyCluster(dataDir: string, agreed: () => Promise<void>): Promise<boolean> {
  const supervisor = await findSupervisor(dataDir)
  if (supervisor !== undefined) await agreed()
  await ended(dataDir, supervisor)
  if (!existsSync(dataDir)) return false
  const ours = readdirSync(dataDir).filter((name) => OURS.test(name))
  // A start that was interrupted before there was a plan leaves its lock and log. Nodes come after cluster.json.
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
 * A symlink stays, and a mount point: somebody else has made it, and knows what for. Others may have files there, or
 * have removed it meanwhile.
 */
function removeIfEmpty(dir: string): void {
  try {
    rmdirSync(dir)
  } catch {
    // An empty directory is no cluster.
  }
}

/**
 * As the holder of the directory: whoever starts a cluster there meanwhile waits. false: somebody was faster, and
 * nothing is deleted.
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
    // The file that says what this is goes last: an interrupted destroy can be repeated.
    for (const name of ours.filter((name) => name !== 'cluster.json' && name !== LOCK_FILE))
      await rm(join(dataDir, name), { recursive: true, force: true })
    await rm(join(dataDir, 'cluster.json'), { force: true })
    releaseLock(dataDir, self)
    return true
  } catch (error) {
    // Somebody else has deleted all of it.
    if (!existsSync(dataDir)) return false
    throw error
  } finally {
    control.close()
    done.resolve()
  }
}

/** A full disk has no room for the lock either, and here room is made: the logs go first, which nobody counts on. */
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
