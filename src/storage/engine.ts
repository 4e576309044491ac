// The interface between the store and the ordered key-value set beneath it: LevelDB, or memory. Reads of one key are
// synchronous; scans and writes use callbacks. The store has at most one write in flight, because after a failed write
// LevelDB reports later ones as done and loses them.

export interface EngineBatch {
  put(key: Uint8Array, value: Uint8Array): void
  delete(key: Uint8Array): void
  readonly operations: number
  /** Frees a batch that will not be written. */
  abandon(): void
}

export interface ScanRange {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
  readonly reverse: boolean
  readonly keysOnly: boolean
}

/** Key and value. In a scan of keys the value is empty. */
export type Pair = readonly [key: Uint8Array, value: Uint8Array]

export interface Scan {
  /** Up to `pairsMax` pairs, fewer when they are large. `ended`: there are no more. One call at a time. */
  next(
    pairsMax: number,
    done: (error: Error | undefined, pairs: readonly Pair[], ended: boolean) => void,
  ): void
  /**
   * Ends the scan and reports whether the pairs were complete: LevelDB skips what it cannot read. Until then the pairs
   * must not be used, unless the scan has ended or failed by itself. Not while `next` is in flight.
   */
  finish(done: (error: Error | undefined) => void): void
  /**
   * Continues at `key`, before or after the current position. Not while `next` is in flight. In falling order it
   * continues with the pairs before `key`, which is the key of none.
   */
  seek(key: Uint8Array): void
  /** Ends the scan without that report. */
  close(): void
}

export interface Engine {
  /** The directory of its files, for messages; undefined: it has none. */
  readonly dir?: string | undefined
  get(key: Uint8Array): Uint8Array | undefined
  /** A scan of this instant. Later writes do not show in it. */
  scan(range: ScanRange): Scan
  /** All operations ever written: each put and each delete counts one. In LevelDB this is the sequence number. */
  readonly sequence: number
  /**
   * The last batch ends at this sequence number or later. It is below `sequence` only if a write has failed whose
   * operations LevelDB counted.
   */
  readonly heldTo: number
  /** `begun`: a batch to continue; unless given, an empty one. */
  batch(begun?: EngineBatch): EngineBatch
  /**
   * Writes the whole batch or nothing. The batch is durable when `done` is called without an error, which is always
   * after this call has returned.
   */
  write(batch: EngineBatch, done: (error: Error | undefined) => void): void
  /** The last reason given to `quarantine`, by this or an earlier process. */
  readonly quarantined: string | undefined
  /** Durable when it returns, also after an error and during a write. */
  quarantine(why: string): void
  /**
   * Frees the space of deleted and overwritten data. Needs some space until it ends. Reads and writes continue.
   * `isRoom` is called before each piece; if it returns false, the rest is not compacted.
   */
  compactDatabase(done: (error: Error | undefined) => void, isRoom?: () => boolean): void
  close(done: (error: Error | undefined) => void): void
}
