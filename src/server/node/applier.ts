// Applies committed entries one after another. Each entry sees the rows as the entries before it left them.

import {
  type Applied,
  applyEntry,
  decodeState,
  encodeState,
  type KvState,
  namesRanges,
  placesOfEntry,
  type Rows,
  TABLE_LEASES,
} from '../../kv/index.ts'
import {
  ENTRY_KINDS_OF_CORE,
  type Entry,
  frameBody,
  frameClusterTimeMs,
  frameKind,
  frameVersion,
  type LogIndex,
  type Term,
} from '../../raft/index.ts'
import type { AppliedRecord, Storage } from '../../storage/types.ts'
import { EntryReads } from './entry-reads.ts'

/** While applying, `enough` is called after this many entries or bytes, which take less than a millisecond. */
const CHECK_EVERY_ENTRIES = 16
const CHECK_EVERY_BYTES = 64 * 1024

/** The approximate number of keys whose heads are read together, from the queued entries. */
const KEYS_AHEAD = 256

const NO_ROWS = { bytes: 0, items: 0 }
/** The estimated size of a small row. */
const ROW_BYTES = 128
/** Rows that change with a key in a range. */
const ROWS_PER_KEY = 2

export interface ApplierEvents {
  /**
   * Called for an entry of the core, before its record is made: the core applies it and changes the state in the
   * record.
   */
  coreEntryApplied(entry: Entry): void
  /** The core's state after the last applied entry, encoded. */
  encodedRaftState(): Uint8Array
  readonly applied: (entry: Entry, result: Applied | undefined) => void
  /** An entry writes the row of a lease. The bytes are valid until the call returns. undefined: the row is deleted. */
  readonly leaseChanged: (rowKey: Uint8Array, row: Uint8Array | undefined, clusterTimeMs: number) => void
  /** The rows for the next entry have been read: it can be applied. */
  entryRead(): void
  failed(error: Error): void
}

/** The registers of an applied record. They are encoded only if a batch or a snapshot uses this record. */
class LazyRecord implements AppliedRecord {
  readonly index: LogIndex
  readonly term: Term
  readonly raft: Uint8Array
  readonly #state: KvState
  #encoded: Uint8Array | undefined

  constructor(entry: Entry, raft: Uint8Array, state: KvState) {
    this.index = entry.index
    this.term = entry.term
    this.raft = raft
    this.#state = state
  }

  get kv(): Uint8Array {
    this.#encoded ??= encodeState(this.#state)
    return this.#encoded
  }
}

export class Applier {
  readonly #storage: Storage
  readonly #events: ApplierEvents
  readonly #reads: EntryReads
  #state: KvState
  #index: LogIndex
  /** Cluster time of the entry that is being applied. */
  #timeMs = 0
  #queue: Entry[] = []
  #head = 0

  constructor(storage: Storage, events: ApplierEvents) {
    this.#storage = storage
    this.#events = events
    this.#reads = new EntryReads(
      storage,
      () => events.entryRead(),
      (error) => events.failed(error),
    )
    this.#state = decodeState(storage.applied.kv)
    this.#index = storage.applied.index
  }

  get state(): KvState {
    return this.#state
  }

  /** Last index applied. */
  get index(): LogIndex {
    return this.#index
  }

  /** Whether an entry can be applied now. */
  get pending(): boolean {
    return this.queued > 0 && !this.#reads.isReading
  }

  /** Entries that wait to be applied. */
  get queued(): number {
    return this.#queue.length - this.#head
  }

  push(entries: readonly Entry[]): void {
    for (const entry of entries) this.#queue.push(entry)
  }

  /** A snapshot is about to replace the applied state. It contains the effects of all queued entries. */
  clear(): void {
    this.#queue = []
    this.#head = 0
    this.#reads.clear()
  }

  /** The snapshot has replaced the applied state. */
  reload(): void {
    this.#state = decodeState(this.#storage.applied.kv)
    this.#index = this.#storage.applied.index
  }

  /**
   * Applies at least one entry, until none is left or `enough` returns true. It is called after every few entries, and
   * when memory has as many rows as it may have.
   */
  run(enough: () => boolean, isFull: () => boolean = () => false): void {
    let bytes = 0
    for (let count = 1; ; count++) {
      const entry = this.#queue[this.#head]
      if (entry === undefined || this.#mustRead(entry)) break
      this.#head++
      this.#apply(entry)
      bytes += entry.frame.length
      if (count % CHECK_EVERY_ENTRIES !== 0 && bytes < CHECK_EVERY_BYTES && !isFull()) continue
      if (enough()) break
      bytes = 0
    }
    if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    }
  }

  /** Begins to read what the entry needs, if that is not in memory. False: it can be applied. */
  #mustRead({ frame }: Entry): boolean {
    const reads = this.#reads
    if (reads.isRead) return false
    if (reads.isReading) return true
    const kind = frameKind(frame)
    if (kind < ENTRY_KINDS_OF_CORE) return false
    if (this.#storage.knowsAllHeads && !namesRanges(kind)) return false
    reads.read(placesOfEntry(kind, frameVersion(frame), frameBody(frame)), this.#state, this.#keysAhead)
    return !reads.isRead
  }

  /**
   * The keys of the entries behind the first one. Heads in memory follow every change, so they may be read before the
   * entries in front are applied. Reading them one after another would take several turns for each entry.
   */
  readonly #keysAhead = (): readonly Uint8Array[] => {
    const keys: Uint8Array[] = []
    if (this.#storage.knowsAllHeads) return keys
    for (let at = this.#head + 1; at < this.#queue.length && keys.length < KEYS_AHEAD; at++) {
      const frame = this.#queue[at]?.frame
      if (frame === undefined || frameKind(frame) < ENTRY_KINDS_OF_CORE) continue
      for (const place of placesOfEntry(frameKind(frame), frameVersion(frame), frameBody(frame)))
        if ('key' in place) keys.push(place.key)
    }
    return keys
  }

  #apply(entry: Entry): void {
    if (entry.index !== this.#index + 1) {
      throw new Error(
        `entry ${entry.index} was to be applied after ${this.#index}: the order of the log is broken`,
      )
    }
    const kind = frameKind(entry.frame)
    if (kind < ENTRY_KINDS_OF_CORE) {
      this.#index = entry.index
      this.#events.coreEntryApplied(entry)
      this.#storage.begin(entry.index, NO_ROWS)
      this.#storage.end(new LazyRecord(entry, this.#events.encodedRaftState(), this.#state))
      this.#events.applied(entry, undefined)
      return
    }
    const result = this.#execute(entry, kind)
    if (this.#reads.isRead) this.#reads.clear()
    this.#index = entry.index
    this.#state = result.state
    this.#storage.end(new LazyRecord(entry, this.#events.encodedRaftState(), result.state))
    this.#events.applied(entry, result)
  }

  #execute(entry: Entry, kind: number): Applied {
    const { frame } = entry
    // A batch has a row for each command, of about as many bytes.
    const items = 1 + frame.length / ROW_BYTES + ROWS_PER_KEY * this.#reads.count
    this.#storage.begin(entry.index, { bytes: frame.length, items })
    const timeMs = frameClusterTimeMs(frame)
    this.#timeMs = Math.max(timeMs, this.#state.clusterTimeMs)
    return applyEntry(kind, frameVersion(frame), frameBody(frame), timeMs, this.#state, this.#rows)
  }

  readonly #rows: Rows = {
    read: (key, head) => this.#storage.rowBefore(key, head),
    inRange: (range) => this.#reads.keysIn(range),
    attached: (lease) => this.#reads.keysOf(lease),
    write: (change) => {
      const { key, value } = change
      if (key[0] === TABLE_LEASES) this.#events.leaseChanged(key, value, this.#timeMs)
      return this.#storage.change(change)
    },
  }
}
