// The log of the core: the durable part, which storage reads, and the newest entries in memory, some not yet durable.
//
//      reader.firstIndex          tail                    stable                 last
//            │                     │                        │                     │
//   ─────────┼─────────────────────┼────────────────────────┼─────────────────────┤
//   compacted│   in storage only   │ in storage and memory  │    in memory only   │
//
// Apply has separate marks: applied ≤ applying ≤ commit ≤ last. The tail holds everything above min(stable, commit). It
// also keeps older entries up to `tailBytesMax`, or up to `applyBytesMax` while entries wait for apply, so that
// followers and apply seldom read from storage.
//
// A write is reported durable by its number, long after the step that made it. By then a new leader may have replaced
// some of its entries with others of the same index (ABA). So each pending write has the highest index up to which its
// entries are still part of the log. A truncation lowers that index in every pending write.

import { frameClusterTimeMs } from './entry.ts'
import { InvariantError, invariant } from './invariant.ts'
import type {
  DiskRoom,
  Entry,
  HardState,
  InFlightCounts,
  LogIndex,
  LogReader,
  MonotonicMs,
  RaftLimits,
  SnapshotMeta,
  Term,
  Write,
  WriteNumber,
} from './types.ts'

/**
 * Replaces an evicted entry, which the array would otherwise keep in memory. Once the array is garbage in the old
 * generation, that would last until the next full collection.
 */
const EVICTED: Entry = { index: 0 as LogIndex, term: 0 as Term, frame: new Uint8Array() }

interface PendingWrite {
  readonly number: WriteNumber
  /** The log is durable up to this index once this write is. A truncation lowers it. */
  upTo: LogIndex
  /** The commit index that this write makes durable. */
  readonly commit: LogIndex
  /** Time of the step that made the write. */
  readonly since: MonotonicMs
}

/** A batch of entries that the driver is applying. */
interface ApplyBatch {
  readonly last: LogIndex
  readonly bytes: number
}

const NO_ENTRIES: readonly Entry[] = []

/** Decay of the usual idle time with each write. A slow write raises it again. */
const IDLE_DECAY = 0.75

export class RaftLog {
  readonly #reader: LogReader
  #last: LogIndex
  #lastTerm: Term
  #stable: LogIndex
  #commit: LogIndex
  #applying: LogIndex
  #applied: LogIndex

  /**
   * The tail is #entries from #head on. For each entry, #endOffsets has the bytes of everything appended up to its end.
   */
  #entries: Entry[] = []
  #endOffsets: number[] = []
  #head = 0
  #tailFirst: LogIndex
  #endBeforeTail = 0

  /** Last index that is in a write. */
  #written: LogIndex
  #truncateFrom: LogIndex | undefined
  #snapshotToStore:
    | { readonly meta: SnapshotMeta; readonly snapshotId: string; readonly keepLog: boolean }
    | undefined
  /** A snapshot that is not durable yet. Until it is, readers see the older state. */
  #installing: { readonly visible: LogIndex; readonly write: WriteNumber } | undefined
  /** The last entry of such a snapshot if it replaced the log. Until it is durable, storage shows the old log. */
  #snapshotEnd: { readonly index: LogIndex; readonly term: Term } | undefined

  readonly #pending: PendingWrite[] = []
  #lastWrite: WriteNumber = 0
  #storedWrite: WriteNumber = 0
  #storedAt: MonotonicMs = Number.NEGATIVE_INFINITY
  #usualIdleMs = 0
  /** The commit index that is durable, and the one that will be durable with the newest write. */
  #storedCommit: LogIndex
  #writtenCommit: LogIndex

  readonly #applyBatches: ApplyBatch[] = []
  #applyingBytes = 0
  /** Bytes of the committed entries behind those. Entries up to `#uncounted` were committed at the start. */
  #toApplyBytes = 0
  #uncounted: LogIndex

  constructor(reader: LogReader, commit: LogIndex, applied: LogIndex) {
    const last = reader.lastIndex()
    const lastTerm = reader.termAt(last)
    invariant(lastTerm !== undefined, () => `the log has no term for its last index ${last}`)
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
    this.#applying = applied
    this.#applied = applied
    this.#uncounted = commit
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
  /** Applied index of the state that reads use. A snapshot becomes visible once it is durable. */
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
    return this.#snapshotEnd === undefined
      ? this.#reader.firstIndex()
      : ((this.#snapshotEnd.index + 1) as LogIndex)
  }
  /**
   * Last index that is committed and durable here. Memory holds all entries after it, so a leader bounds their number
   * and bytes: a majority may commit them long before they are durable here.
   */
  get evictable(): LogIndex {
    return Math.min(this.#stable, this.#commit) as LogIndex
  }
  /** Bytes of the entries that are not committed, durable and applied, but for those committed at the start. */
  get unfinishedBytes(): number {
    const committed = this.#endOffset(this.#commit)
    const unapplied = this.#toApplyBytes + this.#applyingBytes
    return (
      this.#endOffset(this.#last) -
      committed +
      Math.max(committed - this.#endOffset(this.evictable), unapplied)
    )
  }
  /** Bytes and number of the entries that are not durable yet. */
  get undurable(): DiskRoom {
    return {
      bytes: this.#endOffset(this.#last) - this.#endOffset(this.#stable),
      items: this.#undurableEntries,
    }
  }
  /** A snapshot that is not durable yet has replaced the entries before the tail. */
  get #undurableEntries(): number {
    return this.#last - Math.max(this.#stable, this.#tailFirst - 1)
  }
  /** How long writes have been pending without progress. A disk that completes writes, even slowly, does not stall. */
  idleMs(now: MonotonicMs): number {
    const oldest = this.#pending[0]
    return oldest === undefined ? 0 : now - Math.max(oldest.since, this.#storedAt)
  }
  /** How long the oldest write has been pending; 0 when none is. */
  oldestWriteMs(now: MonotonicMs): number {
    return now - (this.#pending[0]?.since ?? now)
  }
  /** Decaying maximum of `idleMs`: the time that the disk usually takes for a write. */
  get usualIdleMs(): number {
    return this.#usualIdleMs
  }

  inspect(): InFlightCounts {
    return {
      pendingWrites: this.#pending.length,
      installing: Number(this.installing),
      uncommittedEntries: this.#last - this.#commit,
      uncommittedBytes: this.#endOffset(this.#last) - this.#endOffset(this.#commit),
      undurableEntries: this.#undurableEntries,
      undurableBytes: this.undurable.bytes,
      unappliedEntries: this.#commit - this.#applied,
      applyBatches: this.#applyBatches.length,
      applyingBytes: this.#applyingBytes,
    }
  }

  termAt(index: LogIndex): Term | undefined {
    if (index === this.#last) return this.#lastTerm
    if (index > this.#last) return undefined
    if (index >= this.#tailFirst) return this.#entries[this.#position(index)]?.term
    if (this.#snapshotEnd !== undefined)
      return index === this.#snapshotEnd.index ? this.#snapshotEnd.term : undefined
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
    const begin = this.#position(from)
    const end = this.#position(to)
    const limit = (begin === this.#head ? this.#endBeforeTail : (this.#endOffsets[begin - 1] ?? 0)) + bytesMax
    // Common case: everything fits.
    if ((this.#endOffsets[end - 1] ?? 0) <= limit) return this.#entries.slice(begin, end)
    let fits = begin + 1
    while (fits < end && (this.#endOffsets[fits] ?? 0) <= limit) fits++
    return this.#entries.slice(begin, fits)
  }

  /**
   * The largest index ≤ `index` whose term is ≤ `term`, with its term. Two logs may be equal up to there (etcd's fast
   * back-off).
   */
  findConflictByTerm(index: LogIndex, term: Term): { readonly index: LogIndex; readonly term: Term } {
    let at = Math.min(index, this.#last) as LogIndex
    for (; at > 0; at--) {
      const here = this.termAt(at)
      if (here === undefined) break
      if (here <= term) return { index: at, term: here }
    }
    return { index: at, term: 0 as Term }
  }

  /** Cluster time of the newest entry; undefined when the log is empty. */
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
    this.#endOffsets.push(this.#endOffset(this.#last) + entry.frame.length)
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
    this.#entries.length = this.#position(from)
    this.#endOffsets.length = this.#position(from)
    this.#last = last
    this.#lastTerm = term
    this.#limitWrites(last)
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
    this.#toApplyBytes += this.#endOffset(index) - this.#endOffset(this.#commit)
    this.#commit = index
  }

  /** The next committed entries to apply, at most up to `upTo`, as far as the limit on unapplied bytes allows. */
  takeCommitted(bytesMax: number, upTo: LogIndex): readonly Entry[] {
    // The snapshot is about to replace the state that they would change.
    if (this.installing) return NO_ENTRIES
    let entries = NO_ENTRIES
    while (this.#applying < upTo && this.#applyingBytes < bytesMax) {
      const room = bytesMax - this.#applyingBytes
      const page = this.entries((this.#applying + 1) as LogIndex, (upTo + 1) as LogIndex, room)
      let bytes = 0
      for (const { index, frame } of page) {
        bytes += frame.length
        if (index > this.#uncounted) this.#toApplyBytes -= frame.length
      }
      const last = (this.#applying + page.length) as LogIndex
      invariant(
        page.at(-1)?.index === last,
        () => `the log has no entry ${this.#applying + 1} although it is committed`,
      )
      this.#applying = last
      this.#applyingBytes += bytes
      this.#applyBatches.push({ last, bytes })
      entries = entries.length === 0 ? page : entries.concat(page)
    }
    return entries
  }

  appliedTo(index: LogIndex): void {
    invariant(
      index <= this.#applying,
      () => `entry ${index} is applied, but only ${this.#applying} was handed out`,
    )
    this.#applied = index
    for (let batch = this.#applyBatches[0]; batch !== undefined && batch.last <= index; ) {
      this.#applyingBytes -= batch.bytes
      this.#applyBatches.shift()
      batch = this.#applyBatches[0]
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
      // Entries below the snapshot are obsolete, and entries above it may conflict. The log continues after it.
      this.#limitWrites(Math.min(this.#commit, this.#stable) as LogIndex)
      this.#entries = []
      this.#endOffsets = []
      this.#head = 0
      this.#last = index
      this.#lastTerm = term
      this.#written = index
      this.#tailFirst = (index + 1) as LogIndex
      this.#truncateFrom = undefined
      this.#snapshotEnd = { index, term }
    }
    this.#installing = { visible: this.visible, write: this.#lastWrite + 1 }
    this.#snapshotToStore = { meta, snapshotId, keepLog }
    this.#commit = index
    this.#applying = index
    this.#applied = index
    this.#applyBatches.length = 0
    this.#applyingBytes = 0
    this.#toApplyBytes = 0
    this.#uncounted = index
    return keepLog
  }

  /** The write that this step needs; undefined when nothing must become durable. */
  takeWrite(hardState: HardState, hardStateChanged: boolean, now: MonotonicMs): Write | undefined {
    const snapshot = this.#snapshotToStore
    const truncateFrom = this.#truncateFrom
    const hasNewEntries = this.#written < this.#last
    if (!hardStateChanged && !hasNewEntries && snapshot === undefined && truncateFrom === undefined)
      return undefined
    const entries = hasNewEntries
      ? this.#entries.slice(this.#position((this.#written + 1) as LogIndex))
      : NO_ENTRIES
    const number = ++this.#lastWrite
    this.#pending.push({ number, upTo: this.#last, commit: hardState.commit, since: now })
    this.#writtenCommit = hardState.commit
    this.#written = this.#last
    this.#truncateFrom = undefined
    this.#snapshotToStore = undefined
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
      this.#snapshotEnd = undefined
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

  /** Entries after `last` in pending writes are no longer part of the log. */
  #limitWrites(last: LogIndex): void {
    if (this.#stable > last) this.#stable = last
    for (const write of this.#pending) if (write.upTo > last) write.upTo = last
  }

  #evict({ tailBytesMax, applyBytesMax }: RaftLimits): void {
    const { evictable } = this
    const end = this.#endOffset(this.#last)
    while (this.#tailFirst <= evictable) {
      const bytesMax =
        this.#tailFirst <= this.#applying ? tailBytesMax : Math.max(tailBytesMax, applyBytesMax)
      if (end - this.#endBeforeTail <= bytesMax) break
      this.#endBeforeTail = this.#endOffsets[this.#head] ?? 0
      this.#entries[this.#head] = EVICTED
      this.#head++
      this.#tailFirst++
    }
    if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#endOffsets = this.#endOffsets.slice(this.#head)
      this.#head = 0
    }
  }

  /** Loads uncommitted entries into the tail after a restart, because the tail must hold all of them. */
  #loadUncommitted(): void {
    const from = (this.#commit + 1) as LogIndex
    this.#tailFirst = from
    for (let next = from; next <= this.#last; ) {
      const page = this.#reader.entries(next, (this.#last + 1) as LogIndex, Number.MAX_SAFE_INTEGER)
      for (const entry of page) {
        this.#endOffsets.push((this.#endOffsets.at(-1) ?? 0) + entry.frame.length)
        this.#entries.push(entry)
      }
      next = (next + page.length) as LogIndex
    }
  }

  /** Position of an index in #entries. */
  #position(index: LogIndex): number {
    return this.#head + index - this.#tailFirst
  }

  /** Cumulative bytes at the end of entry `index`, which is in the tail or right before it. */
  #endOffset(index: LogIndex): number {
    if (index < this.#tailFirst) return this.#endBeforeTail
    return this.#endOffsets[this.#position(index)] ?? 0
  }
}
