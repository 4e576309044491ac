// Formatting and opening a data directory.

import { closeSync, existsSync, fstatSync, mkdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Engine } from './engine.ts'
import {
  asError,
  CorruptionError,
  causeOf,
  hasCode,
  rejoinAdvice,
  StorageInUseError,
  StorageRefusedError,
} from './errors.ts'
import { FORMAT_OPERATIONS, formatEngine, type InitialState } from './format.ts'
import {
  deleteLeft,
  endFormatting,
  inspectDirectory,
  openFormatting,
  syncDirectory,
  unreadable,
  writeIdentity,
} from './identity.ts'
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
} from './level-engine.ts'
import { assertRecovered, putBack, SkippedError } from './leveldb-recovery.ts'
import { hasOpen, isOpenTwiceInProcess } from './open-files.ts'
import { openStore, type StoreLimits, storeLimits } from './store.ts'
import type { Identity, Storage } from './types.ts'
import { Damage, manifestSequence, type Verified, verifyDatabase } from './verify.ts'
import { createWatermark, type Reached, readWatermark, WATERMARK_FILE, Watermark } from './watermark.ts'

export interface OpenOptions {
  /** Names that the caller expects; another one is refused. */
  readonly name?: string
  readonly clusterId?: string
  /**
   * Takes a complete last WAL frame with a bad checksum for a torn one. Safe for a minority of a cluster's replicas
   * only.
   */
  readonly discardSuspectTail?: boolean
  readonly limits?: Partial<LevelLimits & StoreLimits>
  /** Put between store and LevelDB: how a disk is made to fail. */
  readonly under?: (engine: Engine) => Engine
}

/**
 * Opens a formatted directory: verified before LevelDB may touch it, recovered, boot counter raised. Rejects with
 * `StorageRefusedError` when the directory cannot be vouched for, and with `StorageInUseError` when a process has it
 * open.
 */
export async function openStorage(dir: string, options: OpenOptions = {}): Promise<Storage> {
  const content = inspectDirectory(dir)
  if (content.kind === 'empty') throw new StorageRefusedError(`${dir} holds no node.`)
  const { identity } = content
  refuseAnother(dir, identity, options)
  const { mark, extent } = await verified(dir, identity, options.discardSuspectTail ?? false)
  // LevelDB looks too, but makes a new LOG before: whoever is just starting would not find there what was recovered.
  if (isInUse(dir, false)) throw inUse(dir)
  endFormatting(dir)
  const limits = { ...levelLimits, ...storeLimits, ...options.limits }
  const engine = await open(dir, limits, mark, extent)
  return recovered(dir, identity, engine, limits, options.under?.(engine) ?? engine)
}

/**
 * Makes an empty or absent directory the home of a new replica. IDENTITY comes last: without it the rest counts for
 * nothing.
 */
export async function formatStorage(dir: string, identity: Identity, initial: InitialState): Promise<void> {
  refuseUnlessFree(dir)
  try {
    makeDirectory(dir)
    // That takes its time: somebody may have begun meanwhile, or be done.
    refuseUnlessFree(dir)
    await makeReplica(dir, identity, initial)
  } catch (error) {
    if (error instanceof StorageRefusedError || error instanceof StorageInUseError) throw error
    if (isLockHeld(error)) throw inUse(dir)
    // Whoever was quicker is done; what failed behind our own IDENTITY is told below.
    const content = inspectDirectory(dir)
    if (content.kind === 'formatted' && content.identity.replicaId !== identity.replicaId)
      throw holdsAlready(dir)
    const cause = causeOf(error)
    throw new StorageRefusedError(
      `${dir} cannot be formatted: ${cause.message}. ` +
        `Look at the disk (space, permissions, limit of open files), then start the node again.`,
      { cause },
    )
  }
}

function refuseUnlessFree(dir: string): void {
  if (inspectDirectory(dir).kind !== 'empty') throw holdsAlready(dir)
  // Somebody formats it just now.
  if (isInUse(dir)) throw inUse(dir)
}

const holdsAlready = (dir: string): StorageRefusedError =>
  new StorageRefusedError(`${dir} holds a node already.`)

/**
 * Durable when it returns, as are the names of those above it. Those that were there may have been made a moment ago,
 * by an attempt that was interrupted or by somebody else; they may also be none of ours to open.
 */
function makeDirectory(dir: string): void {
  const path = resolve(dir)
  const first = mkdirSync(path, { recursive: true })
  for (const above of ancestors(path)) {
    try {
      syncDirectory(above)
    } catch (error) {
      if (first !== undefined && above.length >= dirname(first).length) throw error
    }
  }
}

/** The nearest first, the root last. */
function* ancestors(path: string): Generator<string> {
  for (let at = path; at !== dirname(at); at = dirname(at)) yield dirname(at)
}

async function makeReplica(dir: string, identity: Identity, initial: InitialState): Promise<void> {
  const { file, isLeft } = openFormatting(dir)
  try {
    if (isLeft) {
      // LevelDB's lock is one for all threads of a process. Opened before it is looked at: at most one of them goes on.
      if (isOpenTwiceInProcess(fstatSync(file))) throw inUse(dir)
      await whileLocked(dir, () => beginAnew(dir))
    }
    await makeDatabase(dir, identity, initial)
  } finally {
    closeSync(file)
  }
}

/** With the lock, which whoever makes a node has until there is one: what they have begun is not deleted under them. */
function beginAnew(dir: string): void {
  // Whoever had it open before may be done.
  if (inspectDirectory(dir).kind !== 'empty') throw holdsAlready(dir)
  deleteLeft(dir)
}

async function makeDatabase(dir: string, identity: Identity, initial: InitialState): Promise<void> {
  const db = await createDatabase(dir, levelLimits)
  try {
    await fill(dir, db, initial)
    // The lock is held until the directory says whose it is: another process would take it for one whose formatting was
    // interrupted.
    writeIdentity(dir, identity)
    endFormatting(dir)
  } finally {
    // After a write that failed too: nothing here counts yet, and the next attempt needs the lock.
    await db.close()
  }
}

async function fill(dir: string, db: Database, initial: InitialState): Promise<void> {
  createWatermark(dir, FORMAT_OPERATIONS)
  const watermark = new Watermark(dir)
  try {
    const engine = new LevelEngine(db, dir, watermark, { sequence: 0, heldTo: 0 })
    const batch = engine.batch()
    formatEngine(batch, initial)
    await new Promise<void>((resolve, reject) => {
      engine.write(batch, (error) => (error === undefined ? resolve() : reject(error)))
    })
  } finally {
    watermark.close()
  }
}

function refuseAnother(dir: string, identity: Identity, { name, clusterId }: OpenOptions): void {
  if (name !== undefined && name !== identity.name)
    throw new StorageRefusedError(`${dir} belongs to node ${identity.name}, not ${name}.`)
  if (clusterId !== undefined && clusterId !== identity.clusterId)
    throw new StorageRefusedError(
      `${dir} belongs to a node of cluster ${identity.clusterId}, not ${clusterId}.`,
    )
}

async function verified(
  dir: string,
  identity: Identity,
  discardSuspectTail: boolean,
): Promise<{ mark: number | undefined; extent: Verified }> {
  const look = (): { mark: number | undefined; extent: Verified } => {
    const reached = lowerBound(dir)
    return { mark: reached.mark, extent: verifyDatabase(dir, { reached, discardSuspectTail }) }
  }
  try {
    return look()
  } catch {
    // Files that are being written to may look like anything.
    if (isInUse(dir) || (await isLocked(dir))) throw inUse(dir)
  }
  // Whoever did so may have ended since.
  try {
    return look()
  } catch (error) {
    if (isInUse(dir)) throw inUse(dir)
    if (error instanceof Damage) throw damaged(join(dir, error.file), error.message, identity)
    throw unreadable(dir, error)
  }
}

function lowerBound(dir: string): Reached {
  if (statSync(join(dir, WATERMARK_FILE), { throwIfNoEntry: false }) === undefined)
    throw new Damage(WATERMARK_FILE, 'the file is missing')
  return readWatermark(dir)
}

async function open(
  dir: string,
  limits: LevelLimits,
  mark: number | undefined,
  extent: Verified,
): Promise<LevelEngine> {
  let watermark: Watermark | undefined
  let db: Database | undefined
  try {
    watermark = new Watermark(dir)
    // Of threads that find no lock at the same instant at most one goes on: LevelDB would refuse the other, and give up
    // the lock of the process.
    if (isOpenTwiceInProcess(statSync(join(dir, WATERMARK_FILE)))) throw inUse(dir)
    db = await openDatabase(dir, limits)
    // Whoever had it open wrote to it between the two readings. Nothing may fail before it is known what LevelDB has
    // skipped.
    if (watermark.read().mark !== mark || standsBeyond(dir, extent)) throw inUse(dir)
    assertRecovered(dir, extent.wals)
    // LevelDB has recovered into a new MANIFEST, and does not sync the rename that names it in CURRENT. Were that lost
    // after batches have been acknowledged in the new WAL, the old one would end in the middle of a record and yet be
    // followed: refused for good.
    syncDirectory(dir)
    return new LevelEngine(db, dir, watermark, extent)
  } catch (error) {
    try {
      if (watermark !== undefined && error instanceof SkippedError) restore(dir, extent, watermark, error)
    } finally {
      watermark?.close()
      await db?.close()
    }
    if (error instanceof StorageInUseError) throw error
    if (isLockHeld(error)) throw inUse(dir)
    const cause = causeOf(error)
    throw new StorageRefusedError(
      `${dir} cannot be opened, although its files are whole: ${cause.message}. ` +
        `Look at the disk (space, permissions, limit of open files), then start the node again.`,
      { cause },
    )
  }
}

/**
 * Whether LevelDB, which begins a MANIFEST with each start, has found more than there was: who wrote it was killed
 * before it noted that in the side file. Put back, WALs that it had recovered would end before MANIFEST stands, and be
 * refused for good.
 */
function standsBeyond(dir: string, { sequence }: Verified): boolean {
  try {
    return manifestSequence(dir) > sequence
  } catch {
    return false
  }
}

/**
 * Where that fails, the next start tells whether anything is missing: LevelDB may have read it all, and only its LOG
 * could not be read.
 */
function restore(dir: string, { wals, heldTo }: Verified, watermark: Watermark, cause: SkippedError): void {
  try {
    putBack(dir, wals)
  } catch (error) {
    // After a power cut it may say less than what was there.
    watermark.raise(heldTo)
    throw new StorageRefusedError(
      `${dir}: ${cause.message}, and the WALs cannot be put back: ${asError(error).message}. Look at the disk (space, ` +
        `permissions, limit of open files), then start the node again: it tells whether anything is missing.`,
      { cause },
    )
  }
}

function recovered(
  dir: string,
  identity: Identity,
  engine: LevelEngine,
  limits: StoreLimits,
  under: Engine,
): Promise<Storage> {
  return new Promise((resolve, reject) => {
    openStore(under, identity, limits, (error, storage) => {
      if (storage !== undefined) return resolve(storage)
      const refusal =
        error instanceof CorruptionError
          ? new StorageRefusedError(`${dir}: ${error.message}`, { cause: error })
          : error
      // After a write or read that failed too: nobody has been told anything yet, and the next attempt needs the lock.
      closed(engine).then(
        () => reject(refusal),
        () => reject(refusal),
      )
    })
  })
}

const closed = (engine: Engine): Promise<void> =>
  new Promise((resolve, reject) => engine.close((error) => (error === undefined ? resolve() : reject(error))))

const damaged = (file: string, what: string, { name }: Identity): StorageRefusedError =>
  new StorageRefusedError(
    `${file} is damaged: ${what}. The files were left as they are. ${rejoinAdvice(name)}`,
  )

const inUse = (dir: string): StorageInUseError =>
  new StorageInUseError(
    `${dir} is in use: a node that runs on it has it open. Stop that one first; if its storage has failed, end its process.`,
  )

const LOCKS = '/proc/locks'

/**
 * Whether a living process holds LevelDB's lock on the directory. Only Linux tells without trying. Inode numbers are
 * unique within one file system only, and the device that /proc/locks names is not always the one that stat tells
 * (Btrfs). So the files that the holder has open decide; `unknown` counts where they cannot be read.
 */
export function isInUse(dir: string, unknown = true): boolean {
  const lock = statSync(join(dir, 'LOCK'), { throwIfNoEntry: false })
  if (lock === undefined || !existsSync(LOCKS)) return false
  return readLocks()
    .split('\n')
    .map((line) => line.split(/\s+/))
    .some((fields) => {
      const at = fields.indexOf('WRITE')
      return (
        at > 0 && fields[at + 2]?.endsWith(`:${lock.ino}`) && hasOpen(fields[at + 1] ?? '', lock, unknown)
      )
    })
}

/** Empty where this process may not read it, as below AppArmor: LevelDB looks too. */
function readLocks(): string {
  try {
    return readFileSync(LOCKS, 'latin1')
  } catch (error) {
    if (hasCode(error, 'EACCES')) return ''
    throw unreadable(LOCKS, error)
  }
}
