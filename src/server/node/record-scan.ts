// Records of keys, as they are now or were at a revision, read from the rows of versions at one instant.

import {
  decodeMetadata,
  type KeyRange,
  type KeyRow,
  keyAfter,
  LiveVersions,
  metadataKey,
  type Revision,
  readVersion,
  versionRange,
} from '../../kv/index.ts'
import type { PageLimits, RowScan, Storage, StoredRow, WriteCallback } from '../../storage/types.ts'

/** Limit on the rows of one read that finds no record. Each such read doubles the number, however few are requested. */
const READ_ROWS_MAX = 256

export interface SliceLimits extends PageLimits {
  /** Reads of rows, of which many may hold no item; undefined: as many as are needed. */
  readonly readsMax?: number
}

export interface RecordScanOptions extends KeyRange {
  readonly reverse: boolean
  /** undefined: as the store is now. */
  readonly revision: Revision | undefined
  /** No values are needed. */
  readonly keysOnly: boolean
}

type PageOfRecords = (error: Error | undefined, records: readonly KeyRow[], more: boolean | undefined) => void

/** A key as it is now. It throws nothing. `done` may be called before this returns. */
export function getRecord(
  storage: Pick<Storage, 'get' | 'head' | 'scan'>,
  key: Uint8Array,
  done: (error: Error | undefined, record: KeyRow | undefined) => void,
): void {
  let found: KeyRow | undefined | 'unknown'
  try {
    found = recordInMemory(storage, key)
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)), undefined)
    return
  }
  if (found === 'unknown') firstRecord(storage, key, done)
  else done(undefined, found)
}

/** 'unknown': the metadata of the key is not in memory. */
function recordInMemory(
  storage: Pick<Storage, 'get' | 'head'>,
  key: Uint8Array,
): KeyRow | undefined | 'unknown' {
  const head = storage.head(metadataKey(key))
  if (head === undefined) return 'unknown'
  if (head === 'absent') return undefined
  return readVersion(key, decodeMetadata(key, head).modRevision, (rowKey) => storage.get(rowKey))
}

function firstRecord(
  storage: Pick<Storage, 'scan'>,
  key: Uint8Array,
  done: (error: Error | undefined, record: KeyRow | undefined) => void,
): void {
  const options = { start: key, end: keyAfter(key), reverse: false, revision: undefined }
  const scan = scanRecords(storage, options)
  scan.next({ rowsMax: 1, bytesMax: 1 }, (error, [record]) => {
    if (error !== undefined) {
      scan.close()
      done(error, undefined)
    } else scan.finish((unread) => done(unread, unread === undefined ? record : undefined))
  })
}

export function scanRecords(
  storage: Pick<Storage, 'scan'>,
  options: Omit<RecordScanOptions, 'keysOnly'>,
): RecordScan {
  const { reverse, revision } = options
  return new RecordScan(
    storage.scan({ ...versionRange(options), reverse }),
    () => new LiveVersions(revision, reverse),
  )
}

/** Makes records of rows. Like a scan of rows: `next` one call at a time, then `finish` or `close`. */
export class RecordScan {
  readonly #scan: RowScan
  readonly #newLive: () => LiveVersions
  #live: LiveVersions
  /** Records that were read. Those before `#at` have been returned. */
  #read: KeyRow[] = []
  #at = 0
  #isComplete = false
  /** The number of rows to read next at least: it doubles as long as they hold no record. */
  #rowsMin = 1
  #limits: SliceLimits = { rowsMax: 0, bytesMax: 0 }
  #reads = 0
  #done: PageOfRecords = () => {}
  #page: KeyRow[] = []
  #bytes = 0
  /** A scan may call back before its `next` returns. The loop of `#run` keeps the stack flat then. */
  #isRunning = false
  #mustRun = false

  constructor(scan: RowScan, newLive: () => LiveVersions) {
    this.#scan = scan
    this.#newLive = newLive
    this.#live = newLive()
  }

  /** Continues with another range, before or after the current position, within that of the scan, in rising order. */
  moveTo(range: KeyRange): void {
    const { gte, lt } = versionRange(range)
    this.#scan.seek(gte, lt)
    this.#live = this.#newLive()
    this.#read = []
    this.#at = 0
    this.#isComplete = false
    this.#rowsMin = 1
  }

  /**
   * The next page: at least one record, unless there is none. `more`: the range has more of them. With `readsMax` the
   * page may end with fewer records, even without one; then `more` is undefined: it is not known.
   */
  next(limits: SliceLimits, done: PageOfRecords): void {
    this.#limits = limits
    this.#done = done
    this.#page = []
    this.#bytes = 0
    this.#reads = 0
    this.#run()
  }

  finish(done: WriteCallback): void {
    this.#scan.finish((error) => {
      if (error !== undefined) this.close()
      done(error)
    })
  }

  close(): void {
    this.#scan.close()
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

  get #first(): KeyRow | undefined {
    return this.#read[this.#at]
  }

  #step(): void {
    const { rowsMax, bytesMax, readsMax } = this.#limits
    let record = this.#first
    while (record !== undefined && this.#page.length < rowsMax && this.#bytes < bytesMax) {
      this.#page.push(record)
      this.#bytes += record.key.length + record.value.length
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

  #readRows(): void {
    const rowsMax = Math.max(this.#limits.rowsMax, this.#rowsMin)
    this.#reads++
    this.#scan.next({ ...this.#limits, rowsMax }, (error, rows, more) => {
      if (error !== undefined) {
        this.#end(error, false)
        return
      }
      this.#read = this.#recordsIn(rows)
      this.#at = 0
      this.#rowsMin = this.#read.length > 0 ? 1 : Math.min(2 * rowsMax, READ_ROWS_MAX)
      const jump = more ? this.#live.takeJump() : undefined
      if (jump !== undefined) this.#scan.seek(jump)
      if (!more) {
        const last = this.#live.end()
        if (last !== undefined) this.#read.push(last)
        this.#isComplete = true
      }
      this.#run()
    })
  }

  #recordsIn(rows: readonly StoredRow[]): KeyRow[] {
    const records: KeyRow[] = []
    for (const { key, value } of rows) {
      const record = this.#live.take(key, value)
      if (record !== undefined) records.push(record)
    }
    return records
  }
}
