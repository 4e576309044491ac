// The lock of a cluster directory: at most one supervisor holds it. The lock is a file that names its holder. It
// appears complete or not at all (link), and it counts only while its holder identifies itself. So a killed supervisor
// leaves nothing that a user would have to remove.

import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tryParseJson } from '../../operations/forms/decode.ts'
import { type ControlAddress, isControlAddress } from '../directory/cluster-file.ts'
import { isMissing, writing } from '../failure.ts'
import { type ControlHandler, listenForCommands, probeSupervisor } from './supervisor-socket.ts'

export const LOCK_FILE = 'supervisor.lock'

/** A directory that this process holds. */
export interface DirectoryLock {
  readonly address: ControlAddress
  /** Removes the lock and closes the control socket. */
  release(): void
}

/** The supervisor of the cluster in `dataDir` if it has identified itself; undefined when none runs. */
export async function findSupervisor(dataDir: string): Promise<ControlAddress | undefined> {
  const text = readLock(join(dataDir, LOCK_FILE))
  return text === undefined ? undefined : liveHolder(text, dataDir)
}

/**
 * Locks `dataDir` and passes commands to `handle`. Returns the address of the holder instead when another process holds
 * the lock.
 */
export async function lockDirectory(
  dataDir: string,
  handle: ControlHandler,
): Promise<DirectoryLock | { readonly holder: ControlAddress }> {
  const token = randomBytes(24).toString('hex')
  const socket = await listenForCommands(dataDir, token, handle)
  const address = { pid: process.pid, control: socket.control, token }
  try {
    const holder = await takeLock(dataDir, address)
    if (holder === undefined) {
      const release = (): void => {
        releaseLock(dataDir, address)
        socket.close()
      }
      return { address, release }
    }
    socket.close()
    return { holder }
  } catch (error) {
    socket.close()
    throw error
  }
}

/** Takes the lock for `self`. Returns the holder if another supervisor holds it. */
export async function takeLock(dataDir: string, self: ControlAddress): Promise<ControlAddress | undefined> {
  const lock = join(dataDir, LOCK_FILE)
  const own = `${lock}.${self.pid}`
  try {
    writing(lock, () => writeFileSync(own, JSON.stringify(self), { mode: 0o600 }))
    for (;;) {
      if (link(own, lock)) return undefined
      const text = readLock(lock)
      if (text === undefined) continue
      const holder = await liveHolder(text, dataDir)
      if (holder !== undefined) return holder
      removeStale(lock, text, `${own}.stale`)
    }
  } finally {
    rmSync(own, { force: true })
  }
}

/** Removes the lock if `self` holds it: another supervisor may have found `self` dead and hold the lock now. */
export function releaseLock(dataDir: string, self: ControlAddress): void {
  const lock = join(dataDir, LOCK_FILE)
  try {
    if (readFileSync(lock, 'utf8') === JSON.stringify(self)) rmSync(lock)
  } catch {
    // A lock that stays does not count: its holder does not answer.
  }
}

async function liveHolder(text: string, dataDir: string): Promise<ControlAddress | undefined> {
  const holder = tryParseJson(text)
  return isControlAddress(holder) && (await probeSupervisor(holder, dataDir)) ? holder : undefined
}

/**
 * Removes a lock whose holder is dead. Another supervisor may have replaced it since it was read; then it is put back.
 * If a third one takes the lock at that instant, it finds ports and directories in use, and ends.
 */
function removeStale(lock: string, stale: string, aside: string): void {
  try {
    renameSync(lock, aside)
  } catch (error) {
    if (isMissing(error)) return
    throw error
  }
  if (readLock(aside) !== stale) link(aside, lock)
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

function readLock(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}
