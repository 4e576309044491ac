// What the store asks of the ordered set of bytes beneath it: LevelDB, or memory. Reads of one key are synchronous,
// scans and writes call back. The store never has more than one write in flight: behind a write that failed, LevelDB
// reports later ones as done and loses them.

export interface EngineBatch {
  put(key: Uint8Array, value: Uint8Array): void
  delete(key: Uint8Array): void
  readonly operations: number
}

export interface ScanRange {
  readonly gte: Uint8Array
  readonly lt: Uint8Array
  readonly reverse: boolean
  readonly keysOnly: boolean
}

/** Key and value; the value is empty in a scan of keys. */
export type Pair = readonly [key: Uint8Array, value: Uint8Array]

export interface Scan {
  /** Up to `pairsMax` pairs, fewer when they are large; `ended`: there are no more. One call at a time. */
  next(
    pairsMax: number,
    done: (error: Error | undefined, pairs: readonly Pair[], ended: boolean) => void,
  ): void
  /**
   * Ends the scan, and tells whether what it gave is all that there was: LevelDB passes over what it cannot read.
   * Nothing counts before that, unless the scan has ended or failed by itself. Not while `next` is under way.
   */
  finish(done: (error: Error | undefined) => void): void
  /** Goes on from `key`, back or ahead, in rising order only. Not while `next` is under way. */
  seek(key: Uint8Array): void
  /** Gives it up. */
  close(): void
}

export interface Engine {
  get(key: Uint8Array): Uint8Array | undefined
  /** Of this instant, whatever is written while it reads. */
  scan(range: ScanRange): Scan
  /** Operations ever written, each put and delete counting one. In LevelDB this is its sequence number. */
  readonly sequence: number
  /**
   * The last batch ends here or later: before `sequence` only when a write has failed, whose operations LevelDB had
   * counted.
   */
  readonly heldTo: number
  batch(): EngineBatch
  /** All of the batch or nothing, durable when `done` says so; never before the call returns. */
  write(batch: EngineBatch, done: (error: Error | undefined) => void): void
  /** What `quarantine` was told last, by whichever process. */
  readonly quarantined: string | undefined
  /** Durable when it returns, whatever has failed and is under way. */
  quarantine(why: string): void
  /**
   * Gives back the room of what was deleted and overwritten; takes some while it works. Reads and writes go on.
   * `isRoom` is asked before each piece: without it the rest is left.
   */
  compact(done: (error: Error | undefined) => void, isRoom?: () => boolean): void
  close(done: (error: Error | undefined) => void): void
}
