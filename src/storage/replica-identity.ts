// IDENTITY: the replica to which this directory belongs. It is written last when a directory is formatted, so its
// presence shows that the rest is complete. It is a few lines of text with a checksum. If it cannot be read back
// exactly as written, it is damaged.
//
// FORMATTING exists from before the first file of a new database until after IDENTITY. With FORMATTING and without
// IDENTITY, nothing was ever stored here, and formatting may begin again. With neither, a database has lost its
// IDENTITY.

import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { syncDirectory, writeFileAtomically } from '../files/durable.ts'
import { asReplicaId } from '../raft/types.ts'
import { asError } from '../system/errors.ts'
import { REJOIN_ADVICE, StorageRefusedError } from './errors.ts'
import { refuseOtherFormat } from './format.ts'
import type { Identity } from './types.ts'

const IDENTITY_FILE = 'IDENTITY'
const FORMATTING_FILE = 'FORMATTING'
const OF_A_DATABASE =
  /^(CURRENT|MANIFEST-[0-9]+|LOG(\.old)?|LOCK|[0-9]+\.(log|ldb|dbtmp)|WATERMARK|QUARANTINE|(IDENTITY|QUARANTINE)\.new)$/

/** Names that a file system itself puts into a directory. */
const FOREIGN_NAMES = new Set(['lost+found'])

type DirectoryContent =
  /** An empty directory, or one whose formatting was interrupted, which means the same. */
  { readonly kind: 'empty' } | { readonly kind: 'formatted'; readonly identity: Identity }

/**
 * The content of a data directory. Throws `StorageRefusedError` if it is neither empty nor complete. Changes nothing.
 */
export function inspectDirectory(dir: string): DirectoryContent {
  const names = listNames(dir)
  if (names.includes(IDENTITY_FILE)) {
    const identity = readIdentity(dir)
    if (!names.includes('CURRENT'))
      throw new StorageRefusedError(
        `${join(dir, 'CURRENT')} is missing: ${IDENTITY_FILE} is there without its database. ${REJOIN_ADVICE}`,
      )
    return { kind: 'formatted', identity }
  }
  if (names.length === 0 || names.includes(FORMATTING_FILE)) return { kind: 'empty' }
  if (names.some((name) => OF_A_DATABASE.test(name)))
    throw new StorageRefusedError(
      `${join(dir, IDENTITY_FILE)} is missing beside a database. ${REJOIN_ADVICE}`,
    )
  throw new StorageRefusedError(
    `${dir} is not empty and holds no node (found ${names.slice(0, 3).join(', ')}). Check the path: a node needs a directory of its own.`,
  )
}

function listNames(dir: string): string[] {
  return orUnreadable(dir, () => {
    // An unreachable directory, for example inside another user's, throws, because it may have content.
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

/** The data may be intact, so a new start with an empty directory is not the remedy. */
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
      `${join(dir, IDENTITY_FILE)} is damaged: its checksum does not hold. ${REJOIN_ADVICE}`,
    )
  refuseOtherFormat(dir, identity.formatVersion)
  return identity
}

export const writeIdentity = (dir: string, identity: Identity): void =>
  writeFileAtomically(join(dir, IDENTITY_FILE), encode(identity))

/**
 * Creates FORMATTING durably. The file stays open until formatting ends, which shows other threads of this process
 * that formatting is in progress. `isLeft`: the file was left by an earlier attempt.
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
 * Deletes the files of an earlier attempt, except LOCK, which another process may have locked. With a second file of
 * that name, both processes would hold the lock.
 */
export function deleteLeftovers(dir: string): void {
  const left = listNames(dir).filter((name) => OF_A_DATABASE.test(name) && name !== 'LOCK')
  for (const name of left) rmSync(join(dir, name), { force: true })
}

/** Makes the directory of a replica that never ran count as empty. The next formatting deletes the files. */
export function discardReplica(dir: string): void {
  closeSync(openFormatting(dir).file)
  rmSync(join(dir, IDENTITY_FILE))
  syncDirectory(dir)
}

/** Deletes FORMATTING. From now on a missing IDENTITY is damage, not an unfinished formatting. */
export function endFormatting(dir: string): void {
  const path = join(dir, FORMATTING_FILE)
  if (!existsSync(path)) return
  // Another process that starts at the same time may have deleted it already.
  rmSync(path, { force: true })
  syncDirectory(dir)
}
