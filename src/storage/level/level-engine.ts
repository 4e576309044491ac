// LevelDB as an engine. Every write is synced. The engine counts the sequence number itself, because LevelDB does not
// report it.

import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  rmSync,
  type Stats,
  statSync,
  symlinkSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type ChainedBatch, Level } from 'level'
import { asError, hasErrorCode } from '../../system/errors.ts'
import type { Engine, EngineBatch, Pair, Scan, ScanRange } from '../engine.ts'
import { unwrapCause } from '../errors.ts'
import { isLockedInProcess } from '../open-files.ts'
import { quarantine, readQuarantine } from '../quarantine.ts'
import type { Watermark } from '../watermark.ts'
import { nextPiece, PIECE_BYTES } from './compaction.ts'
import type { Extent } from './verify.ts'

const KiB = 1024
const MiB = 1024 * KiB

/** The options of LevelDB; docs/reference/limits.md lists the cost of each. */
export interface LevelLimits {
  /** Size of a memtable and of its WAL. There are up to two of each; both WALs are read at a start. */
  readonly writeBufferSize: number
  /** Tables are memory-mapped: at most `maxFileSize` × `maxOpenFiles` bytes of them count in VmRSS. */
  readonly maxFileSize: number
  readonly maxOpenFiles: number
  /** Cache of blocks. Blocks of mapped tables do not use it. */
  readonly cacheSize: number
}

export const levelLimits: LevelLimits = {
  writeBufferSize: 16 * MiB,
  maxFileSize: 4 * MiB,
  maxOpenFiles: 1000,
  cacheSize: 4 * MiB,
}

/** Bytes that one step of a scan reads ahead on LevelDB's thread. */
const SCAN_BYTES = 256 * KiB

/** Every key of the store is larger. */
const FIRST_KEY = Uint8Array.of(0)

/** On Node the package is LevelDB, but its types list only what browsers have too. */
export type Database = Level<Uint8Array, Uint8Array> & {
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>
  getProperty(property: string): string
}

/** The error code when another process or thread has the directory open. */
export const LOCK_HELD = 'LEVEL_LOCKED'

/** Never creates a database: if CURRENT were missing, LevelDB would make a new one and delete every table. */
export async function openDatabase(dir: string, limits: LevelLimits): Promise<Database> {
  return openUnlocked(dir, { ...limits, createIfMissing: false, errorIfExists: false })
}

interface OpenMode {
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
}

export async function createDatabase(dir: string, limits: LevelLimits): Promise<Database> {
  return openUnlocked(dir, { ...limits, createIfMissing: true, errorIfExists: true })
}

/**
 * The databases that this thread has open, also abandoned ones. LevelDB checks this only after it has opened LOCK
 * again. When it closes that second descriptor, the system releases the lock of this process, which keeps others out.
 */
const openHere = new Set<string>()

function ensureLockFile(dir: string): Stats {
  const lock = join(dir, 'LOCK')
  if (!existsSync(lock)) closeSync(openSync(lock, 'a'))
  return statSync(lock)
}

async function openUnlocked(dir: string, options: LevelLimits & OpenMode): Promise<Database> {
  const lock = ensureLockFile(dir)
  // No other file has the same device and inode while this one is open. A directory's could belong to another one that
  // was made after the first was deleted.
  const place = `${lock.dev}:${lock.ino}`
  // Other threads have separate lists.
  if (openHere.has(place) || isLockedInProcess(lock))
    throw Object.assign(new Error(`${dir} is open in this process`), { code: LOCK_HELD })
  openHere.add(place)
  try {
    const db = newDatabase(dir)
    db.once('closed', () => openHere.delete(place))
    // Compressed blocks would be copied to the heap, and a flipped bit in one can abort the process.
    await db.open({ ...options, compression: false })
    return db
  } catch (error) {
    openHere.delete(place)
    throw error
  }
}

/**
 * Whether a process holds the lock of that directory, also where the system does not show it, e.g. another container.
 */
export async function isLocked(dir: string): Promise<boolean> {
  if (!existsSync(join(dir, 'LOCK'))) return false
  try {
    // Where there is no database, LevelDB ends as soon as it has the lock.
    await withLock(dir, openDatabase, () => {})
    return false
  } catch (error) {
    return isLockHeld(error)
  }
}

/**
 * Runs `act` while no other process can have the lock of that directory. Rejects if the lock is held, and also if no
 * temporary directory can be made.
 */
export const whileLocked = (dir: string, act: () => void): Promise<void> => withLock(dir, createDatabase, act)

/**
 * Changes nothing in `dir`: LevelDB takes the lock from a temporary directory whose LOCK is a link to the one in `dir`.
 */
async function withLock(dir: string, open: typeof openDatabase, act: () => void): Promise<void> {
  const from = mkdtempSync(join(tmpdir(), 'quorate-lock-'))
  try {
    symlinkSync(resolve(dir, 'LOCK'), join(from, 'LOCK'))
    const db = await open(from, levelLimits)
    try {
      act()
    } finally {
      await db.close()
    }
  } finally {
    deleteQuietly(from)
  }
}

/** Deletes the temporary directory. A failure is ignored, so that the result of the lock is still reported. */
function deleteQuietly(dir: string): void {
  try {
    rmSync(dir, { recursive: true, force: true })
  } catch {
    // The directory holds nothing of value.
  }
}

/**
 * LevelDB reports the same error for a file system without locks, e.g. NFS without its lock daemon. In that case no
 * other process holds the lock.
 */
export const isLockHeld = (error: unknown): boolean =>
  hasErrorCode(unwrapCause(error), LOCK_HELD) && !NO_LOCKS.test(unwrapCause(error).message)

const NO_LOCKS = /: (No locks available|Operation not supported|Function not implemented)$/

function newDatabase(dir: string): Database {
  const db = new Level<Uint8Array, Uint8Array>(dir, { keyEncoding: 'view', valueEncoding: 'view' })
  if (!isLevelDB(db)) throw new Error('the package "level" is not LevelDB here')
  return db
}

const isLevelDB = (db: Level<Uint8Array, Uint8Array>): db is Database => 'compactRange' in db

class LevelBatch implements EngineBatch {
  readonly chained: ChainedBatch<Database, Uint8Array, Uint8Array>

  constructor(db: Database) {
    this.chained = db.batch()
  }
  put(key: Uint8Array, value: Uint8Array): void {
    this.chained.put(key, value)
  }
  delete(key: Uint8Array): void {
    this.chained.del(key)
  }
  get operations(): number {
    return this.chained.length
  }
  abandon(): void {
    void this.chained.close()
  }
}

export class LevelEngine implements Engine {
  readonly #db: Database
  readonly dir: string
  readonly #watermark: Watermark
  readonly #pieceBytes: number
  /** Never written: see KEPT_READER. */
  readonly kept: LevelBatch
  #sequence: number
  #heldTo: number
  #isClosed = false

  /** `extent`: verified before LevelDB was opened. `pieceBytes`: how much is compacted at once. */
  constructor(db: Database, dir: string, watermark: Watermark, extent: Extent, pieceBytes = PIECE_BYTES) {
    const { sequence, heldTo } = extent
    this.#pieceBytes = pieceBytes
    this.#db = db
    this.kept = new LevelBatch(db)
    this.dir = dir
    this.#watermark = watermark
    this.#sequence = sequence
    this.#heldTo = heldTo
  }

  get sequence(): number {
    return this.#sequence
  }
  get heldTo(): number {
    return this.#heldTo
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#db.getSync(key)
  }

  scan(range: ScanRange): Scan {
    return scan(this.#db, range)
  }

  batch(begun?: EngineBatch): EngineBatch {
    return begun ?? new LevelBatch(this.#db)
  }

  write(batch: EngineBatch, done: (error: Error | undefined) => void): void {
    if (!(batch instanceof LevelBatch)) throw new TypeError('a batch of another engine')
    const sequence = this.#sequence + batch.operations
    batch.chained.write({ sync: true }).then(
      () => {
        // The mark must be written before anything that depends on the batch leaves, which `done` allows.
        try {
          this.#watermark.raise(sequence)
        } catch (error) {
          done(asError(error))
          return
        }
        this.#sequence = sequence
        this.#heldTo = sequence
        done(undefined)
      },
      (error: unknown) => {
        this.#noteFailed(sequence)
        done(asError(error))
      },
    )
  }

  /**
   * Without this note the next start may refuse a directory that is intact. Even so, the caller gets the error of the
   * write, not that of the note.
   */
  #noteFailed(through: number): void {
    try {
      this.#watermark.noteFailed({ from: this.#heldTo, through })
    } catch {
      // There is nothing else to try.
    }
  }

  get quarantined(): string | undefined {
    return readQuarantine(this.dir)
  }
  quarantine(why: string): void {
    quarantine(this.dir, why)
  }

  compactDatabase(done: (error: Error | undefined) => void, isRoom = (): boolean => true): void {
    this.#compactPieces(isRoom).then(
      () => done(undefined),
      (error: unknown) => done(asError(error)),
    )
  }

  async #compactPieces(isRoom: () => boolean): Promise<void> {
    // No keys lie there. The call only writes the memtable to a table.
    await this.#db.compactRange(FIRST_KEY, FIRST_KEY)
    let after: Uint8Array = FIRST_KEY
    while (!this.#isClosed && isRoom()) {
      const piece = nextPiece(this.#db.getProperty('leveldb.sstables'), after, this.#pieceBytes)
      if (piece === undefined) return
      await this.#db.compactRange(...piece)
      after = piece[1]
    }
  }

  close(done: (error: Error | undefined) => void): void {
    this.#isClosed = true
    this.#watermark.close()
    this.#db.close().then(
      () => done(undefined),
      (error: unknown) => done(asError(error)),
    )
  }
}

/** The error code of an aborted iterator that met no other error. */
const ABORTED = 'LEVEL_ABORTED'

type Snapshot = ReturnType<Database['snapshot']>

function scan(db: Database, range: ScanRange): Scan {
  const { signal } = new AbortController()
  const snapshot = db.snapshot()
  const iterator = db.iterator({
    gte: range.gte,
    lt: range.lt,
    reverse: range.reverse,
    values: !range.keysOnly,
    // `level` makes an empty value for each key all the same. A Buffer takes a third of the time of the scan.
    valueEncoding: range.keysOnly ? 'utf8' : 'view',
    highWaterMarkBytes: SCAN_BYTES,
    fillCache: false,
    signal,
    snapshot: unguarded(snapshot),
  })
  // LevelDB's iterator keeps what it reads from the moment it is made, so it needs no snapshot. While a snapshot
  // exists, compactions keep older versions of keys, even in two tables of one level. If one of those is moved down
  // without the other, the newer version is lost (google/leveldb#320, not fixed in 1.20). `close` releases the snapshot
  // at once; it returns a promise only because all methods of `level` do.
  void snapshot.close()
  return {
    next: (pairsMax, done) => {
      iterator.nextv(pairsMax).then(
        (pairs) => done(undefined, pairs satisfies readonly Pair[], pairs.length === 0),
        (error: unknown) => done(asError(error), [], true),
      )
    },
    // LevelDB skips a table or a block that it cannot read, and the iterator reports that only when it ends. An abort
    // is an end. Only the event is sent: if the signal itself were aborted, `level` would not even call LevelDB.
    finish: (done) => {
      signal.dispatchEvent(new Event('abort'))
      iterator.nextv(1).then(
        () => done(undefined),
        (error: unknown) => done(hasErrorCode(error, ABORTED) ? undefined : asError(error)),
      )
      void iterator.close()
    },
    seek: (key) => iterator.seek(key),
    close: () => void iterator.close(),
  }
}

/**
 * Without a snapshot option `level` makes a snapshot for the iterator and keeps it. And it refuses to read on after the
 * given snapshot is closed.
 */
const unguarded = (snapshot: Snapshot): Snapshot =>
  Object.create(snapshot, { ref: { value: () => {} }, unref: { value: () => {} } })
