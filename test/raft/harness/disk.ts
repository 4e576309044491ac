// The stable storage of one replica, as the core sees it: a log, a hard state, an applied record. A crash may lose
// anything that was submitted and is not yet reported stored, from the end.

import {
  type AppliedRaftState,
  asIndex,
  asTerm,
  type Entry,
  type HardState,
  type LogIndex,
  type LogReader,
  type SnapshotMeta,
  type Term,
  type Write,
} from '../../../src/raft/types.ts'

/** One entry as the harness's state machine remembers it. */
export interface AppliedEntry {
  readonly index: LogIndex
  readonly term: Term
  readonly text: string
}

/** The applied record, with the whole state machine in it: an append-only list. */
export interface AppliedRecord {
  readonly index: LogIndex
  readonly term: Term
  readonly state: AppliedRaftState
  readonly clusterTimeMs: number
  readonly machine: readonly AppliedEntry[]
}

export interface StagedSnapshot {
  readonly meta: SnapshotMeta
  readonly clusterTimeMs: number
  readonly machine: readonly AppliedEntry[]
}

/** A log whose beginning is compacted. */
export class TestLog implements LogReader {
  base: LogIndex
  baseTerm: Term
  list: Entry[]

  constructor(base: LogIndex, baseTerm: Term, list: readonly Entry[]) {
    this.base = base
    this.baseTerm = baseTerm
    this.list = [...list]
  }

  copy(): TestLog {
    return new TestLog(this.base, this.baseTerm, this.list)
  }

  firstIndex(): LogIndex {
    return asIndex(this.base + 1)
  }

  lastIndex(): LogIndex {
    return asIndex(this.base + this.list.length)
  }

  lastTerm(): Term {
    return this.list.at(-1)?.term ?? this.baseTerm
  }

  termAt(index: LogIndex): Term | undefined {
    return index === this.base ? this.baseTerm : this.at(index)?.term
  }

  at(index: LogIndex): Entry | undefined {
    return index > this.base ? this.list[index - this.base - 1] : undefined
  }

  entries(from: LogIndex, to: LogIndex, bytesMax: number): Entry[] {
    if (from <= this.base || to > this.lastIndex() + 1 || from >= to)
      throw new RangeError(`log read [${from}, ${to}) outside [${this.base + 1}, ${this.lastIndex()}]`)
    const page: Entry[] = []
    let bytes = 0
    for (const entry of this.list.slice(from - this.base - 1, to - this.base - 1)) {
      bytes += entry.frame.length
      if (page.length > 0 && bytes > bytesMax) break
      page.push(entry)
    }
    return page
  }

  write(write: Write): void {
    if (write.snapshot !== undefined) {
      const { meta, keepLog } = write.snapshot
      if (keepLog) this.compact(meta.index)
      else {
        this.base = meta.index
        this.baseTerm = meta.term
        this.list = []
      }
    }
    if (write.truncateFrom !== undefined) {
      if (write.truncateFrom <= this.base)
        throw new RangeError('truncation into the compacted head of the log')
      this.list.length = Math.min(this.list.length, write.truncateFrom - this.base - 1)
    }
    for (const entry of write.entries) {
      if (entry.index !== this.lastIndex() + 1)
        throw new RangeError(`entry ${entry.index} written behind ${this.lastIndex()}`)
      this.list.push(entry)
    }
  }

  compact(index: LogIndex): void {
    if (index <= this.base) return
    const term = this.termAt(index)
    if (term === undefined) throw new RangeError(`compaction to ${index} beyond the log`)
    this.list = this.list.slice(index - this.base)
    this.base = index
    this.baseTerm = term
  }
}

/** A write and what the driver's batch would contain with it. */
export interface Batch {
  readonly write: Write
  readonly applied: AppliedRecord
}

export class Disk {
  boot = 0
  hardState: HardState
  log: TestLog
  applied: AppliedRecord
  readonly staged = new Map<string, StagedSnapshot>()

  constructor(hardState: HardState, log: TestLog, applied: AppliedRecord) {
    this.hardState = hardState
    this.log = log
    this.applied = applied
  }

  /** One batch becomes durable as a whole. */
  write(batch: Batch): void {
    this.log.write(batch.write)
    const { term, vote, commit } = batch.write.hardState
    // A newer term may have been stored ahead of these entries.
    const isNewest = term > this.hardState.term || (term === this.hardState.term && vote !== undefined)
    this.hardState = isNewest ? { term, vote, commit } : { ...this.hardState, commit }
    const snapshot = batch.write.snapshot
    if (snapshot !== undefined) this.applied = recordOf(this.stagedUnder(snapshot.snapshotId))
    else if (batch.applied.index > this.applied.index) this.applied = batch.applied
  }

  stagedUnder(snapshotId: string): StagedSnapshot {
    const staged = this.staged.get(snapshotId)
    if (staged === undefined) throw new Error(`no snapshot is staged under ${snapshotId}`)
    return staged
  }
}

export const recordOf = (snapshot: StagedSnapshot): AppliedRecord => ({
  index: snapshot.meta.index,
  term: snapshot.meta.term,
  state: snapshot.meta.state,
  clusterTimeMs: snapshot.clusterTimeMs,
  machine: snapshot.machine,
})

export const NO_TERM = asTerm(0)
export const NO_INDEX = asIndex(0)
