// Records of keys, as they are now or were at a revision, read from the rows of versions at one instant.

import {
  decodeMetadata,
  decodeState,
  decodeVersion,
  LiveVersions,
  MalformedBytesError,
  MissingRowError,
  metadataKey,
  modRevisionOf,
  ROWS_TO_SKIP,
  readVersion,
  type VersionName,
  versionRange,
  versionsStart,
} from '../../../kv/index.ts'
import { type KeyRange, type KeyRow, keyAfter, type Revision } from '../../../operations/forms/index.ts'
import { type EmptyRange, type EmptyRanges, noEmptyRanges } from '../../../storage/empty-ranges.ts'
import type { PageLimits, RowScan, Storage, StoredRow, WriteCallback } from '../../../storage/types.ts'
import { asError } from '../../../system/errors.ts'

/** Limit on the rows of one read that finds no record. Each such read doubles the number, however few are requested. */
const READ_ROWS_MAX = 256
/**
 * Limit on the rows of a read where the scan is likely to jump: the record of a key, and enough of its older versions
 * to jump over the others. Each read that does not end with a jump doubles the number.
 */
const JUMP_ROWS = ROWS_TO_SKIP + 2
/** A jump takes about as long as reading so many rows. */
const ROWS_PER_JUMP = 16
/** Another read takes about as long as reading so many rows more. */
const ROWS_PER_READ = 16

export interface SliceLimits extends PageLimits {
  /** Reads of rows, of which many may hold no item; undefined: as many as are needed. */
  readonly readsMax?: number
}

/** Rows of one instant. `next`: one call at a time; then `finish` or `close`. */
export interface SlicedScan<T> {
  /**
   * Reads the next page: at least one item, unless there is none. `more`: whether there are more items. With
   * `readsMax` the page may end with fewer items, even without one; then `more` is undefined, which means unknown.
   */
  next(
    limits: SliceLimits,
    done: (error: Error | undefined, items: readonly T[], more: boolean | undefined) => void,
  ): void
  /** Ends the scan. `done` without an error: the items were complete. */
  finish(done: WriteCallback): void
  close(): void
}

export interface RecordScanOptions extends KeyRange {
  readonly reverse: boolean
  /** undefined: as the store is now. */
  readonly revision: Revision | undefined
  /** As that of a scan of rows. */
  readonly rowsPerRequest?: number | undefined
}

type PageOf<T> = (error: Error | undefined, items: readonly T[], more: boolean | undefined) => void

/** A key as it is now. It throws nothing. `done` may be called before this returns. */
export function getRecord(
  storage: Pick<Storage, 'get'> & ScannedStorage,
  key: Uint8Array,
  done: (error: Error | undefined, record: KeyRow | undefined) => void,
): void {
  let found: KeyRow | undefined | 'unknown'
  try {
    found = recordInMemory(storage, key)
  } catch (error) {
    done(asDamage(storage, error), undefined)
    return
  }
  if (found === 'unknown') firstRecord(storage, key, done)
  else done(undefined, found)
}

/** 'unknown': the metadata of the key is not in memory. */
function recordInMemory(
  storage: Pick<Storage, 'get' | 'keyMetadata'>,
  key: Uint8Array,
): KeyRow | undefined | 'unknown' {
  const metadata = storage.keyMetadata(metadataKey(key))
  if (metadata === undefined) return 'unknown'
  if (metadata === 'absent') return undefined
  return readVersion(key, decodeMetadata(key, metadata).modRevision, (rowKey) => storage.get(rowKey))
}

function firstRecord(
  storage: ScannedStorage,
  key: Uint8Array,
  done: (error: Error | undefined, record: KeyRow | undefined) => void,
): void {
  const options = { start: key, end: keyAfter(key), reverse: false, revision: undefined }
  const scan = new RecordScan(storage, options)
  scan.next({ rowsMax: 1, bytesMax: 1 }, (error, [record]) => {
    if (error !== undefined) {
      scan.close()
      done(error, undefined)
    } else scan.finish((unread) => done(unread, unread === undefined ? record : undefined))
  })
}

/** The methods of a storage that scans of records use. */
export type ScannedStorage = Pick<Storage, 'applied' | 'damaged' | 'emptyRanges' | 'keyMetadata' | 'scan'>

/** Rows that cannot be decoded, or are missing, end the storage. */
const asDamage = (storage: Pick<Storage, 'damaged'>, thrown: unknown): Error =>
  thrown instanceof MalformedBytesError || thrown instanceof MissingRowError
    ? storage.damaged(thrown.message)
    : asError(thrown)

/** Kind of items that a scan makes of the rows of versions of keys that exist. */
interface ScanContent<T> {
  readonly keysOnly: boolean
  /** Returns null for a deletion. */
  readonly decode: (version: VersionName, row: Uint8Array) => T | null
  readonly itemBytes: (item: T) => number
  /** Whether it is certain that this key, whose newest row is a deletion, does not exist. */
  readonly isCertainlyDeleted: (key: Uint8Array) => boolean
}

const revisionOf = (item: KeyRow | VersionName): Revision =>
  'modRevision' in item ? item.modRevision : item.revision

const WHOLE_RECORDS: ScanContent<KeyRow> = {
  keysOnly: false,
  decode: decodeVersion,
  itemBytes: ({ key, value }) => key.length + value.length,
  // The row was read, and its checksum holds.
  isCertainlyDeleted: () => true,
}

/** Makes items of rows. Like a scan of rows: `next` one call at a time, then `finish` or `close`. */
class VersionScan<T extends KeyRow | VersionName> {
  readonly #content: ScanContent<T>
  readonly #storage: ScannedStorage
  readonly #scan: RowScan
  readonly #reverse: boolean
  #revision: Revision | undefined
  #newest: Revision | undefined
  readonly #newLive: () => LiveVersions<T>
  #live: LiveVersions<T>
  /** None for a scan of history. */
  readonly #emptyRanges: EmptyRanges
  /** The deleted keys since the last record. */
  #deleted: DeletedKeys | undefined
  /** The ranges of such keys before. They are known to be complete when the scan has ended. */
  readonly #emptied: EmptyRange[] = []
  /** Items that were read. Those before `#at` have been returned. */
  #read: T[] = []
  #at = 0
  #isComplete = false
  /** The number of rows to read next at least: it doubles as long as they hold no record. */
  #rowsMin = 1
  /** Rows for each record, in the last read that found one. */
  #rowsPerRecord = 1
  /** The number of rows to read next at most. */
  #rowsMax = Number.POSITIVE_INFINITY
  #limits: SliceLimits = { rowsMax: 0, bytesMax: 0 }
  #reads = 0
  #isReading = false
  /** Whether the scan has failed, or was finished or closed. */
  #isOver = false
  #done: PageOf<T> = () => {}
  #page: T[] = []
  #bytes = 0
  /** A scan may call back before its `next` returns. The loop of `#run` keeps the stack flat then. */
  #isRunning = false
  #mustRun = false

  constructor(storage: ScannedStorage, options: RecordScanOptions, content: ScanContent<T>) {
    const { reverse, revision, rowsPerRequest } = options
    const { keysOnly, decode } = content
    this.#content = content
    this.#storage = storage
    this.#scan = storage.scan({ ...versionRange(options), reverse, keysOnly, rowsPerRequest })
    this.#reverse = reverse
    this.#revision = revision
    this.#newLive = () => new LiveVersions(this.#revision, reverse, decode)
    this.#live = this.#newLive()
    this.#emptyRanges = revision === undefined ? storage.emptyRanges : noEmptyRanges
    this.#begin(options)
  }

  /**
   * Continues with another range, before or after the current position, within that of the scan. In falling order, that
   * range begins as the scan's. A scan of history may continue at another revision.
   */
  moveTo(range: KeyRange, revision?: Revision): void {
    if (revision !== undefined) {
      this.#revision = revision
      this.#newest = revision
    }
    const { gte, lt } = versionRange(range)
    if (this.#reverse) this.#scan.seek(lt)
    else this.#scan.seek(gte, lt)
    this.#live = this.#newLive()
    this.#read = []
    this.#at = 0
    this.#isComplete = false
    this.#endDeleted()
    this.#begin(range)
  }

  #begin({ start, end }: KeyRange): void {
    this.#rowsMin = 1
    this.#rowsMax = this.#emptyRanges.overlaps(start, end) ? JUMP_ROWS : Number.POSITIVE_INFINITY
  }

  /**
   * The next page: at least one item, unless there is none. `more`: the range has more of them. With `readsMax` the
   * page may end with fewer items, even without one; then `more` is undefined: it is not known.
   */
  next(limits: SliceLimits, done: PageOf<T>): void {
    this.#limits = limits
    this.#done = done
    this.#page = []
    this.#bytes = 0
    this.#reads = 0
    this.#run()
  }

  finish(done: WriteCallback): void {
    this.#isOver = true
    this.#dropRead()
    this.#endDeleted()
    this.#scan.finish((error) => {
      if (error !== undefined) this.close()
      else this.#emptyRanges.add(this.#emptied, this.#scan.applied.index)
      done(error)
    })
  }

  close(): void {
    const isOver = this.#isOver || this.#isReading
    this.#isOver = true
    this.#dropRead()
    this.#endDeleted()
    // A reader whose time is over tries again. It makes progress if the ranges are known then.
    if (this.#emptied.length > 0 && !isOver) this.finish(() => {})
    else this.#scan.close()
  }

  /** Releases the items: a dead object in the old space of V8 may keep the scan until a full collection. */
  #dropRead(): void {
    this.#read = []
    this.#at = 0
    this.#page = []
  }

  #run(): void {
    this.#mustRun = true
    if (this.#isRunning) return
    this.#isRunning = true
    while (this.#mustRun) {
      this.#mustRun = false
      this.#step()
    }
    this.#isRunning = false
  }

  get #first(): T | undefined {
    return this.#read[this.#at]
  }

  #step(): void {
    const { rowsMax, bytesMax, readsMax } = this.#limits
    let record = this.#first
    while (record !== undefined && this.#page.length < rowsMax && this.#bytes < bytesMax) {
      this.#page.push(record)
      this.#bytes += this.#content.itemBytes(record)
      this.#at++
      record = this.#first
    }
    // One record more than the page shows whether there are more.
    if (record !== undefined || this.#isComplete) this.#end(undefined, record !== undefined)
    else if (readsMax !== undefined && this.#reads >= readsMax) this.#end(undefined, undefined)
    else this.#readRows()
  }

  #end(error: Error | undefined, more: boolean | undefined): void {
    this.#done(error, this.#page, more)
  }

  /** As few rows as the page is likely to need: those behind it are read for nothing when the reader has enough. */
  #rowsToRead(): number {
    const { rowsMax } = this.#limits
    // One record more than the page shows whether there are more.
    const records = rowsMax + 1 - this.#page.length
    const wanted = Math.min(Math.ceil(records * this.#rowsPerRecord), rowsMax + 1)
    return Math.max(wanted, this.#rowsMin, this.#reads === 0 ? 1 : ROWS_PER_READ)
  }

  #readRows(): void {
    const rowsMax = Math.min(this.#rowsMax, this.#rowsToRead())
    this.#reads++
    this.#isReading = true
    this.#scan.next({ ...this.#limits, rowsMax }, (error, rows, more) => {
      this.#isReading = false
      if (error !== undefined) {
        this.#isOver = true
        this.#end(error, false)
        return
      }
      try {
        this.#read = this.#decodeRecords(rows)
        if (!more) this.#take(this.#live.end(), this.#read)
      } catch (thrown) {
        // Damage of a key: what a scan of keys reads has not been checked.
        this.#isOver = true
        this.#end(asDamage(this.#storage, thrown), false)
        return
      }
      this.#at = 0
      if (this.#read.length > 0) this.#rowsPerRecord = Math.max(1, rows.length / this.#read.length)
      this.#rowsMin = this.#read.length > 0 ? 1 : Math.min(2 * rowsMax, READ_ROWS_MAX)
      const hasJumped = more && this.#jump()
      this.#rowsMax = hasJumped ? JUMP_ROWS : 2 * this.#rowsMax
      if (!more) this.#isComplete = true
      this.#run()
    })
  }

  #decodeRecords(rows: readonly StoredRow[]): T[] {
    const records: T[] = []
    for (const { key, value } of rows) this.#take(this.#live.take(key, value), records)
    return records
  }

  /** `record`: the one that the last row has decided. */
  #take(record: T | undefined, records: T[]): void {
    const { deletedKey } = this.#live
    if (record !== undefined) this.#compare(record.key, revisionOf(record))
    else if (deletedKey !== undefined) this.#compare(deletedKey, undefined)
    if (record !== undefined) {
      records.push(record)
      this.#endDeleted()
    } else if (deletedKey !== undefined && !this.#content.isCertainlyDeleted(deletedKey)) this.#endDeleted()
    else if (deletedKey !== undefined) {
      this.#deleted ??= new DeletedKeys(this.#reverse)
      this.#deleted.addKey(deletedKey, this.#live.deletedRows)
    }
  }

  /**
   * Throws unless memory knows the same version of a key, or one that is newer than the state of this scan. `revision`
   * undefined: the key is deleted there.
   */
  #compare(key: Uint8Array, revision: Revision | undefined): void {
    const known = this.#storage.keyMetadata(metadataKey(key))
    if (known === undefined) return
    if (known === 'absent') {
      // The key may have been deleted since.
      if (revision === undefined || this.#revision !== undefined || !this.#isNewest) return
      throw new MissingRowError(`the deletion of a key has no row, and its version ${revision} has one`)
    }
    const newest = modRevisionOf(known)
    if (newest !== revision && newest <= this.#upTo)
      throw new MissingRowError(`version ${newest} of a key has no row`)
  }

  /** Whether nothing was applied since the scan began. */
  get #isNewest(): boolean {
    return this.#storage.applied.index === this.#scan.applied.index
  }

  /** The newest revision that the scan may show. */
  get #upTo(): Revision {
    this.#newest ??= this.#revision ?? decodeState(this.#scan.applied.kv).revision
    return this.#newest
  }

  #endDeleted(): void {
    const deleted = this.#deleted
    this.#deleted = undefined
    const { max, rowsMin } = this.#emptyRanges
    const isWorthwhile = deleted !== undefined && deleted.rows >= rowsMin
    if (isWorthwhile && this.#emptied.length < max) this.#emptied.push(deleted.range)
  }

  /** Continues behind rows that hold no record, if there are some. Returns whether it does. */
  #jump(): boolean {
    const key = this.#live.lastKey
    const known = key && this.#emptyRanges.at(key, this.#scan.applied.index)
    const jump = this.#live.takeJump()
    if (known === undefined) {
      if (jump !== undefined) this.#scan.seek(jump)
      return jump !== undefined
    }
    this.#deleted ??= new DeletedKeys(this.#reverse)
    this.#deleted.addRange(known)
    this.#live = this.#newLive()
    this.#scan.seek(versionsStart(this.#reverse ? known.start : known.end))
    return true
  }
}

/** The records of a range, with their values. */
export class RecordScan extends VersionScan<KeyRow> {
  constructor(storage: ScannedStorage, options: RecordScanOptions) {
    super(storage, options, WHOLE_RECORDS)
  }
}

/**
 * The keys of a range, and the revisions of their versions. No value is read, so the checksums of the rows are not
 * checked.
 */
export class KeyScan extends VersionScan<VersionName> {
  /** A damaged row must not hide a key from other scans: a deletion counts if memory says the same. */
  constructor(storage: ScannedStorage, options: RecordScanOptions) {
    super(storage, options, {
      keysOnly: true,
      decode: (version) => (version.isTombstone ? null : version),
      itemBytes: ({ key }) => key.length,
      isCertainlyDeleted: (key) => storage.keyMetadata(metadataKey(key)) === 'absent',
    })
  }
}

/** Keys that do not exist, one after the other in the order of a scan: no key between them exists. */
class DeletedKeys {
  readonly #reverse: boolean
  /** The range in which they are, without its end in the direction of the scan. */
  #start: Uint8Array | undefined
  #end: Uint8Array | undefined
  /** The last key, unless a range has followed it. */
  #last: Uint8Array | undefined
  /** The number of rows that were read, and what the jumps have cost. */
  rows = 0

  constructor(reverse: boolean) {
    this.#reverse = reverse
  }

  addKey(key: Uint8Array, rows: number): void {
    if (this.#reverse) {
      this.#end ??= keyAfter(key)
      this.#start = key
    } else {
      this.#start ??= key
      this.#last = key
    }
    this.rows += rows
  }

  /** A range that was passed over. It begins at the last key or behind it. */
  addRange({ start, end }: EmptyRange): void {
    if (this.#reverse) {
      this.#end ??= end
      this.#start = start
    } else {
      this.#start ??= start
      this.#end = end
      this.#last = undefined
    }
    this.rows += ROWS_PER_JUMP
  }

  get range(): EmptyRange {
    const end = this.#last === undefined ? this.#end : keyAfter(this.#last)
    if (this.#start === undefined || end === undefined) throw new Error('no key was passed')
    return { start: this.#start, end }
  }
}
