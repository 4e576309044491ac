// Formatting and opening a data directory.

import { closeSync, fstatSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { makeDirectories, syncDirectory } from '../files/durable.ts'
import { closeToOthers } from '../files/private-directory.ts'
import { asError } from '../system/errors.ts'
import type { Engine, EngineBatch } from './engine.ts'
import {
  CorruptionError,
  REJOIN_ADVICE,
  StorageInUseError,
  StorageRefusedError,
  unwrapCause,
} from './errors.ts'
import { FIRST_GENERATION, FORMAT_OPERATIONS, formatEngine, type InitialState } from './first-state.ts'
import { hashOfKey } from './key-hash.ts'
import { rowPrefix } from './keys.ts'
import {
  createDatabase,
  type Database,
  isLocked,
  isLockHeld,
  LevelEngine,
  type LevelLimits,
  levelLimits,
  openDatabase,
  whileLocked,
} from './level/level-engine.ts'
import { assertRecovered, restoreWals, SkippedError } from './level/skipped-wals.ts'
import { Damage, manifestSequence, type VerifiedDatabase, verifyDatabase } from './level/verify.ts'
import { isInUse } from './lock-holder.ts'
import { isOpenTwiceInProcess } from './open-files.ts'
import {
  deleteLeftovers,
  endFormatting,
  inspectDirectory,
  openFormatting,
  unreadable,
  writeIdentity,
} from './replica-identity.ts'
import { noIndex, type RowIndex } from './row-index.ts'
import { putRow, Row, StateHash } from './rows.ts'
import { openStore, storeLimits } from './store.ts'
import type { BatchLimits, Identity, Storage, StoredRow } from './types.ts'
import {
  createWatermark,
  readWatermark,
  WATERMARK_FILE,
  Watermark,
  type WatermarkContent,
} from './watermark.ts'

export interface OpenOptions {
  /** Names that the caller expects; another one is refused. */
  readonly name?: string
  readonly clusterId?: string
  /**
   * Treats a complete last WAL frame with a bad checksum as a torn one. Safe for a minority of a cluster's replicas
   * only.
   */
  readonly discardSuspectTail?: boolean
  readonly limits?: Partial<LevelLimits & BatchLimits>
  /** The index of rows in memory; undefined: none. */
  readonly index?: RowIndex
  /**
   * Reads all rows, and compares their sum with the state hash, before this resolves. Unless given, only where the
   * files have `FIRST_READING_BYTES_MAX` at most.
   */
  readonly readsFirst?: boolean
  /** Wraps the engine beneath the store. Tests make a disk fail with it. */
  readonly under?: (engine: Engine) => Engine
}

/** Limit on the bytes of the files of a database whose rows are all read before it opens: some tenths of a second. */
const FIRST_READING_BYTES_MAX = 32 * 1024 * 1024

/**
 * Opens a formatted directory: verified before LevelDB may touch it, recovered, boot counter raised. Rejects with
 * `StorageRefusedError` when the directory may be damaged or does not belong to this node, and with `StorageInUseError`
 * when a process has it open.
 */
export async function openStorage(dir: string, options: OpenOptions = {}): Promise<Storage> {
  const content = inspectDirectory(dir)
  if (content.kind === 'empty') throw new StorageRefusedError(`${dir} holds no node.`)
  const { identity } = content
  refuseOtherNode(dir, identity, options)
  const { mark, extent } = await verifyUnused(dir, options.discardSuspectTail ?? false)
  // LevelDB checks this too, but begins a new LOG first. A process that is just starting on the directory would then
  // not find its recovery in LOG.
  if (isInUse(dir, false)) throw inUseError(dir)
  endFormatting(dir)
  const limits = { ...levelLimits, ...storeLimits, ...options.limits }
  const engine = await openEngine(dir, limits, mark, extent)
  const readsFirst = options.readsFirst ?? extent.bytes <= FIRST_READING_BYTES_MAX
  return openRecoveredStore(identity, engine, limits, { ...options, readsFirst })
}

/** The first rows of a replica, page by page. A page is one batch. */
type FirstPages = AsyncIterable<readonly StoredRow[]>

/**
 * Makes an empty or missing directory the home of a new replica. IDENTITY is written last. Without it the other files
 * are ignored, and the directory counts as empty.
 */
export async function formatStorage(
  dir: string,
  identity: Identity,
  initial: InitialState,
  pages?: FirstPages,
): Promise<void> {
  refuseUnlessFree(dir)
  try {
    makeDirectory(dir)
    // Making the directory takes time. Another process may have begun, or may have finished.
    refuseUnlessFree(dir)
    await makeReplica(dir, identity, initial, pages)
  } catch (error) {
    if (error instanceof StorageRefusedError || error instanceof StorageInUseError) throw error
    if (isLockHeld(error)) throw inUseError(dir)
    // A quicker process has finished. A failure after our own IDENTITY was written is reported below.
    const content = inspectDirectory(dir)
    if (content.kind === 'formatted' && content.identity.replicaId !== identity.replicaId)
      throw alreadyFormattedError(dir)
    const cause = unwrapCause(error)
    throw new StorageRefusedError(
      `${dir} cannot be formatted: ${cause.message}. ` +
        `Look at the disk (space, permissions, limit of open files), then start the node again.`,
      { cause },
    )
  }
}

function refuseUnlessFree(dir: string): void {
  if (inspectDirectory(dir).kind !== 'empty') throw alreadyFormattedError(dir)
  // Another process is formatting it now.
  if (isInUse(dir)) throw inUseError(dir)
}

const alreadyFormattedError = (dir: string): StorageRefusedError =>
  new StorageRefusedError(`${dir} holds a node already.`)

/**
 * The directory is durable when this returns, and so are the names of the directories above it. Those that existed
 * before may have been made a moment ago, by an interrupted attempt or by another process. They may also be unreadable
 * for us.
 */
function makeDirectory(dir: string): void {
  const path = resolve(dir)
  // Values are in the clear there.
  const first = makeDirectories(path, 0o700)
  if (first === undefined) closeToOthers(path)
  for (const above of ancestors(path)) {
    try {
      syncDirectory(above)
    } catch (error) {
      if (first !== undefined && above.length >= dirname(first).length) throw error
    }
  }
}

/** The directories above a path, from the nearest to the root. */
function* ancestors(path: string): Generator<string> {
  for (let at = path; at !== dirname(at); at = dirname(at)) yield dirname(at)
}

async function makeReplica(
  dir: string,
  identity: Identity,
  initial: InitialState,
  pages: FirstPages | undefined,
): Promise<void> {
  const { file, isLeft } = openFormatting(dir)
  try {
    if (isLeft) {
      // All threads of a process share LevelDB's lock. Each opens the file before the check, so at most one of them
      // continues.
      if (isOpenTwiceInProcess(fstatSync(file))) throw inUseError(dir)
      await whileLocked(dir, () => deleteInterruptedFormatting(dir))
    }
    await makeDatabase(dir, identity, initial, pages)
  } finally {
    closeSync(file)
  }
}

/**
 * Called with the lock. A process that makes a node holds the lock until the node is complete, so its files are not
 * deleted while it works.
 */
function deleteInterruptedFormatting(dir: string): void {
  // Another process that had it open may have finished.
  if (inspectDirectory(dir).kind !== 'empty') throw alreadyFormattedError(dir)
  deleteLeftovers(dir)
}

async function makeDatabase(
  dir: string,
  identity: Identity,
  initial: InitialState,
  pages: FirstPages | undefined,
): Promise<void> {
  const db = await createDatabase(dir, levelLimits)
  try {
    await writeFirstState(dir, db, initial, pages)
    // The lock is held until IDENTITY is there. Otherwise another process would think that the formatting was
    // interrupted.
    writeIdentity(dir, identity)
    endFormatting(dir)
  } finally {
    // Also after a failed write: nothing here counts yet, and the next attempt needs the lock.
    await db.close()
  }
}

async function writeFirstState(
  dir: string,
  db: Database,
  initial: InitialState,
  pages: FirstPages | undefined,
): Promise<void> {
  createWatermark(dir, FORMAT_OPERATIONS)
  const watermark = new Watermark(dir)
  try {
    const engine = new LevelEngine(db, dir, watermark, { sequence: 0, heldTo: 0 })
    const hash = new StateHash()
    for await (const rows of pages ?? []) {
      const batch = engine.batch()
      for (const { key, value } of rows) {
        const row = new Row(rowPrefix(FIRST_GENERATION), key, hashOfKey(key), value)
        hash.add(row)
        putRow(batch, row)
      }
      await writeBatch(engine, batch)
    }
    const batch = engine.batch()
    formatEngine(batch, initial, { sequence: engine.sequence, stateHash: hash.value })
    await writeBatch(engine, batch)
  } finally {
    watermark.close()
  }
}

const writeBatch = (engine: Engine, batch: EngineBatch): Promise<void> =>
  new Promise((resolve, reject) => {
    engine.write(batch, (error) => (error === undefined ? resolve() : reject(error)))
  })

function refuseOtherNode(dir: string, identity: Identity, { name, clusterId }: OpenOptions): void {
  if (name !== undefined && name !== identity.name)
    throw new StorageRefusedError(`${dir} belongs to node ${identity.name}, not ${name}.`)
  if (clusterId !== undefined && clusterId !== identity.clusterId)
    throw new StorageRefusedError(
      `${dir} belongs to a node of cluster ${identity.clusterId}, not ${clusterId}.`,
    )
}

async function verifyUnused(
  dir: string,
  discardSuspectTail: boolean,
): Promise<{ mark: number | undefined; extent: VerifiedDatabase }> {
  const verify = async (): Promise<{ mark: number | undefined; extent: VerifiedDatabase }> => {
    const reached = readLowerBound(dir)
    return { mark: reached.mark, extent: await verifyDatabase(dir, { reached, discardSuspectTail }) }
  }
  try {
    return await verify()
  } catch {
    // Files that another process is writing may look damaged.
    if (isInUse(dir) || (await isLocked(dir))) throw inUseError(dir)
  }
  // That process may have ended since.
  try {
    return await verify()
  } catch (error) {
    if (isInUse(dir)) throw inUseError(dir)
    if (error instanceof Damage) throw damagedError(join(dir, error.file), error.message)
    throw unreadable(dir, error)
  }
}

function readLowerBound(dir: string): WatermarkContent {
  if (statSync(join(dir, WATERMARK_FILE), { throwIfNoEntry: false }) === undefined)
    throw new Damage(WATERMARK_FILE, 'the file is missing')
  return readWatermark(dir)
}

async function openEngine(
  dir: string,
  limits: LevelLimits,
  mark: number | undefined,
  extent: VerifiedDatabase,
): Promise<LevelEngine> {
  let watermark: Watermark | undefined
  let db: Database | undefined
  try {
    watermark = new Watermark(dir)
    // If several threads find no lock at the same time, at most one continues. LevelDB would refuse the second, and
    // would release the lock of the process when it does.
    if (isOpenTwiceInProcess(statSync(join(dir, WATERMARK_FILE)))) throw inUseError(dir)
    db = await openDatabase(dir, limits)
    // Another process wrote to the database between the two readings. This check precedes all others that can fail,
    // because the files that LevelDB skipped must be known.
    if (watermark.read().mark !== mark || hasGrownSince(dir, extent)) throw inUseError(dir)
    assertRecovered(dir, extent.wals)
    // LevelDB has recovered into a new MANIFEST, and does not sync the rename by which CURRENT names it. If that rename
    // were lost after batches were acknowledged in the new WAL, the old WAL would end in the middle of a record and
    // have a successor. Such a directory is refused permanently.
    syncDirectory(dir)
    return new LevelEngine(db, dir, watermark, extent)
  } catch (error) {
    try {
      if (watermark !== undefined && error instanceof SkippedError)
        restoreSkippedWals(dir, extent, watermark, error)
    } finally {
      watermark?.close()
      await db?.close()
    }
    if (error instanceof StorageInUseError) throw error
    if (isLockHeld(error)) throw inUseError(dir)
    const cause = unwrapCause(error)
    throw new StorageRefusedError(
      `${dir} cannot be opened, although its files are whole: ${cause.message}. ` +
        `Look at the disk (space, permissions, limit of open files), then start the node again.`,
      { cause },
    )
  }
}

/**
 * Whether LevelDB, which begins a MANIFEST at each start, found more than the verification did. Then the process that
 * wrote it was killed before it noted the write in the side file. WALs that were recovered there must not be put back:
 * they would end before the sequence number of MANIFEST, and would be refused permanently.
 */
function hasGrownSince(dir: string, { sequence }: VerifiedDatabase): boolean {
  try {
    return manifestSequence(dir) > sequence
  } catch {
    return false
  }
}

/**
 * If this fails, the next start finds out whether anything is missing. LevelDB may have read everything, and only its
 * LOG was unreadable.
 */
function restoreSkippedWals(
  dir: string,
  { wals, heldTo }: VerifiedDatabase,
  watermark: Watermark,
  cause: SkippedError,
): void {
  try {
    restoreWals(dir, wals)
  } catch (error) {
    // After a power cut the mark may be lower than what the files held.
    watermark.raise(heldTo)
    throw new StorageRefusedError(
      `${dir}: ${cause.message}, and the WALs cannot be put back: ${asError(error).message}. Look at the disk (space, ` +
        `permissions, limit of open files), then start the node again: it reports whether anything is missing.`,
      { cause },
    )
  }
}

function openRecoveredStore(
  identity: Identity,
  engine: LevelEngine,
  limits: BatchLimits,
  { under, index = noIndex, readsFirst }: OpenOptions,
): Promise<Storage> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | undefined, storage: Storage | undefined): void => {
      if (storage !== undefined) {
        resolve(storage)
        return
      }
      const refusal =
        error instanceof CorruptionError ? new StorageRefusedError(error.message, { cause: error }) : error
      // Also after a failed write or read: nothing was acknowledged yet, and the next attempt needs the lock.
      closeEngine(engine).then(
        () => reject(refusal),
        () => reject(refusal),
      )
    }
    openStore(under?.(engine) ?? engine, identity, limits, index, done, readsFirst)
  })
}

const closeEngine = (engine: Engine): Promise<void> =>
  new Promise((resolve, reject) => engine.close((error) => (error === undefined ? resolve() : reject(error))))

const damagedError = (file: string, what: string): StorageRefusedError =>
  new StorageRefusedError(`${file} is damaged: ${what}. The files were left as they are. ${REJOIN_ADVICE}`)

const inUseError = (dir: string): StorageInUseError =>
  new StorageInUseError(
    `${dir} is in use: a node that runs on it has it open. Stop that one first; if its storage has failed, end its process.`,
  )
