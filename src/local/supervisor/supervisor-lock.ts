// The lock of a cluster directory: at most one supervisor holds it. The lock is a directory with a file that names its
// holder, and it counts only while its holder identifies itself. So a killed supervisor leaves nothing that a user has
// to remove.
//
// The lock appears complete or not at all: a directory cannot be renamed to one that is not empty. Every file system
// can do that; exFAT, and the shared folders of some virtual machines, have no hard links. For the same reason the lock
// is renamed before it is deleted.

import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tryParseJson } from '../../operations/forms/decode.ts'
import { hasErrorCode } from '../../system/errors.ts'
import { type ControlAddress, isControlAddress } from '../directory/cluster-file.ts'
import { isMissing, writing } from '../failure.ts'
import { type ControlHandler, listenForCommands, probeSupervisor } from './supervisor-socket.ts'

export const LOCK_DIRECTORY = 'supervisor.lock'
const HOLDER_FILE = 'holder.json'

/** A directory that this process holds. */
export interface DirectoryLock {
  readonly address: ControlAddress
  /** Removes the lock and closes the control socket. */
  release(): void
}

/** The supervisor of the cluster in `dataDir` if it has identified itself; undefined when none runs. */
export async function findSupervisor(dataDir: string): Promise<ControlAddress | undefined> {
  const text = readLock(join(dataDir, LOCK_DIRECTORY))
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
  const lock = join(dataDir, LOCK_DIRECTORY)
  const own = unusedName(lock)
  try {
    writing(lock, () => {
      mkdirSync(own, { mode: 0o700 })
      writeFileSync(join(own, HOLDER_FILE), JSON.stringify(self), { mode: 0o600 })
    })
    for (;;) {
      if (renameIfFree(own, lock)) return undefined
      const text = readLock(lock)
      if (text === undefined) continue
      const holder = await liveHolder(text, dataDir)
      if (holder !== undefined) return holder
      removeLock(lock, text)
    }
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}

/** Removes the lock if `self` holds it: another supervisor may have found `self` dead and hold the lock now. */
export function releaseLock(dataDir: string, self: ControlAddress): void {
  const lock = join(dataDir, LOCK_DIRECTORY)
  const text = JSON.stringify(self)
  try {
    if (readLock(lock) === text) removeLock(lock, text)
  } catch {
    // A lock that stays does not count: its holder does not answer.
  }
}

async function liveHolder(text: string, dataDir: string): Promise<ControlAddress | undefined> {
  const holder = tryParseJson(text)
  return isControlAddress(holder) && (await probeSupervisor(holder, dataDir)) ? holder : undefined
}

/**
 * Removes the lock with this text. Another supervisor may have replaced it since it was read; then it is put back. If a
 * third one takes the lock at that instant, it finds ports and directories in use, and ends.
 */
function removeLock(lock: string, text: string): void {
  const aside = unusedName(lock)
  try {
    renameSync(lock, aside)
  } catch (error) {
    if (isMissing(error)) return
    throw error
  }
  if (readLock(aside) !== text) renameIfFree(aside, lock)
  rmSync(aside, { recursive: true, force: true })
}

/** A name that no process uses. Process ids do not do: containers that share a directory have the same ones. */
const unusedName = (lock: string): string => `${lock}.${randomBytes(8).toString('hex')}`

/** Returns false if there is a lock. */
function renameIfFree(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch (error) {
    // Windows gives another reason. ENOTDIR: a file has the name.
    if (hasErrorCode(error, 'ENOTEMPTY', 'EEXIST', 'ENOTDIR')) return false
    if (process.platform === 'win32' && hasErrorCode(error, 'EPERM', 'EACCES') && existsSync(to)) return false
    throw error
  }
}

/** The text of the lock; undefined: there is none. It is empty for a directory that no supervisor has made. */
function readLock(lock: string): string | undefined {
  for (let isAgain = false; ; isAgain = true) {
    try {
      return readFileSync(join(lock, HOLDER_FILE), 'utf8')
    } catch (error) {
      if (!isMissing(error)) throw error
      const found = statSync(lock, { throwIfNoEntry: false })
      if (found === undefined) return undefined
      // Earlier versions had a file.
      if (found.isFile()) return readFileSync(lock, 'utf8')
      // Another supervisor may have taken the lock in between.
      if (isAgain) return ''
    }
  }
}
