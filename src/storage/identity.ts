// IDENTITY: who lives in this directory. Written last when a directory is formatted, so its presence says that the rest
// is complete. A few lines of text with a checksum; what does not read back exactly as it was written is damaged.
//
// FORMATTING: there from before the first file of a new database until after IDENTITY. With it and without IDENTITY
// nothing was ever stored here, so formatting may begin again; without either, a database has lost its IDENTITY.

import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { asReplicaId } from '../raft/types.ts'
import { asError, rejoinAdvice, StorageRefusedError } from './errors.ts'
import { refuseOther } from './records.ts'
import type { Identity } from './types.ts'

export const IDENTITY_FILE = 'IDENTITY'
const FORMATTING_FILE = 'FORMATTING'
const OF_A_DATABASE =
  /^(CURRENT|MANIFEST-[0-9]+|LOG(\.old)?|LOCK|[0-9]+\.(log|ldb|dbtmp)|WATERMARK|QUARANTINE|(IDENTITY|QUARANTINE)\.new)$/

/** What a file system puts into a directory by itself. */
const FOREIGN_NAMES = new Set(['lost+found'])

export type DirectoryContent =
  /** Or formatting it was interrupted, which comes to the same. */
  { readonly kind: 'empty' } | { readonly kind: 'formatted'; readonly identity: Identity }

/** What a data directory is; `StorageRefusedError` when it is neither empty nor a whole one. Nothing is changed. */
export function inspectDirectory(dir: string): DirectoryContent {
  const names = namesIn(dir)
  if (names.includes(IDENTITY_FILE)) {
    const identity = readIdentity(dir)
    if (!names.includes('CURRENT'))
      throw new StorageRefusedError(
        `${join(dir, 'CURRENT')} is missing: ${IDENTITY_FILE} is there without its database. ${rejoinAdvice(identity.name)}`,
      )
    return { kind: 'formatted', identity }
  }
  if (names.length === 0 || names.includes(FORMATTING_FILE)) return { kind: 'empty' }
  if (names.some((name) => OF_A_DATABASE.test(name)))
    throw new StorageRefusedError(
      `${join(dir, IDENTITY_FILE)} is missing beside a database. ${rejoinAdvice(undefined)}`,
    )
  throw new StorageRefusedError(
    `${dir} is not empty and holds no node (found ${names.slice(0, 3).join(', ')}). Choose another directory, or empty this one.`,
  )
}

function namesIn(dir: string): string[] {
  return orUnreadable(dir, () => {
    // What is out of reach, as below a directory of another user, throws: it may well be there.
    if (statSync(dir, { throwIfNoEntry: false }) === undefined) return []
    return readdirSync(dir).filter((name) => !FOREIGN_NAMES.has(name))
  })
}

function orUnreadable<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** What is there may be whole: to begin anew is not the remedy. */
export const unreadable = (path: string, error: unknown): StorageRefusedError =>
  new StorageRefusedError(
    `${path} cannot be read: ${asError(error).message}. Nothing was changed. ` +
      `Look at permissions, the limit of open files and the disk, then start the node again.`,
    { cause: error },
  )

function encode({ clusterId, replicaId, name, formatVersion }: Identity): string {
  const text = `quorate node\nformat ${formatVersion}\ncluster ${clusterId}\nreplica ${replicaId}\nname ${name}\n`
  return `${text}crc32 ${crc32(text).toString(16).padStart(8, '0')}\n`
}

const LINES =
  /^quorate node\nformat ([0-9]{1,9})\ncluster ([0-9]{1,20})\nreplica (0|[1-9][0-9]{0,19})\nname ([a-z0-9-]{1,63})\ncrc32 [0-9a-f]{8}\n$/

function readIdentity(dir: string): Identity {
  const text = orUnreadable(join(dir, IDENTITY_FILE), () => readFileSync(join(dir, IDENTITY_FILE), 'latin1'))
  const [, formatVersion, clusterId, replicaId, name] = LINES.exec(text) ?? []
  const isWhole =
    formatVersion !== undefined && clusterId !== undefined && replicaId !== undefined && name !== undefined
  const identity = isWhole
    ? { formatVersion: Number(formatVersion), clusterId, replicaId: asReplicaId(replicaId), name }
    : undefined
  if (identity === undefined || encode(identity) !== text)
    throw new StorageRefusedError(
      `${join(dir, IDENTITY_FILE)} is damaged: its checksum does not hold. ${rejoinAdvice(undefined)}`,
    )
  refuseOther(identity.formatVersion)
  return identity
}

export const writeIdentity = (dir: string, identity: Identity): void =>
  writeWhole(dir, IDENTITY_FILE, encode(identity))

/** Durable when it returns, and complete or as it was at any time before. */
export function writeWhole(dir: string, name: string, content: string | Uint8Array): void {
  const temporary = join(dir, `${name}.new`)
  const file = openSync(temporary, 'w')
  try {
    writeFileSync(file, content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, join(dir, name))
  syncDirectory(dir)
}

/**
 * Durable when it returns. Open until the formatting is over: that tells other threads that it is under way. `isLeft`:
 * an earlier attempt has left it.
 */
export function openFormatting(dir: string): { readonly file: number; readonly isLeft: boolean } {
  const path = join(dir, FORMATTING_FILE)
  const isLeft = existsSync(path)
  const file = openSync(path, isLeft ? 'r+' : 'wx')
  try {
    fsyncSync(file)
    syncDirectory(dir)
  } catch (error) {
    closeSync(file)
    throw error
  }
  return { file, isLeft }
}

/**
 * Deletes what an earlier attempt has left, but for LOCK: somebody may have locked it meanwhile, and with another file
 * of that name two would have the lock.
 */
export function deleteLeft(dir: string): void {
  const left = namesIn(dir).filter((name) => OF_A_DATABASE.test(name) && name !== 'LOCK')
  for (const name of left) rmSync(join(dir, name), { force: true })
}

/** IDENTITY counts from now on: were it lost, this directory would not pass for a new one. */
export function endFormatting(dir: string): void {
  const path = join(dir, FORMATTING_FILE)
  if (!existsSync(path)) return
  // Whoever starts at the same instant may have been quicker.
  rmSync(path, { force: true })
  syncDirectory(dir)
}

export function syncDirectory(dir: string): void {
  if (process.platform === 'win32') return
  const handle = openSync(dir, 'r')
  try {
    fsyncSync(handle)
  } finally {
    closeSync(handle)
  }
}
