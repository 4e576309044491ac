// `kv cluster stop` and `destroy`.

import { existsSync, readdirSync, rmdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ControlReply, ControlRequest } from '../../operations/documents/supervisor.ts'
import { ORPHAN_EXIT_TIMEOUT_MS, parsePort, waitUntilFree } from '../addresses.ts'
import { failed, succeeded } from '../cluster/control-protocol.ts'
import { CERTIFICATE_DIRECTORY } from '../directory/certificates.ts'
import { CLUSTER_FILE, type ControlAddress, readClusterFile } from '../directory/cluster-file.ts'
import { describeUse } from '../directory/data-directory.ts'
import { Failure, FullDiskFailure } from '../failure.ts'
import { poll } from '../poll.ts'
import { processExists, processState } from '../processes.ts'
import { type DirectoryLock, findSupervisor, LOCK_DIRECTORY, lockDirectory } from './supervisor-lock.ts'
import { sendCommand } from './supervisor-socket.ts'

/** The files that a local cluster creates in its directory. `destroy` deletes these and no others. */
const OWN_FILES =
  /^(n\d+(\.old-\d+|\.log(\.old)?)?|(cluster\.json|console\.html)(\.new)?|supervisor\.(log|lock(\.[0-9a-f]{16})?))$/
const NODE_FILES = /^n\d/

/** Time for the process of a supervisor to end after it has answered that the cluster is stopped. */
const SUPERVISOR_EXIT_TIMEOUT_MS = 5_000
const POLL_INTERVAL_MS = 5

/** Resolves when no process runs and the ports are free. Returns whether a cluster ran. */
export async function stopCluster(dataDir: string): Promise<boolean> {
  const supervisor = await findSupervisor(dataDir)
  if (supervisor === undefined) await orphansExit(dataDir)
  else await stopSupervisor(supervisor)
  return supervisor !== undefined
}

/** Resolves when the supervisor and its nodes have ended. */
export async function stopSupervisor(supervisor: ControlAddress): Promise<void> {
  const reply = await sendCommand(supervisor, { command: 'stop' })
  if (!reply.ok && reply.supervisor !== 'ended') throw new Failure(reply.exitCode, reply.message)
  await supervisorExit(supervisor)
}

/**
 * Waits until the process of a supervisor that has identified itself is gone. In a container a zombie may stay in the
 * process table.
 */
export async function supervisorExit({ pid }: ControlAddress): Promise<void> {
  const isGone = (): true | undefined => !processExists(pid) || processState(pid) === 'Z' || undefined
  await poll(isGone, { timeoutMs: SUPERVISOR_EXIT_TIMEOUT_MS, intervalMs: POLL_INTERVAL_MS })
}

/**
 * Stops the cluster and deletes its files. `confirm` is called before a running cluster is stopped, also for each one
 * that is started in the meantime. Returns whether there were files. Deletes nothing while a node that the cluster has
 * not started has its directory open, where the system shows it.
 */
export async function destroyCluster(dataDir: string, confirm: () => Promise<void>): Promise<boolean> {
  if ((await findSupervisor(dataDir)) !== undefined) await confirm()
  await stopCluster(dataDir)
  if (!existsSync(dataDir)) return false
  const files = readdirSync(dataDir).filter((name) => OWN_FILES.test(name))
  // Without cluster.json a directory of this name may be the user's.
  if (files.includes(CLUSTER_FILE) && readClusterFile(dataDir)?.tls !== undefined)
    files.push(CERTIFICATE_DIRECTORY)
  // cluster.json is written before the directories of the nodes are created.
  if (files.some((name) => NODE_FILES.test(name)) && !files.includes(CLUSTER_FILE))
    throw new Failure(
      1,
      `${dataDir} has no cluster.json, so it is probably no local cluster; nothing was deleted`,
    )
  if (files.length > 0 && !(await deleteLocked(dataDir, files))) return destroyCluster(dataDir, confirm)
  try {
    rmdirSync(dataDir)
  } catch {
    // Other files of the user, a symlink or a mount point stay.
  }
  return files.length > 0
}

/** Deletes the files while it holds the lock, so a start waits. Returns false when another process holds the lock. */
async function deleteLocked(dataDir: string, files: readonly string[]): Promise<boolean> {
  const deleted = Promise.withResolvers<void>()
  const handle = async ({ command }: ControlRequest): Promise<ControlReply> => {
    if (command !== 'stop') return { ...failed(1, 'the cluster is being deleted'), supervisor: 'stopping' }
    await deleted.promise
    return succeeded('the cluster is deleted')
  }
  let lock: DirectoryLock | undefined
  try {
    const result = await lockDirectory(dataDir, handle)
    if ('holder' in result) return false
    lock = result
  } catch (error) {
    // On a full disk no other process can lock the directory either.
    if (!(error instanceof FullDiskFailure)) throw error
  }
  try {
    await directoriesReleased(
      dataDir,
      files.filter((name) => NODE_FILES.test(name)),
    )
    for (const name of files.filter((name) => name !== CLUSTER_FILE && name !== LOCK_DIRECTORY))
      await rm(join(dataDir, name), { recursive: true, force: true })
    // Last, so that an interrupted destroy can be repeated.
    await rm(join(dataDir, CLUSTER_FILE), { force: true })
    return true
  } finally {
    lock?.release()
    deleted.resolve()
  }
}

/** A node of a killed supervisor may still be ending, with its directory open. Any other one keeps it. */
async function directoriesReleased(dataDir: string, names: readonly string[]): Promise<void> {
  const timeoutMs = readClusterFile(dataDir)?.supervisor ? ORPHAN_EXIT_TIMEOUT_MS : 0
  for (const dir of names.map((name) => join(dataDir, name))) {
    let use: string | undefined
    const isReleased = (): true | undefined => {
      use = describeUse(dir)
      return use === undefined || undefined
    }
    await poll(isReleased, { timeoutMs, intervalMs: POLL_INTERVAL_MS })
    if (use !== undefined) throw new Failure(1, `${use}; nothing was deleted`)
  }
}

/** Nodes of a killed supervisor end by themselves. A supervisor that lives runs the original of a copied directory. */
async function orphansExit(dataDir: string): Promise<void> {
  const file = readClusterFile(dataDir)
  if (!file?.supervisor || processExists(file.supervisor.pid)) return
  await Promise.all(file.nodes.map(({ url }) => waitUntilFree(parsePort(url), ORPHAN_EXIT_TIMEOUT_MS)))
}
