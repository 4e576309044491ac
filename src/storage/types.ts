// The interface between the driver and durable storage. Completions are callbacks, so that the simulator can run the
// shipped driver synchronously.
//
// Three implementations pass one conformance suite: LevelDB, memory, and a wrapper that injects faults. From src/raft
// this folder uses types and the frame layout (`entry.ts`) only.

import type {
  Entry,
  HardState,
  LogIndex,
  LogReader,
  ReplicaId,
  SnapshotMeta,
  Term,
  Write,
} from '../raft/types.ts'
import type { EmptyRanges } from './empty-ranges.ts'

/** The replica in this directory; the content of the checksummed IDENTITY file. */
export interface Identity {
  /** 64 bits as decimal digits. */
  readonly clusterId: string
  readonly replicaId: ReplicaId
  readonly name: string
  /** Version of the on-disk format; a directory with another one is refused. */
  readonly formatVersion: number
}

/** The applied state at one index. It is stored in the same batch as its rows. */
export interface AppliedRecord {
  readonly index: LogIndex
  readonly term: Term
  /** AppliedRaftState (src/raft), encoded. */
  readonly raft: Uint8Array
  /** KvState (src/kv), encoded. */
  readonly kv: Uint8Array
}

/** Room for entries or for rows. */
export interface Room {
  readonly bytes: number
  /** Number of rows or entries. */
  readonly items: number
}

/**
 * How much of the log and how many rows one batch may hold, so that making it does not delay other work. A single entry
 * may be larger, and so may the rows of one entry; they get a separate batch.
 */
export interface BatchLimits {
  readonly batchBytesMax: number
  /** Number of entries and of rows. */
  readonly batchItemsMax: number
}

/**
 * One atomic, synced batch: the core's writes in order, the hard state, and rows applied (`Storage.apply`) before the
 * call. It takes those rows in the order applied, as many as fit, and none beyond the commit index of the hard state.
 */
export interface StorageBatch {
  /** Writes that one batch may hold together (`BatchLimits`, `writeCost`). */
  readonly writes: readonly Write[]
  /**
   * The newest hard state that is valid for the log after these writes: the log has all entries that its commit index
   * covers, and they stay.
   */
  readonly hardState: HardState
  /** Drop whole packed log records that end at or below this index (never above the durable applied index). */
  readonly compactLogTo: LogIndex | undefined
}

export type WriteCallback = (error: Error | undefined) => void

export interface Range {
  /** Inclusive lower bound, row key bytes. */
  readonly gte: Uint8Array
  /** Exclusive upper bound. */
  readonly lt: Uint8Array
  readonly reverse: boolean
  /** The values of the rows are empty. They are not read, so the checksums of the rows are not checked. */
  readonly keysOnly?: boolean
  /** Rows of one request to the engine, at most. More of them keep the event loop longer, and cost less each. */
  readonly rowsPerRequest?: number | undefined
}

export interface PageLimits {
  /** At least 1. */
  readonly rowsMax: number
  /** Bytes of keys and values. A page of a single row may be larger. */
  readonly bytesMax: number
}

/** The hash of one row, as two signed integers of 32 bits: V8 keeps those in an object without further memory. */
export interface StoredRowHash {
  readonly mix: number
  readonly crc: number
}

export interface RowWrite {
  readonly key: Uint8Array
  /** undefined: delete the row. */
  readonly value: Uint8Array | undefined
  /** The bytes that follow `value`. It saves a copy of bytes that exist already. */
  readonly rest?: Uint8Array | undefined
  /** The row that is replaced, if the caller knows it; null: there is none. Required for rows that are written once. */
  readonly before?: StoredRowHash | null
}

/** A row as an entry reads it. If only its head was requested, it is valid until the next row is read or written. */
export interface RowRead extends StoredRowHash {
  /** The whole row, or its first bytes, if its head was requested. */
  readonly bytes: Uint8Array
  /** The length of the whole row. */
  readonly length: number
}

export interface StoredRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/**
 * Reads the rows of a range in its order, page by page, at the applied index at which it was opened. All scans opened
 * in one turn of the event loop show the same instant. A scan must be finished or closed soon: LevelDB keeps every
 * table that was live when it began, even tables that compactions have replaced. In the worst case that doubles the
 * space of the data.
 */
export interface RowScan {
  readonly applied: AppliedRecord
  /** Hash of all rows at that index, as `apply` maintains it. */
  readonly stateHash: bigint
  /** The next page. `more`: the range has more rows. One call at a time. `done` may be called before it returns. */
  next(limits: PageLimits, done: (error: Error | undefined, rows: StoredRow[], more: boolean) => void): void
  /**
   * Continues at `key`, before or after the current position. Not while `next` is in flight. The rows end before `lt`,
   * within the range; unless given, as before. In falling order it continues with the rows before `key`, which is the
   * key of no row, and `lt` must not be given.
   */
  seek(key: Uint8Array, lt?: Uint8Array): void
  /** Ends the scan. Without an error the rows were complete. Until then, a page that is not the last may lack rows. */
  finish(done: WriteCallback): void
  /** Ends the scan without that check. */
  close(): void
}

/** A snapshot that is read for a peer: the rows of one scan, cut into numbered chunks, each with a CRC. */
export interface SnapshotSource {
  readonly id: string
  readonly meta: {
    readonly index: LogIndex
    readonly term: Term
    readonly applied: AppliedRecord
    readonly stateHash: bigint
  }
  /**
   * Chunk `number` (0, 1, 2, …; the next one, or an earlier one from which a receiver resumes); undefined after the
   * last. One call at a time.
   */
  read(number: number, done: (error: Error | undefined, chunk: Uint8Array | undefined) => void): void
  close(): void
}

/** A snapshot that is received into a separate generation. It is invisible until a `Write` names it. */
export interface SnapshotSink {
  /** The next expected chunk: above 0 when an interrupted transfer of the same id from the same sender continues. */
  readonly nextChunk: number
  /** Refuses a chunk with a bad CRC or out of order. */
  write(number: number, chunk: Uint8Array, done: WriteCallback): void
  /** Called after the last chunk. Afterwards the snapshot is durable and complete, and its hash equals the sender's. */
  finish(done: WriteCallback): void
  abort(): void
}

/** Is notified of every change of a row when it is made, also by an entry that is applied in parts. */
export interface RowObserver {
  /** Hashes of the row before and after; undefined: the row does not exist. */
  changed(key: Uint8Array, before: StoredRowHash | undefined, after: StoredRowHash | undefined): void
  /** A snapshot has replaced all rows. */
  replaced(): void
}

export interface Storage {
  readonly identity: Identity
  /** Raised, and made durable, at this start. */
  readonly boot: number
  /** The state recovered when it was opened. */
  readonly hardState: HardState
  /** Newest applied record, durable or not yet. */
  readonly applied: AppliedRecord
  /** Incremental hash of all rows at `applied` (STORE-14). */
  readonly stateHash: bigint
  readonly log: LogReader

  readonly batchLimits: BatchLimits
  /**
   * An entry is applied by `begin`, any number of `rowBefore` and `change`, and `end`, without anything in between. Its
   * rows and its record are durable together, with the next batch or a later one. `index`: of the entry. `room`: about
   * the bytes and the number of rows that it will change.
   *
   * `inParts`: other calls may come in between. They see the store without this entry until `end`, or until a snapshot
   * has replaced the store. Before `end`, `prepare` is called until it returns false.
   */
  begin(index: LogIndex, room: Room, inParts?: boolean): void
  /**
   * Changes a row, and returns its hash. The change is visible to reads at once, and to scans that are opened later,
   * unless the entry is applied in parts.
   */
  change(change: RowWrite): StoredRowHash
  /** Puts rows of an entry that is applied in parts into its batch. Returns whether more of them are left. */
  prepare(rowsMax: number): boolean
  end(record: AppliedRecord): void
  /** The hash of all rows with the changes so far of an entry that is applied in parts; undefined: there is none. */
  readonly hashOfChanges: bigint | undefined
  /** Whether any applied rows have not been submitted with a batch. */
  readonly dirty: boolean
  /** Bytes of rows that are applied and not durable yet. They are in memory. */
  readonly overlayBytes: number
  /** Bytes of those that are in the batch in flight. */
  readonly rowBytesInFlight: number
  /** The newest batch did not hold all rows that were due. The next one is for them, without writes. */
  readonly rowsLeft: boolean
  /** Rows up to this index have been submitted. */
  readonly appliedSubmitted: LogIndex
  /**
   * Whether rows of replaced or abandoned generations are left. Each batch deletes a slice of them. While this is true,
   * a driver without other writes submits empty batches now and then.
   */
  readonly hasGarbage: boolean
  /** Submits one batch. At most one is in flight: a call before `done` throws. An error is final: the node ends. */
  write(batch: StorageBatch, done: WriteCallback): void

  /**
   * Frees the space of deleted and overwritten data, except for what open scans keep. Takes some time. Gives up the
   * snapshot that is being received, or whose transfer was interrupted; the next batches delete its rows. `isRoom` is
   * called now and then; if it returns false, the rest is not compacted. An error is final.
   */
  compactDatabase(done: WriteCallback, isRoom?: () => boolean): void

  /** The newest row, read at once. Not for the table of metadata. */
  get(key: Uint8Array): Uint8Array | undefined
  /**
   * The metadata of a user's key as it is now, from the table of metadata; 'absent': the key does not exist; undefined:
   * it is not in memory. The bytes are valid until the next call.
   */
  keyMetadata(key: Uint8Array): Uint8Array | 'absent' | undefined
  /** Whether the metadata of all keys is in memory. */
  readonly knowsAllKeyMetadata: boolean
  /** Whether the metadata is in memory. If so, it is there at least until the next entry has been applied. */
  keepKeyMetadata(key: Uint8Array): boolean
  /**
   * Remembers metadata that was made of the newest row of versions; undefined: there is none. No entry has been applied
   * since. It is there at least until the next entry has been applied.
   */
  putKeyMetadata(key: Uint8Array, metadata: Uint8Array | undefined): void
  /**
   * Reads a row for the entry that is being applied. `headOnly`: the first ROW_HEAD_BYTES are enough; they may come
   * from memory, and are then valid until the next call. Throws if metadata is requested that is not in memory.
   */
  rowBefore(key: Uint8Array, headOnly: boolean): RowRead | undefined
  scan(range: Range): RowScan
  /**
   * All rows in rising order, proven: the page that ends them has an error unless their sum is the state hash of that
   * instant. Its reader may go back, and not forward.
   */
  scanAll(): RowScan
  /**
   * A reader has found that rows contradict each other, or what memory knows of them. The storage fails. Returns its
   * first error. `what`: a sentence without its full stop.
   */
  damaged(what: string): Error
  /** All rows were read since they became the state, and were as they had been written. */
  readonly areRowsProven: boolean
  readonly emptyRanges: EmptyRanges
  /** Scans that are neither finished nor closed, including those of snapshots being sent and of the scrub. */
  readonly openScans: number
  /**
   * Ends the scans that were open at the previous call already. Their readers get a `ScanEndedError`. Called when the
   * disk needs the space that they keep.
   */
  endOldScans(): void
  /** Returns a function that ends the observation. */
  observe(observer: RowObserver): () => void

  snapshotSource(): SnapshotSource
  snapshotSink(
    id: string,
    from: ReplicaId,
    meta: SnapshotSource['meta'],
    done: (error: Error | undefined, sink: SnapshotSink | undefined) => void,
  ): void

  /**
   * Calls `listener` with the first error of any kind when it occurs, whichever call met it: a page for a client, a
   * chunk of a snapshot. The node ends with it. If an error has occurred before, `listener` is called at once.
   */
  whenFailed(listener: (error: Error) => void): void
  /**
   * Prevents every later start from opening this directory. Durable when it returns, also after an error. Throws when
   * the mark cannot be written. `why`: sentences.
   */
  quarantine(why: string): void
  /**
   * Waits for the write in flight and closes. After a failed write nothing more is submitted, not even by `close`: the
   * handle is abandoned.
   */
  close(done: WriteCallback): void
}

export type { Entry, HardState, LogReader, SnapshotMeta, Write }
