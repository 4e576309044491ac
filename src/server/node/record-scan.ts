// Records of keys, as they are now or were at a revision, read from the rows of one instant.
//
// Values are in the rows of versions. Those of keys that have not been changed since before cluster version 3 are in
// their rows of data, so both are read side by side while there are any.

import {
  compareKeys,
  dataKey,
  dataRange,
  decodeDataRow,
  decodeMetadata,
  hasHistory,
  inlineKeys,
  type KeyRange,
  type KeyRow,
  type KvState,
  keyAfter,
  LiveVersions,
  metadataKey,
  type Revision,
  readVersion,
  versionRange,
} from '../../kv/index.ts'
import type { Done, PageLimits, RowScan, Storage, StoredRow } from '../../storage/types.ts'

/** Rows that are read together at most where no record was found, however few are asked for. */
const READ_ROWS_MAX = 256

export interface SliceLimits extends PageLimits {
  /** Reads of rows, of which many may hold no item; undefined: as many as are needed. */
  readonly readsMax?: number
}

export interface ListOptions extends KeyRange {
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
  state: KvState,
  key: Uint8Array,
  done: (error: Error | undefined, record: KeyRow | undefined) => void,
): void {
  let found: KeyRow | undefined | 'unknown'
  try {
    found = recordOfHead(storage, state, key)
  } catch (error) {
    done(error instanceof Error ? error : new Error(String(error)), undefined)
    return
  }
  if (found === 'unknown') firstRecord(storage, state, key, done)
  else done(undefined, found)
}

/** 'unknown': the head of the key is not in memory. */
function recordOfHead(
  storage: Pick<Storage, 'get' | 'head'>,
  state: KvState,
  key: Uint8Array,
): KeyRow | undefined | 'unknown' {
  const get = (rowKey: Uint8Array): Uint8Array | undefined => storage.get(rowKey)
  const head = hasHistory(state) ? storage.head(metadataKey(key)) : 'absent'
  if (head !== 'absent' && head !== undefined)
    return readVersion(key, decodeMetadata(key, head).modRevision, get)
  const rowKey = dataKey(key)
  const row = inlineKeys(state) > 0 ? get(rowKey) : undefined
  if (row !== undefined) return decodeDataRow(rowKey, row)
  return head === 'absent' ? undefined : 'unknown'
}

function firstRecord(
  storage: Pick<Storage, 'scan'>,
  state: KvState,
  key: Uint8Array,
  done: (error: Error | undefined, record: KeyRow | undefined) => void,
): void {
  const options = { start: key, end: keyAfter(key), reverse: false, revision: undefined }
  const scan = scanRecords(storage, state, options)
  scan.next({ rowsMax: 1, bytesMax: 1 }, (error, [record]) => {
    if (error !== undefined) {
      scan.close()
      done(error, undefined)
    } else scan.finish((unread) => done(unread, unread === undefined ? record : undefined))
  })
}

export function scanRecords(
  storage: Pick<Storage, 'scan'>,
  state: KvState,
  options: Omit<ListOptions, 'keysOnly'>,
): RecordScan {
  const { reverse, revision } = options
  const scan = (range: { gte: Uint8Array; lt: Uint8Array }): RowScan => storage.scan({ ...range, reverse })
  const data = (): Stream => new Stream(scan(dataRange(options)), new DataRows(revision))
  if (!hasHistory(state)) return new RecordScan([data()], reverse)
  const versions = new Stream(scan(versionRange(options)), new LiveVersions(revision, reverse))
  return new RecordScan(inlineKeys(state) === 0 ? [versions] : [versions, data()], reverse)
}

/** As a scan of rows: `next` one call at a time, then `finish` or `close`. */
export class RecordScan {
  readonly #streams: readonly Stream[]
  readonly #reverse: boolean
  #limits: SliceLimits = { rowsMax: 0, bytesMax: 0 }
  #reads = 0
  #done: PageOfRecords = () => {}
  #records: KeyRow[] = []
  #bytes = 0
  /** Scans may answer before their call returns. */
  #isRunning = false
  #goesOn = false

  constructor(streams: readonly Stream[], reverse: boolean) {
    this.#streams = streams
    this.#reverse = reverse
  }

  /**
   * The next page: at least one record, unless there is none. `more`: the range has more of them. With `readsMax` the
   * page may end with fewer records, even without one; then `more` is undefined: it is not known.
   */
  next(limits: SliceLimits, done: PageOfRecords): void {
    this.#limits = limits
    this.#done = done
    this.#records = []
    this.#bytes = 0
    this.#reads = 0
    this.#run()
  }

  finish(done: Done): void {
    const [first, ...others] = this.#streams
    if (first === undefined) {
      done(undefined)
      return
    }
    first.scan.finish((error) => {
      if (error !== undefined) {
        this.close()
        done(error)
      } else new RecordScan(others, this.#reverse).finish(done)
    })
  }

  close(): void {
    for (const { scan } of this.#streams) scan.close()
  }

  #run(): void {
    this.#goesOn = true
    if (this.#isRunning) return
    this.#isRunning = true
    while (this.#goesOn) {
      this.#goesOn = false
      this.#step()
    }
    this.#isRunning = false
  }

  /** Every stream must know its next record before the first of them can be told. */
  #step(): void {
    const empty = this.#streams.find((stream) => stream.needsRows)
    if (empty !== undefined) {
      const { readsMax } = this.#limits
      if (readsMax !== undefined && this.#reads >= readsMax) {
        this.#end(undefined)
        return
      }
      this.#reads++
      empty.read(this.#limits, (error) => {
        if (error !== undefined) this.#end(error)
        else this.#run()
      })
      return
    }
    const { rowsMax, bytesMax } = this.#limits
    while (this.#records.length < rowsMax && this.#bytes < bytesMax) {
      const stream = this.#first()
      if (stream === undefined) break
      const record = stream.take()
      this.#records.push(record)
      this.#bytes += record.key.length + record.value.length
      if (stream.needsRows) {
        this.#goesOn = true
        return
      }
    }
    this.#end(undefined)
  }

  #end(error: Error | undefined): void {
    const isKnown = this.#first() !== undefined || !this.#streams.some(({ needsRows }) => needsRows)
    const more = isKnown ? this.#first() !== undefined : undefined
    this.#done(error, this.#records, error === undefined && more)
  }

  /** The stream with the first record. */
  #first(): Stream | undefined {
    let first: Stream | undefined
    for (const stream of this.#streams) {
      if (stream.next === undefined) continue
      const order = first?.next === undefined ? -1 : compareKeys(stream.next.key, first.next.key)
      if (this.#reverse && first !== undefined ? order > 0 : order < 0) first = stream
    }
    return first
  }
}

/** Makes records of rows. */
interface RowsToRecords {
  take(rowKey: Uint8Array, row: Uint8Array): KeyRow | undefined
  /** After the last row. */
  end(): KeyRow | undefined
  /** Where to go on reading, if there is a better place than the next row. */
  takeJump(): Uint8Array | undefined
}

/** Rows that are read, and the records that they hold. */
class Stream {
  readonly scan: RowScan
  readonly #form: RowsToRecords
  #records: KeyRow[] = []
  #at = 0
  #isRead = false
  /** How many rows are read next at least: more and more, as long as they hold no record. */
  #rowsMin = 1

  constructor(scan: RowScan, form: RowsToRecords) {
    this.scan = scan
    this.#form = form
  }

  get next(): KeyRow | undefined {
    return this.#records[this.#at]
  }

  get needsRows(): boolean {
    return this.next === undefined && !this.#isRead
  }

  /** The record that `next` has shown. */
  take(): KeyRow {
    const record = this.next
    if (record === undefined) throw new RangeError('no record is left')
    this.#at++
    return record
  }

  read(limits: PageLimits, done: (error: Error | undefined) => void): void {
    const rowsMax = Math.max(limits.rowsMax, this.#rowsMin)
    this.scan.next({ ...limits, rowsMax }, (error, rows, more) => {
      if (error !== undefined) return done(error)
      this.#records = this.#recordsOf(rows)
      this.#at = 0
      this.#rowsMin = this.#records.length > 0 ? 1 : Math.min(2 * rowsMax, READ_ROWS_MAX)
      const jump = more ? this.#form.takeJump() : undefined
      if (jump !== undefined) this.scan.seek(jump)
      if (!more) {
        const last = this.#form.end()
        if (last !== undefined) this.#records.push(last)
        this.#isRead = true
      }
      done(undefined)
    })
  }

  #recordsOf(rows: readonly StoredRow[]): KeyRow[] {
    const records: KeyRow[] = []
    for (const { key, value } of rows) {
      const record = this.#form.take(key, value)
      if (record !== undefined) records.push(record)
    }
    return records
  }
}

/** Rows of data. */
class DataRows implements RowsToRecords {
  /** undefined: as they are now. */
  readonly #at: Revision | undefined

  constructor(at: Revision | undefined) {
    this.#at = at
  }

  take(rowKey: Uint8Array, row: Uint8Array): KeyRow | undefined {
    const record = decodeDataRow(rowKey, row)
    return this.#at === undefined || record.modRevision <= this.#at ? record : undefined
  }

  end(): undefined {
    return undefined
  }

  takeJump(): undefined {
    return undefined
  }
}
