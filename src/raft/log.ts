// The log as the core sees it: the durable part, which storage reads back, and the newest entries in memory, durable or
// not yet.
//
//      reader.firstIndex          tail                    stable                 last
//            │                     │                        │                     │
//   ─────────┼─────────────────────┼────────────────────────┼─────────────────────┤
//   compacted│   in storage only   │ in storage and memory  │    in memory only   │
//
// Applying has separate marks: applied ≤ handed ≤ commit ≤ last. The tail holds everything above min(stable, commit).
// It also keeps older entries up to `tailBytesMax`, or up to `applyBytesMax` while entries wait for apply, so that
// followers and apply seldom read from storage.
//
// Stable. A write is reported durable by its number, long after it was handed out. By then a new leader may have
// overwritten entries in it, even with others of the same index (ABA). So each write remembers up to which index its
// entries are still part of the log. A truncation lowers that mark in every pending write.

import { frameClusterTimeMs } from './entry.ts'
import { InvariantError, invariant } from './invariant.ts'
import type {
  Entry,
  HardState,
  LogIndex,
  LogReader,
  MonotonicMs,
  RaftLimits,
  SnapshotMeta,
  Term,
  UnderWay,
  Write,
  WriteNumber,
} from './types.ts'

/**
 * Stands in the place of an evicted entry. Otherwise the array would keep the entry in memory, and, once the array
 * itself is garbage of the old generation, until the next full collection.
 */
const EVICTED: Entry = { index: 0 as LogIndex, term: 0 as Term, frame: new Uint8Array() }

interface PendingWrite {
  readonly number: WriteNumber
  /** When this write is durable, the log is durable up to this index. A truncation lowers it. */
  upTo: LogIndex
  /** The commit index that this write makes durable. */
  readonly commit: LogIndex
  /** When the write was handed out. */
  readonly since: MonotonicMs
}

/** Entries handed out and not yet applied, by batch. */
interface HandedBatch {
  readonly last: LogIndex
  readonly bytes: number
}

const none: readonly Entry[] = []

/** A slow write raises the usual time. Each later write multiplies that by this factor. */
const IDLE_DECAY = 0.75

export class RaftLog {
  readonly #reader: LogReader
  #last: LogIndex
  #lastTerm: Term
  #stable: LogIndex
  #commit: LogIndex
  #handed: LogIndex
  #applied: LogIndex

  /**
   * The tail is #entries from #head on. #ends holds, for each entry, the bytes of everything appended up to its end.
   */
  #entries: Entry[] = []
  #ends: number[] = []
  #head = 0
  #tailFirst: LogIndex
  #endBeforeTail = 0

  /** Entries after this index are not in any write yet. */
  #written: LogIndex
  #truncateFrom: LogIndex | undefined
  #restoring:
    | { readonly meta: SnapshotMeta; readonly snapshotId: string; readonly keepLog: boolean }
    | undefined
  /** A snapshot that is not durable yet. Until it is, readers see the older state. */
  #installing: { readonly visible: LogIndex; readonly write: WriteNumber } | undefined
  /** The last entry of such a snapshot if it replaced the log. Until it is durable, storage shows the old log. */
  #replaced: { readonly index: LogIndex; readonly term: Term } | undefined

  readonly #pending: PendingWrite[] = []
  #lastWrite: WriteNumber = 0
  #storedWrite: WriteNumber = 0
  #storedAt: MonotonicMs = Number.NEGATIVE_INFINITY
  #usualIdleMs = 0
  /** The commit index that is durable, and the one that will be durable with the newest write. */
  #storedCommit: LogIndex
  #writtenCommit: LogIndex

  readonly #handedBatches: HandedBatch[] = []
  #handedBytes = 0

  constructor(reader: LogReader, commit: LogIndex, applied: LogIndex) {
    const last = reader.lastIndex()
    const lastTerm = reader.termAt(last)
    invariant(lastTerm !== undefined, () => `the log cannot tell the term of its last index ${last}`)
    invariant(commit <= last, () => `the stored commit index ${commit} is beyond the end of the log, ${last}`)
    invariant(applied <= commit, () => `the applied index ${applied} is beyond the commit index ${commit}`)
    invariant(
      applied >= reader.firstIndex() - 1,
      () => `the log begins at ${reader.firstIndex()}, but only ${applied} is applied`,
    )
    this.#reader = reader
    this.#last = last
    this.#lastTerm = lastTerm
    this.#stable = last
    this.#written = last
    this.#commit = commit
    this.#storedCommit = commit
    this.#writtenCommit = commit
    this.#handed = applied
    this.#applied = applied
    this.#tailFirst = (last + 1) as LogIndex
    this.#loadUncommitted()
  }

  get last(): LogIndex {
    return this.#last
  }
  get lastTerm(): Term {
    return this.#lastTerm
  }
  get stable(): LogIndex {
    return this.#stable
  }
  get commit(): LogIndex {
    return this.#commit
  }
  get applied(): LogIndex {
    return this.#applied
  }
  /** Applied index of the state that readers see. A snapshot becomes visible once it is durable. */
  get visible(): LogIndex {
    return this.#installing?.visible ?? this.#applied
  }
  /** Whether a snapshot is being written to the disk. */
  get installing(): boolean {
    return this.#installing !== undefined
  }
  get storedWrite(): WriteNumber {
    return this.#storedWrite
  }
  /** The durable commit index. */
  get storedCommit(): LogIndex {
    return this.#storedCommit
  }
  /** The commit index that will be durable after the newest write. */
  get writtenCommit(): LogIndex {
    return this.#writtenCommit
  }
  /** Index of the first entry that can be sent to a follower. */
  get first(): LogIndex {
    return this.#replaced === undefined ? this.#reader.firstIndex() : ((this.#replaced.index + 1) as LogIndex)
  }
  /** Bytes of entries that are not committed. */
  get uncommittedBytes(): number {
    return this.#endOf(this.#last) - this.#endOf(this.#commit)
  }
  /**
   * For how long a write has been pending without any write being finished. A disk that finishes writes, even slowly,
   * does not stall.
   */
  idleMs(now: MonotonicMs): number {
    const oldest = this.#pending[0]
    return oldest === undefined ? 0 : now - Math.max(oldest.since, this.#storedAt)
  }
  /** The longest such time lately: how long the disk usually takes for a write. */
  get usualIdleMs(): number {
    return this.#usualIdleMs
  }

  inspect(): UnderWay {
    return {
      pendingWrites: this.#pending.length,
      installing: Number(this.installing),
      uncommittedEntries: this.#last - this.#commit,
      uncommittedBytes: this.uncommittedBytes,
      unappliedEntries: this.#commit - this.#applied,
      handedBatches: this.#handedBatches.length,
      handedBytes: this.#handedBytes,
    }
  }

  termAt(index: LogIndex): Term | undefined {
    if (index === this.#last) return this.#lastTerm
    if (index > this.#last) return undefined
    if (index >= this.#tailFirst) return this.#entries[this.#at(index)]?.term
    if (this.#replaced !== undefined) return index === this.#replaced.index ? this.#replaced.term : undefined
    return this.#reader.termAt(index)
  }

  /** Whether the log holds an entry of `term` at `index` (paper §5.3, consistency check). */
  matches(index: LogIndex, term: Term): boolean {
    return this.termAt(index) === term
  }

  /** Entries from `from` on, below `to`: at least one, and as many as fit into `bytesMax`. */
  entries(from: LogIndex, to: LogIndex, bytesMax: number): Entry[] {
    if (from < this.#tailFirst) {
      return this.#reader.entries(from, Math.min(to, this.#tailFirst) as LogIndex, bytesMax)
    }
    const begin = this.#at(from)
    const end = this.#at(to)
    const limit = (begin === this.#head ? this.#endBeforeTail : (this.#ends[begin - 1] ?? 0)) + bytesMax
    // Nearly always everything fits.
    if ((this.#ends[end - 1] ?? 0) <= limit) return this.#entries.slice(begin, end)
    let fits = begin + 1
    while (fits < end && (this.#ends[fits] ?? 0) <= limit) fits++
    return this.#entries.slice(begin, fits)
  }

  /**
   * The largest index ≤ `index` whose term is ≤ `term`, with its term. Two logs may be equal up to there (etcd's fast
   * back-off).
   */
  lastWithTermUpTo(index: LogIndex, term: Term): { readonly index: LogIndex; readonly term: Term } {
    let at = Math.min(index, this.#last) as LogIndex
    for (; at > 0; at--) {
      const here = this.termAt(at)
      if (here === undefined) break
      if (here <= term) return { index: at, term: here }
    }
    return { index: at, term: 0 as Term }
  }

  /** Cluster time of the newest entry; undefined when the log holds none. */
  lastClusterTimeMs(): number | undefined {
    if (this.#last < this.first) return undefined
    const [entry] = this.entries(this.#last, (this.#last + 1) as LogIndex, 1)
    return entry === undefined ? undefined : frameClusterTimeMs(entry.frame)
  }

  append(entry: Entry): void {
    if (entry.index !== this.#last + 1) {
      throw new InvariantError(`entry ${entry.index} cannot follow entry ${this.#last}`)
    }
    if (entry.term < this.#lastTerm) {
      throw new InvariantError(
        `entry ${entry.index} of term ${entry.term} cannot follow term ${this.#lastTerm}`,
      )
    }
    this.#ends.push(this.#endOf(this.#last) + entry.frame.length)
    this.#entries.push(entry)
    this.#last = entry.index
    this.#lastTerm = entry.term
  }

  /** Deletes every entry from `from` on. None of them may be committed (paper §5.3). */
  truncate(from: LogIndex): void {
    invariant(from > this.#commit, () => `entry ${from} is to be deleted, but ${this.#commit} is committed`)
    const last = (from - 1) as LogIndex
    const term = this.termAt(last)
    invariant(term !== undefined, () => `the log is to end at ${last}, which it does not hold`)
    // Entries that are not committed are in the tail.
    this.#entries.length = this.#at(from)
    this.#ends.length = this.#at(from)
    this.#last = last
    this.#lastTerm = term
    this.#lower(last)
    if (from <= this.#written) {
      this.#truncateFrom = from
      this.#written = last
    }
  }

  commitTo(index: LogIndex): void {
    invariant(index >= this.#commit, () => `the commit index is to fall from ${this.#commit} to ${index}`)
    invariant(
      index <= this.#last,
      () => `index ${index} is to be committed, but the log ends at ${this.#last}`,
    )
    this.#commit = index
  }

  /** The next committed entries to apply, at most up to `upTo`, as far as the limit on unapplied bytes allows. */
  takeCommitted(bytesMax: number, upTo: LogIndex): readonly Entry[] {
    // They would be applied to the state that the snapshot is about to replace.
    if (this.installing) return none
    let taken = none
    while (this.#handed < upTo && this.#handedBytes < bytesMax) {
      const room = bytesMax - this.#handedBytes
      const page = this.entries((this.#handed + 1) as LogIndex, (upTo + 1) as LogIndex, room)
      let bytes = 0
      for (const { frame } of page) bytes += frame.length
      const last = (this.#handed + page.length) as LogIndex
      invariant(
        page.at(-1)?.index === last,
        () => `the log has no entry ${this.#handed + 1} although it is committed`,
      )
      this.#handed = last
      this.#handedBytes += bytes
      this.#handedBatches.push({ last, bytes })
      taken = taken.length === 0 ? page : taken.concat(page)
    }
    return taken
  }

  appliedTo(index: LogIndex): void {
    invariant(
      index <= this.#handed,
      () => `entry ${index} is applied, but only ${this.#handed} was handed out`,
    )
    this.#applied = index
    for (let batch = this.#handedBatches[0]; batch !== undefined && batch.last <= index; ) {
      this.#handedBytes -= batch.bytes
      this.#handedBatches.shift()
      batch = this.#handedBatches[0]
    }
  }

  /**
   * Continues from a snapshot that is newer than the commit index. Returns whether the log is kept: it is if it holds
   * the last entry of the snapshot (paper §7).
   */
  restore(meta: SnapshotMeta, snapshotId: string): boolean {
    const { index, term } = meta
    invariant(index > this.#commit, () => `a snapshot at ${index} is no news: ${this.#commit} is committed`)
    const keepLog = this.matches(index, term)
    if (!keepLog) {
      // Entries below the snapshot are not needed, and entries above it cannot be trusted. The log continues after it.
      this.#lower(Math.min(this.#commit, this.#stable) as LogIndex)
      this.#entries = []
      this.#ends = []
      this.#head = 0
      this.#last = index
      this.#lastTerm = term
      this.#written = index
      this.#tailFirst = (index + 1) as LogIndex
      this.#truncateFrom = undefined
      this.#replaced = { index, term }
    }
    this.#installing = { visible: this.visible, write: this.#lastWrite + 1 }
    this.#restoring = { meta, snapshotId, keepLog }
    this.#commit = index
    this.#handed = index
    this.#applied = index
    this.#handedBatches.length = 0
    this.#handedBytes = 0
    return keepLog
  }

  /** The write that this step needs; undefined when nothing must become durable. */
  takeWrite(hardState: HardState, hardStateChanged: boolean, now: MonotonicMs): Write | undefined {
    const snapshot = this.#restoring
    const truncateFrom = this.#truncateFrom
    const fresh = this.#written < this.#last
    if (!hardStateChanged && !fresh && snapshot === undefined && truncateFrom === undefined) return undefined
    const entries = fresh ? this.#entries.slice(this.#at((this.#written + 1) as LogIndex)) : none
    const number = ++this.#lastWrite
    this.#pending.push({ number, upTo: this.#last, commit: hardState.commit, since: now })
    this.#writtenCommit = hardState.commit
    this.#written = this.#last
    this.#truncateFrom = undefined
    this.#restoring = undefined
    return { number, hardState, truncateFrom, entries, snapshot }
  }

  stored(number: WriteNumber, limits: RaftLimits, now: MonotonicMs): void {
    invariant(
      number <= this.#lastWrite,
      () => `write ${number} is reported durable, but ${this.#lastWrite} was the last`,
    )
    if (this.#pending.length > 0) {
      this.#usualIdleMs = Math.max(this.idleMs(now), IDLE_DECAY * this.#usualIdleMs)
    }
    this.#storedAt = now
    if (number <= this.#storedWrite) return
    this.#storedWrite = number
    for (let write = this.#pending[0]; write !== undefined && write.number <= number; ) {
      this.#stable = write.upTo
      this.#storedCommit = write.commit
      this.#pending.shift()
      write = this.#pending[0]
    }
    if (this.#installing !== undefined && this.#installing.write <= number) {
      this.#installing = undefined
      this.#replaced = undefined
    }
    this.#evict(limits)
  }

  /** The write that makes the log durable up to `index`; 0 when it is durable already. */
  writeCovering(index: LogIndex): WriteNumber {
    if (index <= this.#stable) return 0
    const write = this.#pending.find(({ upTo }) => upTo >= index)
    invariant(write !== undefined, () => `entry ${index} is in no write`)
    return write.number
  }

  /** Entries written after `last` are no longer part of the log. */
  #lower(last: LogIndex): void {
    if (this.#stable > last) this.#stable = last
    for (const write of this.#pending) if (write.upTo > last) write.upTo = last
  }

  #evict({ tailBytesMax, applyBytesMax }: RaftLimits): void {
    const evictable = Math.min(this.#stable, this.#commit)
    const end = this.#endOf(this.#last)
    while (this.#tailFirst <= evictable) {
      const bytesMax = this.#tailFirst <= this.#handed ? tailBytesMax : Math.max(tailBytesMax, applyBytesMax)
      if (end - this.#endBeforeTail <= bytesMax) break
      this.#endBeforeTail = this.#ends[this.#head] ?? 0
      this.#entries[this.#head] = EVICTED
      this.#head++
      this.#tailFirst++
    }
    if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#ends = this.#ends.slice(this.#head)
      this.#head = 0
    }
  }

  /** After a restart: loads entries that are not committed into the tail, because the tail must hold all of them. */
  #loadUncommitted(): void {
    const from = (this.#commit + 1) as LogIndex
    this.#tailFirst = from
    for (let next = from; next <= this.#last; ) {
      const page = this.#reader.entries(next, (this.#last + 1) as LogIndex, Number.MAX_SAFE_INTEGER)
      for (const entry of page) {
        this.#ends.push((this.#ends.at(-1) ?? 0) + entry.frame.length)
        this.#entries.push(entry)
      }
      next = (next + page.length) as LogIndex
    }
  }

  /** Position in #entries. */
  #at(index: LogIndex): number {
    return this.#head + index - this.#tailFirst
  }

  /** Cumulative bytes at the end of entry `index`, which is in the tail or right before it. */
  #endOf(index: LogIndex): number {
    if (index < this.#tailFirst) return this.#endBeforeTail
    return this.#ends[this.#at(index)] ?? 0
  }
}
