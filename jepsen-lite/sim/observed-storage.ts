// The shipped store of one process. The checker observes its calls.

import type { LogIndex } from '../../src/raft/types.ts'
import type {
  AppliedRecord,
  Done,
  Range,
  Room,
  RowScan,
  SnapshotSink,
  SnapshotSource,
  Storage,
  StorageBatch,
} from '../../src/storage/index.ts'
import type { RowHash, RowRead, RowWatcher, RowWrite } from '../../src/storage/types.ts'
import type { SimEngine } from './disk.ts'
import type { Invariants, ObservedReplica } from './invariants.ts'

/** Receives the calls. */
export interface Seen {
  written(batch: StorageBatch): void
  applied(): void
}

export class ObservedStorage implements Storage {
  readonly #inner: Storage
  readonly #engine: SimEngine
  readonly #replica: ObservedReplica
  readonly #invariants: Invariants
  readonly #isOver: () => boolean
  readonly #seen: Seen
  readonly identity
  readonly boot
  readonly hardState
  readonly log
  readonly batchLimits

  constructor(
    inner: Storage,
    engine: SimEngine,
    replica: ObservedReplica,
    invariants: Invariants,
    isOver: () => boolean,
    seen: Seen,
  ) {
    this.#inner = inner
    this.#engine = engine
    this.#replica = replica
    this.#invariants = invariants
    this.#isOver = isOver
    this.#seen = seen
    this.identity = inner.identity
    this.boot = inner.boot
    this.hardState = inner.hardState
    this.log = inner.log
    this.batchLimits = inner.batchLimits
  }

  get applied(): AppliedRecord {
    return this.#inner.applied
  }
  get stateHash(): bigint {
    return this.#inner.stateHash
  }
  get dirty(): boolean {
    return this.#inner.dirty
  }
  get rowsLeft(): boolean {
    return this.#inner.rowsLeft
  }
  get appliedSubmitted(): LogIndex {
    return this.#inner.appliedSubmitted
  }
  get hasGarbage(): boolean {
    return this.#inner.hasGarbage
  }

  begin(index: LogIndex, room: Room): void {
    this.#inner.begin(index, room)
  }
  change(change: RowWrite): RowHash {
    return this.#inner.change(change)
  }
  end(record: AppliedRecord): void {
    this.#inner.end(record)
    this.#seen.applied()
    // Entries that a node applies in the turn in which it ended can never be observed.
    if (this.#isOver()) return
    this.#invariants.applies(this.#replica, record, this.#inner.stateHash)
  }

  write(batch: StorageBatch, done: Done): void {
    // The store decides which rows fit beside the writes.
    this.#engine.label = this.#invariants.begins(this.#replica, batch, () => this.#inner.appliedSubmitted)
    const installs = batch.writes.some((write) => write.snapshot !== undefined)
    this.#inner.write(batch, (error) => {
      if (error === undefined) {
        if (installs) this.#invariants.installed(this.#replica, this.#inner)
        this.#seen.written(batch)
      }
      done(error)
    })
    this.#engine.label = undefined
  }

  compact(done: Done, isRoom?: () => boolean): void {
    this.#inner.compact(done, isRoom)
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#inner.get(key)
  }
  head(key: Uint8Array): Uint8Array | 'absent' | undefined {
    return this.#inner.head(key)
  }
  keepHead(key: Uint8Array): boolean {
    return this.#inner.keepHead(key)
  }

  get knowsAllHeads(): boolean {
    return this.#inner.knowsAllHeads
  }
  putHead(key: Uint8Array, head: Uint8Array | undefined): void {
    this.#inner.putHead(key, head)
  }
  rowBefore(key: Uint8Array, headOnly: boolean): RowRead | undefined {
    return this.#inner.rowBefore(key, headOnly)
  }
  scan(range: Range): RowScan {
    return this.#inner.scan(range)
  }
  get openScans(): number {
    return this.#inner.openScans
  }
  endOldScans(): void {
    this.#inner.endOldScans()
  }
  watch(watcher: RowWatcher): () => void {
    return this.#inner.watch(watcher)
  }
  snapshotSource(): SnapshotSource {
    return this.#inner.snapshotSource()
  }
  snapshotSink(
    id: string,
    from: Parameters<Storage['snapshotSink']>[1],
    meta: SnapshotSource['meta'],
    done: (error: Error | undefined, sink: SnapshotSink | undefined) => void,
  ): void {
    this.#inner.snapshotSink(id, from, meta, done)
  }
  whenFailed(told: (error: Error) => void): void {
    this.#inner.whenFailed(told)
  }
  quarantine(why: string): void {
    this.#inner.quarantine(why)
  }
  close(done: Done): void {
    this.#inner.close(done)
  }
}
