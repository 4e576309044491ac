// Applies committed entries one after another. Each entry sees the rows as the entries before it left them.

import {
  type ApplyResult,
  applyEntry,
  applySteps,
  decodeState,
  encodeState,
  hasLeaseDemands,
  type KvState,
  leasesOfEntry,
  namesRanges,
  placesOfEntry,
  type Rows,
  type Steps,
  TABLE_AUTH,
  TABLE_LEASES,
  takesLong,
} from '../../../kv/index.ts'
import {
  ENTRY_KINDS_OF_CORE,
  type Entry,
  frameBody,
  frameClusterTimeMs,
  frameKind,
  frameVersion,
  type LogIndex,
  type Term,
} from '../../../raft/index.ts'
import type { AppliedRecord, Storage } from '../../../storage/types.ts'
import type { NodeEvents } from '../node-events.ts'
import { EntryReads } from './entry-reads.ts'

/** While applying, `enough` is called after so much work, which takes about a millisecond. */
const CHECK_EVERY_ENTRIES = 16
const CHECK_EVERY_BYTES = 64 * 1024
const CHECK_EVERY_ROWS = 256
/** Changes of single keys, also those that are refused. */
const CHECK_EVERY_CHANGES = 256
/** Steps of a large entry: about one key each. */
const CHECK_EVERY_STEPS = 32

/** Rows that one step puts into a batch. */
const ROWS_PER_STEP = 16

/** The approximate number of keys whose metadata is read together, from the queued entries. */
const KEYS_AHEAD = 256

const NO_ROWS = { bytes: 0, items: 0 }
/** The estimated size of a small row. */
const ROW_BYTES = 128
/** Rows that change with a key in a range. */
const ROWS_PER_KEY = 2

/** Events of an applied entry, for the parts of the node. */
export type EntryEvents = Pick<NodeEvents, 'entryApplied' | 'leaseChanged' | 'authChanged'>

/** The owner of an applier, which calls `run`. */
export interface ApplierOwner {
  /** Called for an entry of the core: the core applies it. Returns the core's state after it, encoded. */
  coreEntryApplied(entry: Entry): Uint8Array
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
  readonly #owner: ApplierOwner
  readonly #events: EntryEvents
  readonly #keysAtOnce: number
  readonly #reads: EntryReads
  state: KvState
  /** Last index applied. */
  index: LogIndex
  /** The core's state after the last applied entry, encoded. */
  #raftState: Uint8Array
  /** Cluster time of the entry that is being applied. */
  #timeMs = 0
  #queue: Entry[] = []
  #head = 0
  /** The steps that are left of the entry before the queue. */
  #steps: Steps<void> | undefined
  /** The number of rows written by all entries, and the bytes of the values that they have read. */
  #rowsWritten = 0
  #bytesRead = 0
  /** The rows of users and roles that the entry has written. */
  readonly #authRows: Uint8Array[] = []
  /** The number of changes in the last entry. Those of a batch may all be refused, and write no row. */
  #changes = 0

  /** `keysAtOnce`: an entry with more keys in its ranges and leases is applied in parts. */
  constructor(storage: Storage, owner: ApplierOwner, events: EntryEvents, keysAtOnce: number) {
    this.#storage = storage
    this.#owner = owner
    this.#events = events
    this.#keysAtOnce = keysAtOnce
    this.#reads = new EntryReads(
      storage,
      () => this.#keysAhead(),
      () => owner.entryRead(),
      (error) => owner.failed(error),
    )
    this.state = decodeState(storage.applied.kv)
    this.index = storage.applied.index
    this.#raftState = storage.applied.raft
  }

  /** Whether an entry, or a part of one, can be applied now. */
  get pending(): boolean {
    return this.queued > 0 && !this.#reads.isReading
  }

  /** Entries that wait to be applied, or to be applied as a whole. */
  get queued(): number {
    return this.#queue.length - this.#head + Number(this.#steps !== undefined)
  }

  push(entries: readonly Entry[]): void {
    for (const entry of entries) this.#queue.push(entry)
  }

  /** A snapshot is about to replace the applied state. It contains the effects of all queued entries. */
  clear(): void {
    this.#queue = []
    this.#head = 0
    this.#steps = undefined
    this.#authRows.length = 0
    this.#reads.clear()
  }

  /** The snapshot has replaced the applied state. */
  reload(): void {
    this.state = decodeState(this.#storage.applied.kv)
    this.index = this.#storage.applied.index
    this.#raftState = this.#storage.applied.raft
  }

  /**
   * Applies at least one entry or step, until none is left, `enough` returns true, or `stepsMax` steps of large entries
   * were taken. `enough` is called after every few entries or steps, or sooner when they are large, and when memory has
   * as many rows as it may have. Returns whether it has ended early.
   */
  run(enough: () => boolean, stepsMax = Number.POSITIVE_INFINITY, isFull = (): boolean => false): boolean {
    let [steps, count, changes, bytes] = [0, 0, 0, 0]
    let [rowsBefore, readBefore] = [this.#rowsWritten, this.#bytesRead]
    for (;;) {
      if (this.#steps !== undefined) {
        const isOver = this.#steps.next().done === true
        if (isOver) this.#steps = undefined
        steps++
        if (steps === stepsMax) return true
        const isMuch = steps % CHECK_EVERY_STEPS === 0 || this.#bytesRead - readBefore >= CHECK_EVERY_BYTES
        // The rows of the entry appear at its end.
        if (!isMuch && !(isOver && isFull())) continue
      } else {
        const entry = this.#next()
        if (entry === undefined) return false
        this.#steps = this.#apply(entry)
        count++
        changes += this.#changes
        bytes += entry.frame.length
        const isMuch =
          bytes + this.#bytesRead - readBefore >= CHECK_EVERY_BYTES ||
          this.#rowsWritten - rowsBefore >= CHECK_EVERY_ROWS ||
          changes >= CHECK_EVERY_CHANGES
        if (count % CHECK_EVERY_ENTRIES !== 0 && !isMuch && !isFull()) continue
      }
      if (enough()) return true
      bytes = 0
      changes = 0
      rowsBefore = this.#rowsWritten
      readBefore = this.#bytesRead
    }
  }

  /** Takes the next entry from the queue; undefined: there is none, or it must be read first. */
  #next(): Entry | undefined {
    const entry = this.#queue[this.#head]
    if (entry !== undefined && this.#mustRead(entry)) return undefined
    if (entry !== undefined) this.#head++
    if (this.#head === this.#queue.length) {
      this.#queue = []
      this.#head = 0
    }
    return entry
  }

  /** Begins to read what the entry needs, if that is not in memory. False: it can be applied. */
  #mustRead({ frame }: Entry): boolean {
    const reads = this.#reads
    if (reads.isRead) return false
    if (reads.isReading) return true
    const kind = frameKind(frame)
    if (kind < ENTRY_KINDS_OF_CORE) return false
    const [version, body] = [frameVersion(frame), frameBody(frame)]
    const judgesLeases = hasLeaseDemands(body)
    if (this.#storage.knowsAllKeyMetadata && !namesRanges(kind) && !judgesLeases) return false
    const places = placesOfEntry(kind, version, body)
    const leases = judgesLeases ? leasesOfEntry(kind, version, body, this.state, this.#rows) : []
    reads.read([...places, ...leases], this.state)
    return !reads.isRead
  }

  /**
   * The keys of the entries behind the first one. Metadata in memory follows every change, so it may be read before the
   * entries in front are applied. Reading them one after another would take several turns for each entry.
   */
  #keysAhead(): readonly Uint8Array[] {
    const keys: Uint8Array[] = []
    if (this.#storage.knowsAllKeyMetadata) return keys
    for (let at = this.#head + 1; at < this.#queue.length && keys.length < KEYS_AHEAD; at++) {
      const frame = this.#queue[at]?.frame
      if (frame === undefined || frameKind(frame) < ENTRY_KINDS_OF_CORE) continue
      for (const place of placesOfEntry(frameKind(frame), frameVersion(frame), frameBody(frame)))
        if ('key' in place) keys.push(place.key)
    }
    return keys
  }

  /** Applies the entry, or returns the steps that are left to do. */
  #apply(entry: Entry): Steps<void> | undefined {
    if (entry.index !== this.index + 1) {
      throw new Error(
        `entry ${entry.index} was to be applied after ${this.index}: the order of the log is broken`,
      )
    }
    this.#changes = 1
    const kind = frameKind(entry.frame)
    if (kind < ENTRY_KINDS_OF_CORE) {
      this.index = entry.index
      this.#raftState = this.#owner.coreEntryApplied(entry)
      this.#storage.begin(entry.index, NO_ROWS)
      this.#storage.end(new LazyRecord(entry, this.#raftState, this.state))
      return this.#events.entryApplied(entry, undefined)
    }
    const { frame } = entry
    const isLarge = this.#reads.count > this.#keysAtOnce
    if (isLarge || takesLong(kind, frameVersion(frame), frameBody(frame))) return this.#applyInParts(entry)
    // A batch has a row for each command, of about as many bytes.
    const items = 1 + frame.length / ROW_BYTES + ROWS_PER_KEY * this.#reads.count
    this.#storage.begin(entry.index, { bytes: frame.length, items })
    return this.#end(entry, applyEntry(...this.#request(entry)))
  }

  *#applyInParts(entry: Entry): Steps<void> {
    this.#storage.begin(entry.index, NO_ROWS, true)
    const result = yield* applySteps(...this.#request(entry))
    while (this.#storage.prepare(ROWS_PER_STEP)) yield
    const steps = this.#end(entry, result)
    if (steps !== undefined) yield* steps
  }

  #request({ frame }: Entry): Parameters<typeof applyEntry> {
    const timeMs = frameClusterTimeMs(frame)
    this.#timeMs = Math.max(timeMs, this.state.clusterTimeMs)
    return [frameKind(frame), frameVersion(frame), frameBody(frame), timeMs, this.state, this.#rows]
  }

  #end(entry: Entry, result: ApplyResult): Steps<void> | undefined {
    if (this.#reads.isRead) this.#reads.clear()
    this.index = entry.index
    this.state = result.state
    if (result.outcome.kind === 'batch') this.#changes = result.outcome.outcomes.length
    this.#storage.end(new LazyRecord(entry, this.#raftState, result.state))
    for (const rowKey of this.#authRows.splice(0)) this.#events.authChanged(rowKey)
    return this.#events.entryApplied(entry, result)
  }

  readonly #rows: Rows = {
    read: (key, head) => {
      const row = this.#storage.rowBefore(key, head)
      if (!head && row !== undefined) this.#bytesRead += row.bytes.length
      return row
    },
    inRange: (range) => this.#reads.findKeysInRange(range),
    versionsIn: (range) => this.#reads.findVersionsInRange(range),
    attached: (lease) => this.#reads.findAttachedKeys(lease),
    write: (change) => {
      const { key, value } = change
      this.#rowsWritten++
      if (key[0] === TABLE_AUTH) this.#authRows.push(key)
      if (key[0] === TABLE_LEASES) this.#events.leaseChanged(key, value, this.#timeMs)
      return this.#storage.change(change)
    },
  }
}
