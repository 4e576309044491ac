// LevelDB as an engine. Every write is synced; its sequence number is counted along, for LevelDB does not tell it.

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
import { nextPiece, PIECE_BYTES } from './compaction.ts'
import type { Engine, EngineBatch, Pair, Scan, ScanRange } from './engine.ts'
import { asError, causeOf, hasCode } from './errors.ts'
import { isLockedInProcess } from './open-files.ts'
import { quarantine, quarantineOf } from './quarantine.ts'
import type { Extent } from './verify.ts'
import type { Watermark } from './watermark.ts'

const KiB = 1024
const MiB = 1024 * KiB

/** How LevelDB is opened; docs/reference/limits.md says what each costs. */
export interface LevelLimits {
  /** Size of a memtable and of the WAL behind it. There are up to two of each; both WALs are read at a start. */
  readonly writeBufferSize: number
  /** Tables are mapped: at most `maxFileSize` × `maxOpenFiles` bytes of them show in VmRSS. */
  readonly maxFileSize: number
  readonly maxOpenFiles: number
  /** Cache of blocks; blocks of mapped tables do not go through it. */
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

/** No key of the store is as small. */
const FIRST_KEY = Uint8Array.of(0)

/** On Node the package is LevelDB itself; its types name only what browsers have too. */
export type Database = Level<Uint8Array, Uint8Array> & {
  compactRange(start: Uint8Array, end: Uint8Array): Promise<void>
  getProperty(property: string): string
}

/** The code of errors when somebody has the directory open. */
export const LOCK_HELD = 'LEVEL_LOCKED'

/** Never creates a database: with CURRENT gone LevelDB would make a new one and delete every table. */
export async function openDatabase(dir: string, limits: LevelLimits): Promise<Database> {
  return opened(dir, { ...limits, createIfMissing: false, errorIfExists: false })
}

interface OpenMode {
  readonly createIfMissing: boolean
  readonly errorIfExists: boolean
}

export async function createDatabase(dir: string, limits: LevelLimits): Promise<Database> {
  return opened(dir, { ...limits, createIfMissing: true, errorIfExists: true })
}

/**
 * The databases that this thread has open, abandoned ones too. LevelDB looks only after it has opened LOCK once more,
 * and when it closes that again the system takes from this process the lock that keeps others out.
 */
const openHere = new Set<string>()

function lockOf(dir: string): Stats {
  const lock = join(dir, 'LOCK')
  if (!existsSync(lock)) closeSync(openSync(lock, 'a'))
  return statSync(lock)
}

async function opened(dir: string, options: LevelLimits & OpenMode): Promise<Database> {
  const lock = lockOf(dir)
  // No other file gets these while it is open. Of a directory they could be those of another one, made after it was
  // deleted.
  const place = `${lock.dev}:${lock.ino}`
  // Other threads have lists of their own.
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

/** Whether somebody has the lock of that directory, also where the system does not tell: another container, say. */
export async function isLocked(dir: string): Promise<boolean> {
  if (!existsSync(join(dir, 'LOCK'))) return false
  try {
    // Where there is no database LevelDB ends as soon as it has the lock.
    await withLock(dir, openDatabase, () => {})
    return false
  } catch (error) {
    return isLockHeld(error)
  }
}

/**
 * Runs `act` while nobody else can have the lock of that directory. Rejects where it cannot be had, for want of a place
 * to ask from too.
 */
export const whileLocked = (dir: string, act: () => void): Promise<void> => withLock(dir, createDatabase, act)

/** Changes nothing there: LevelDB takes the lock from a directory of its own, in which only LOCK is that one. */
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

/** That it stays is no reason to say anything else than what was found. */
function deleteQuietly(dir: string): void {
  try {
    rmSync(dir, { recursive: true, force: true })
  } catch {
    // It holds nothing that anybody needs.
  }
}

/**
 * LevelDB says the same of a file system that has no locks, as NFS without its lock daemon: there it is nobody else's.
 */
export const isLockHeld = (error: unknown): boolean =>
  hasCode(causeOf(error), LOCK_HELD) && !NO_LOCKS.test(causeOf(error).message)

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
}

export class LevelEngine implements Engine {
  readonly #db: Database
  readonly #dir: string
  readonly #watermark: Watermark
  readonly #pieceBytes: number
  #sequence: number
  #heldTo: number
  #isClosed = false

  /** `extent`: as verified before LevelDB was opened. `pieceBytes`: compacted at once. */
  constructor(db: Database, dir: string, watermark: Watermark, extent: Extent, pieceBytes = PIECE_BYTES) {
    const { sequence, heldTo } = extent
    this.#pieceBytes = pieceBytes
    this.#db = db
    this.#dir = dir
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

  batch(): LevelBatch {
    return new LevelBatch(this.#db)
  }

  write(batch: EngineBatch, done: (error: Error | undefined) => void): void {
    if (!(batch instanceof LevelBatch)) throw new TypeError('a batch of another engine')
    const sequence = this.#sequence + batch.operations
    batch.chained.write({ sync: true }).then(
      () => {
        // Before anything that depends on the batch can leave: `done` is what lets it.
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
   * Without the note the next start may have to refuse what is whole. That is no reason to say anything else than what
   * has failed.
   */
  #noteFailed(through: number): void {
    try {
      this.#watermark.noteFailed({ from: this.#heldTo, through })
    } catch {
      // The disk is as it is.
    }
  }

  get quarantined(): string | undefined {
    return quarantineOf(this.#dir)
  }
  quarantine(why: string): void {
    quarantine(this.#dir, why)
  }

  compact(done: (error: Error | undefined) => void, isRoom = (): boolean => true): void {
    this.#compactPieces(isRoom).then(
      () => done(undefined),
      (error: unknown) => done(asError(error)),
    )
  }

  async #compactPieces(isRoom: () => boolean): Promise<void> {
    // Nothing lies there: what is in memory becomes a table.
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

/** The code of errors when an iterator was told to abort, and had met no other error. */
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
    highWaterMarkBytes: SCAN_BYTES,
    fillCache: false,
    signal,
    snapshot: unguarded(snapshot),
  })
  // LevelDB's iterator holds what it reads by itself, from when it is made. And while there is a snapshot, compactions
  // keep older versions of keys, also in two tables of one level: moved down without the other, the newer one is lost
  // (google/leveldb#320, not mended in 1.20). Closing it releases it there and then; the promise is a form that all of
  // `level` follows.
  void snapshot.close()
  return {
    next: (pairsMax, done) => {
      iterator.nextv(pairsMax).then(
        (pairs) => done(undefined, pairs satisfies readonly Pair[], pairs.length === 0),
        (error: unknown) => done(asError(error), [], true),
      )
    },
    // A table that cannot be opened, or a block of it, is passed over, and the iterator tells of it only when it comes
    // to an end. To be aborted is an end. The event alone does that: of a signal that is aborted `level` would not even
    // ask LevelDB.
    finish: (done) => {
      signal.dispatchEvent(new Event('abort'))
      iterator.nextv(1).then(
        () => done(undefined),
        (error: unknown) => done(hasCode(error, ABORTED) ? undefined : asError(error)),
      )
      void iterator.close()
    },
    seek: (key) => iterator.seek(key),
    close: () => void iterator.close(),
  }
}

/**
 * Without an own one `level` would give the iterator a snapshot that stays; and it refuses to read on when the one that
 * it was given is closed.
 */
const unguarded = (snapshot: Snapshot): Snapshot =>
  Object.create(snapshot, { ref: { value: () => {} }, unref: { value: () => {} } })
