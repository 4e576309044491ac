// What the driver asks of durable storage. Completions are callbacks, so that the simulator can run the shipped driver
// synchronously.
//
// Three implementations pass one conformance suite: LevelDB, memory, and a fault-injecting wrapper. Besides types this
// folder takes only the frame layout (`entry.ts`) from src/raft.

import type { RowChange, RowFound } from '../kv/types.ts'
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

/** Who lives in this directory; the checksummed IDENTITY file. */
export interface Identity {
  /** 64 bits in decimal digits. */
  readonly clusterId: string
  readonly replicaId: ReplicaId
  readonly name: string
  /** On-disk format; another one is refused. */
  readonly formatVersion: number
}

/** The applied state as of one index: stored in the same batch as the rows that it describes. */
export interface AppliedRecord {
  readonly index: LogIndex
  readonly term: Term
  /** Encoded AppliedRaftState (src/raft). */
  readonly raft: Uint8Array
  /** Encoded KvState (src/kv). */
  readonly kv: Uint8Array
}

/**
 * How much one batch may hold of the log, and how much of rows, so that making it keeps nothing else waiting. One entry
 * may be larger, and the rows of one: these go by themselves.
 */
export interface BatchLimits {
  readonly batchBytesMax: number
  /** Entries and rows. */
  readonly batchItemsMax: number
}

/**
 * One atomic, synced batch: the core's writes in order, the hard state, and of the rows applied (`Storage.apply`)
 * before the call, in the order applied, as many as a batch may hold; none beyond the commit index of the hard state.
 */
export interface StorageBatch {
  /** As much as one batch may hold (`BatchLimits`, `costOf`). */
  readonly writes: readonly Write[]
  /** The newest that holds for the log as these writes leave it: what its commit index covers is there, and stays. */
  readonly hardState: HardState
  /** Drop whole packed log records that end at or below this index (never above what is durable as applied). */
  readonly compactTo: LogIndex | undefined
}

export type Done = (error: Error | undefined) => void

export interface Range {
  /** Inclusive lower bound, row key bytes. */
  readonly gte: Uint8Array
  /** Exclusive upper bound. */
  readonly lt: Uint8Array
  readonly reverse: boolean
}

export interface PageLimits {
  /** From 1. */
  readonly rowsMax: number
  /** Of keys and values. A page of a single row may be larger. */
  readonly bytesMax: number
}

export interface StoredRow {
  readonly key: Uint8Array
  readonly value: Uint8Array
}

/**
 * Reads the rows of a range in its order, page by page, as of the applied index at which it was opened; all that are
 * opened in one turn of the event loop show the same instant. Must be finished or closed, and soon: LevelDB keeps every
 * table that was live when it began, also those that compactions have replaced, as much again as all data at worst.
 */
export interface RowScan {
  readonly applied: AppliedRecord
  /** Hash of all rows at that index, as kept up by `apply`. */
  readonly stateHash: bigint
  /** The next page; `more`: rows of the range are left. One call at a time. `done` may be called before it returns. */
  next(limits: PageLimits, done: (error: Error | undefined, rows: StoredRow[], more: boolean) => void): void
  /** Goes on from `key`, back or ahead, in rising order only. Not while `next` is under way. */
  seek(key: Uint8Array): void
  /**
   * Ends the scan; no error: what it gave is all that there was. Before that, a page that is not the last may lack
   * rows.
   */
  finish(done: Done): void
  /** Gives it up. */
  close(): void
}

/** A snapshot being read out for a peer: the rows of one scan, cut into numbered chunks that carry their own CRC. */
export interface SnapshotSource {
  readonly id: string
  readonly meta: {
    readonly index: LogIndex
    readonly term: Term
    readonly applied: AppliedRecord
    readonly stateHash: bigint
  }
  /**
   * Chunk `number` (0, 1, 2, …; forward, or again from where a receiver resumes); undefined after the last one. One
   * call at a time.
   */
  read(number: number, done: (error: Error | undefined, chunk: Uint8Array | undefined) => void): void
  close(): void
}

/** A snapshot being received into a generation of its own, invisible until a `Write` names it. */
export interface SnapshotSink {
  /** Chunk expected next: above 0 when an interrupted transfer of the same id from the same sender goes on. */
  readonly nextChunk: number
  /** Refuses a chunk with a bad CRC or out of order. */
  write(number: number, chunk: Uint8Array, done: Done): void
  /** After the last chunk: durable, complete, its state hash equal to the sender's. */
  finish(done: Done): void
  abort(): void
}

/** Of one row (rows.ts). */
export interface RowHash {
  readonly mix: number
  readonly crc: number
}

/** Hears of every change of a row as it is applied. */
export interface RowWatcher {
  /** Hashes of the row; undefined: there is none. */
  changed(key: Uint8Array, before: RowHash | undefined, after: RowHash | undefined): void
  /** A snapshot has taken the place of all rows. */
  replaced(): void
}

export interface Storage {
  readonly identity: Identity
  /** Raised durably at this start. */
  readonly boot: number
  /** As recovered at open. */
  readonly hardState: HardState
  /** Newest applied record, durable or not yet. */
  readonly applied: AppliedRecord
  /** Incremental hash of all rows at `applied` (STORE-14). */
  readonly stateHash: bigint
  readonly log: LogReader

  readonly batchLimits: BatchLimits
  /**
   * Rows and record of the entries applied next: visible to reads and scans from now on, durable with the next batch or
   * a later one.
   */
  apply(changes: readonly RowChange[], record: AppliedRecord): void
  /** Whether something applied has not been submitted with any batch. */
  readonly dirty: boolean
  /** The newest batch did not hold all rows that were due: the next one is to be theirs, without writes. */
  readonly rowsLeft: boolean
  /** Rows up to here have been submitted. */
  readonly appliedSubmitted: LogIndex
  /**
   * Rows of replaced or abandoned generations are left. They go in slices, one with each batch; a driver with nothing
   * to write submits empty ones now and then while this is so.
   */
  readonly hasGarbage: boolean
  /** Submits one batch. At most one in flight: calling again before `done` throws. An error is final: the node ends. */
  write(batch: StorageBatch, done: Done): void

  /**
   * Gives back the room of what was deleted and overwritten, but for what scans keep, and takes some while it works.
   * Gives up the snapshot that is being received, or whose transfer broke off; its rows go with the next batches.
   * `isRoom` is asked now and then: without it the rest is left. An error is final.
   */
  compact(done: Done, isRoom?: () => boolean): void

  /** Newest row, read at once. */
  get(key: Uint8Array): Uint8Array | undefined
  /**
   * The same for an entry that may change the row. `headOnly`: the first ROW_HEAD_BYTES will do, which may come from
   * memory.
   */
  rowBefore(key: Uint8Array, headOnly: boolean): RowFound | undefined
  scan(range: Range): RowScan
  /** Neither finished nor closed, those of snapshots that are sent and of the scrub among them. */
  readonly openScans: number
  /**
   * Ends the scans that were open at the call before already, with a `ScanEndedError` for their readers: the disk needs
   * the room that they keep.
   */
  endOldScans(): void
  /** Returns what ends it. */
  watch(watcher: RowWatcher): () => void

  snapshotSource(): SnapshotSource
  snapshotSink(
    id: string,
    from: ReplicaId,
    meta: SnapshotSource['meta'],
    done: (error: Error | undefined, sink: SnapshotSink | undefined) => void,
  ): void

  /**
   * Tells of the first error of any kind at the moment when it is met, whoever asked for what failed: a page for a
   * client, a chunk of a snapshot. The node ends with it. One that was met before is told at once.
   */
  whenFailed(told: (error: Error) => void): void
  /**
   * No later start opens this directory: durable when it returns, after an error too. Throws when the mark cannot be
   * written. `why`: sentences.
   */
  quarantine(why: string): void
  /**
   * Waits for the write in flight and closes. After a failed write nothing more is submitted, `close` included: the
   * handle is abandoned.
   */
  close(done: Done): void
}

export type { Entry, HardState, LogReader, RowChange, RowFound, SnapshotMeta, Write }
