// A backup becomes the first node of a new cluster.
//
// The file is read twice: first to know that it is whole, before anything is written. IDENTITY is written last, so a
// directory of a restore that was interrupted counts as empty: no node starts from it, and a restore begins anew there.

import {
  BackupRows,
  decodeState,
  decodeUserRow,
  encodeState,
  type KvState,
  type Restore,
  ROOT,
  restoredRow,
  restoredState,
} from '../kv/index.ts'
import {
  asIndex,
  asReplicaId,
  asTerm,
  bootstrapConfiguration,
  decodeAppliedState,
  encodeAppliedState,
} from '../raft/index.ts'
import { newAuthKeys } from '../server/auth/auth-keys.ts'
import { formatStorage, inspectDirectory, isInUse, openStorage } from '../storage/directory.ts'
import {
  FORMAT_VERSION,
  hashOfRow,
  type RowScan,
  StateHash,
  StorageInUseError,
  StorageRefusedError,
  type StoredRow,
} from '../storage/index.ts'
import { randomId } from '../system/random-id.ts'
import { openBackup, verifyFile } from './file.ts'
import { BLOCK_LIMITS, DamagedBackupError } from './format.ts'

/** The node that is made. */
export interface NewNode {
  readonly dir: string
  readonly name: string
  /** host:port for the other nodes; '' if it is not known yet. The node announces its own when it starts. */
  readonly peer: string
  /** URL for clients; '' if it is not known yet. The node announces its own when it starts. */
  readonly url: string
}

export interface RestoreResult {
  readonly clusterId: string
  readonly replicaId: string
  readonly state: KvState
  /** The hash of all rows that were restored, computed from the backup. */
  readonly stateHash: bigint
  /** Whether the user root has a password. Without one, only a certificate shows who it is. */
  readonly hasRootPassword: boolean
}

/** The changes of a restored store. */
export interface RestoreOptions {
  /** How many revisions later it begins. */
  readonly bump: number
  /** The hash of a new password of root. */
  readonly rootPasswordHash?: string | undefined
}

/** Where the rows of a new node come from. */
interface RowSource {
  /** `KvState`, encoded. */
  readonly kv: Uint8Array
  /** `AppliedRaftState`, encoded. Its configuration is not used. */
  readonly raft: Uint8Array
  /** The row of the user root; undefined: there is no such user. */
  readonly root: Uint8Array | undefined
  pages(): AsyncIterable<readonly StoredRow[]>
}

/** Bytes of rows that are written at once. */
const BATCH_BYTES = 2 * 1024 * 1024

/**
 * Makes the node from a file. Throws `DamagedBackupError`, and the errors of storage, before anything is changed if the
 * directory has other content.
 */
export async function restoreFile(
  path: string,
  node: NewNode,
  options: RestoreOptions,
): Promise<RestoreResult> {
  checkFree(node.dir)
  const { root } = await verifyFile(path)
  const reader = openBackup(path)
  const { kv, raft } = await reader.header()
  return restoreRows({ kv, raft, root, pages: () => reader.pages() }, node, options)
}

/** Throws if the directory is in use, or holds anything. */
function checkFree(dir: string): void {
  if (isInUse(dir)) throw new StorageInUseError(`${dir} is in use: a node runs on it.`)
  const content = inspectDirectory(dir)
  if (content.kind === 'empty') return
  const { name, clusterId } = content.identity
  throw new StorageRefusedError(
    `${dir} holds node ${name} of cluster ${clusterId}; give the directory of a new node.`,
  )
}

export async function restoreRows(
  source: RowSource,
  node: NewNode,
  options: RestoreOptions,
): Promise<RestoreResult> {
  const [clusterId, replicaId] = [randomId(), asReplicaId(randomId())]
  const { bump, rootPasswordHash: passwordHash } = options
  if (passwordHash !== undefined && source.root === undefined)
    throw new StorageRefusedError('There is no user root, so no rights are checked.')
  const newRoot =
    passwordHash === undefined || source.root === undefined ? undefined : { row: source.root, passwordHash }
  const restore: Restore = { bump, clusterId, keys: newAuthKeys(), newRoot }
  const before = decodeState(source.kv)
  const { state, added } = restoredState(before, restore)
  const hash = new StateHash()
  const pages = async function* (): AsyncGenerator<readonly StoredRow[], void, undefined> {
    let batch: StoredRow[] = added === undefined ? [] : [added]
    let bytes = 0
    for await (const page of source.pages())
      for (const row of page) {
        const restored = restoredRow(row, state, restore)
        batch.push(restored)
        bytes += restored.key.length + restored.value.length
        if (bytes < BATCH_BYTES) continue
        yield hashed(batch, hash)
        batch = []
        bytes = 0
      }
    if (batch.length > 0) yield hashed(batch, hash)
  }
  const { dir, name, peer, url } = node
  const identity = { clusterId, replicaId, name, formatVersion: FORMAT_VERSION }
  const { leaderLeases } = decodeAppliedState(source.raft)
  const configuration = bootstrapConfiguration({ id: replicaId, name, peer, url })
  // Index 1, as if from a snapshot: a node that founds a cluster begins there too.
  const initial = {
    hardState: { term: asTerm(1), vote: undefined, commit: asIndex(1) },
    applied: {
      index: asIndex(1),
      term: asTerm(1),
      raft: encodeAppliedState({ configuration, leaderLeases }),
      kv: encodeState(state),
    },
  }
  await formatStorage(dir, identity, initial, pages())
  const hasRootPassword = newRoot !== undefined || hasPassword(source.root)
  return { clusterId, replicaId, state, stateHash: hash.value, hasRootPassword }
}

/** `root`: the row of the user root. */
export const hasPassword = (root: Uint8Array | undefined): boolean =>
  root !== undefined && decodeUserRow({ name: ROOT, madeAt: 0 }, root).passwordHash !== undefined

function hashed(rows: readonly StoredRow[], hash: StateHash): readonly StoredRow[] {
  for (const { key, value } of rows) hash.add(hashOfRow(key, value))
  return rows
}

/** Throws if the directory does not have exactly the rows that were restored. Opens it as a start does. */
export async function checkRestored(dir: string, { stateHash }: RestoreResult): Promise<void> {
  const storage = await openStorage(dir, { readsFirst: true })
  try {
    if (storage.stateHash === stateHash) return
    throw new DamagedBackupError('the restored rows have another hash than those of the backup')
  } finally {
    await new Promise<void>((resolve) => storage.close(() => resolve()))
  }
}

/** The number of keys that exist in the rows of a scan. */
export async function countKeys(scan: RowScan): Promise<number> {
  const rows = new BackupRows(true)
  for await (const page of readPages(scan)) for (const row of page) rows.has(row)
  return rows.keys
}

/** All rows of a scan. Throws if they are not complete. */
export async function* readPages(scan: RowScan): AsyncGenerator<readonly StoredRow[], void, undefined> {
  try {
    for (let isRead = false; !isRead; ) {
      const { rows, more } = await new Promise<{ rows: readonly StoredRow[]; more: boolean }>(
        (resolve, reject) =>
          scan.next(BLOCK_LIMITS, (error, rows, more) =>
            error === undefined ? resolve({ rows, more }) : reject(error),
          ),
      )
      isRead = !more
      yield rows
    }
    await new Promise<void>((resolve, reject) =>
      scan.finish((error) => (error === undefined ? resolve() : reject(error))),
    )
  } finally {
    scan.close()
  }
}
