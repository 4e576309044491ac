// The storage of one replica, on any engine.

import { asIndex, type LogIndex, type ReplicaId } from '../raft/types.ts'
import type { EmptyRanges } from './empty-ranges.ts'
import type { Engine, EngineBatch } from './engine.ts'
import { EntryInParts } from './entry-in-parts.ts'
import { CorruptionError, StorageClosedError, StorageInvariantError, StorageRefusedError } from './errors.ts'
import { GenerationCleaner } from './generation-cleaner.ts'
import { IoScheduler } from './io-scheduler.ts'
import { hashOfKey } from './key-hash.ts'
import { ALL_ROWS, APPLIED_KEY, META_KEY, prefixed, rowPrefix, STAGING_KEY } from './keys.ts'
import { DurableLog, type LogChange } from './log.ts'
import { Overlay, type Submission } from './overlay.ts'
import {
  type AppliedState,
  decodeAppliedRecord,
  decodeMeta,
  decodeStaging,
  encodeAppliedRecord,
  type Meta,
  type StagingRecord,
} from './records.ts'
import type { RowIndex } from './row-index.ts'
import { RowLoader } from './row-loader.ts'
import { OverlayScan } from './row-scan.ts'
import { RowSum } from './row-sum.ts'
import { hashAt, hashOfStored, openRow, putRow, Row, StateHash } from './rows.ts'
import { ScanSource } from './snapshot-source.ts'
import { StagedSnapshot } from './staged-snapshot.ts'
import { StickyError } from './sticky-error.ts'
import type {
  AppliedRecord,
  BatchLimits,
  HardState,
  Identity,
  Range,
  Room,
  RowObserver,
  RowRead,
  RowScan,
  RowWrite,
  SnapshotSink,
  SnapshotSource,
  Storage,
  StorageBatch,
  StoredRowHash,
  Write,
  WriteCallback,
} from './types.ts'
import { WriteQueue } from './write-queue.ts'

export const storeLimits: BatchLimits = {
  batchBytesMax: 1024 * 1024,
  batchItemsMax: 4096,
}

/**
 * Recovers and checks the content of the engine, and raises the boot counter. `CorruptionError`: the content
 * contradicts itself. `readsFirst`: reads all rows before `done` is called; otherwise in the background.
 */
export function openStore(
  engine: Engine,
  identity: Identity,
  limits: BatchLimits,
  index: RowIndex,
  done: (error: Error | undefined, storage: Storage | undefined) => void,
  readsFirst = true,
): void {
  const first = new StickyError(engine.dir)
  try {
    const { quarantined } = engine
    if (quarantined !== undefined)
      throw new StorageRefusedError(
        `Node ${identity.name} was put under quarantine: ${quarantined} ` +
          `Only where no majority can be had without it, delete the file QUARANTINE in its directory, and start it again.`,
      )
    const { meta, state, staging } = readState(engine)
    const log = new DurableLog(engine, first, meta.logStart)
    log.recover(meta.logEnd, (logError) => {
      if (logError !== undefined) return done(first.fail(logError), undefined)
      const booted = { ...meta, boot: meta.boot + 1 }
      const queue = new WriteQueue(engine, first, booted)
      queue.submit(
        engine.batch(),
        (now) => now,
        (error) => {
          if (error !== undefined) return done(error, undefined)
          const store = new Store({ engine, identity, limits, index, first, log, queue, state, staging })
          store.load(readsFirst, (unproven) =>
            unproven === undefined ? done(undefined, store) : done(unproven, undefined),
          )
        },
      )
    })
  } catch (thrown) {
    done(first.fail(thrown), undefined)
  }
}

interface StoreRecords {
  readonly meta: Meta
  readonly state: AppliedState
  /** The snapshot that was being received. */
  readonly staging: StagingRecord | undefined
}

/**
 * The records beside log and rows: the newest, and consistent with each other. These are all that a start reads of
 * them. A refused directory stays unchanged.
 */
function readState(engine: Engine): StoreRecords {
  const sealedMeta = engine.get(META_KEY)
  const sealedApplied = engine.get(APPLIED_KEY)
  if (sealedMeta === undefined) throw new CorruptionError('the meta record is missing')
  if (sealedApplied === undefined) throw new CorruptionError('the applied record is missing')
  const { meta, sequence } = decodeMeta(sealedMeta)
  const state = decodeAppliedRecord(sealedApplied)
  if (sequence < engine.heldTo || sequence > engine.sequence)
    throw new CorruptionError(
      `the meta record is of sequence number ${sequence}, the database ends at ${engine.sequence}`,
    )
  if (state.sequence !== meta.appliedAt)
    throw new CorruptionError(
      `the applied record is of sequence number ${state.sequence}, not of ${meta.appliedAt}`,
    )
  const { index } = state.applied
  const { logStart, logEnd, hardState } = meta
  if (index < logStart.index || index > logEnd.index || hardState.commit > logEnd.index)
    throw new CorruptionError(
      `applied index ${index}, commit index ${hardState.commit} and a log of (${logStart.index}, ${logEnd.index}] do not fit together`,
    )
  return { meta, state, staging: readStaging(engine, meta) }
}

function readStaging(engine: Engine, { generation, nextGeneration }: Meta): StagingRecord | undefined {
  const sealed = engine.get(STAGING_KEY)
  if (sealed === undefined) return undefined
  const staging = decodeStaging(sealed)
  // If an older generation were given up, the rows of the state would be deleted with it.
  if (staging.generation <= generation || staging.generation >= nextGeneration)
    throw new CorruptionError(
      `the staging record is of generation ${staging.generation}, which is not between ${generation} and ${nextGeneration}`,
    )
  return staging
}

interface StoreOptions {
  readonly engine: Engine
  readonly identity: Identity
  readonly limits: BatchLimits
  readonly index: RowIndex
  readonly first: StickyError
  readonly log: DurableLog
  readonly queue: WriteQueue
  readonly state: AppliedState
  readonly staging: StagingRecord | undefined
}

class Store implements Storage {
  readonly identity: Identity
  readonly boot: number
  readonly hardState: HardState
  readonly batchLimits: BatchLimits
  readonly #engine: Engine
  readonly #first: StickyError
  readonly log: DurableLog
  readonly #queue: WriteQueue
  readonly #staged: StagedSnapshot
  readonly #generationCleaner: GenerationCleaner
  /** Room for rows in one batch. */
  readonly #room: Room
  readonly #overlay: Overlay
  readonly #scans = new Set<OverlayScan>()
  readonly #observers = new Set<RowObserver>()
  readonly #index: RowIndex
  readonly #scheduler = new IoScheduler()
  readonly #loader: RowLoader
  applied: AppliedRecord
  #stateHash: StateHash
  #generation: number
  #prefix: Uint8Array
  /** Index of the newest applied record that a batch holds. */
  appliedSubmitted: LogIndex
  rowsLeft = false
  areRowsProven = false
  #isWriting = false
  /** Some rows of an entry may have changed, and others have not. */
  #isApplying = false
  /** The entry that is being applied, if that is done in parts. It has changed nothing that others read. */
  #entryInParts: EntryInParts | undefined
  /** A snapshot is about to replace all rows: nothing may be applied. */
  #isInstalling = false
  #isClosed = false
  #sources = 0

  constructor({ engine, identity, limits, index, first, log, queue, state, staging }: StoreOptions) {
    this.identity = identity
    this.batchLimits = limits
    this.#room = { bytes: limits.batchBytesMax, items: limits.batchItemsMax }
    this.#overlay = new Overlay(this.#room)
    this.#index = index
    this.#loader = new RowLoader(engine, first, this.#scheduler, index)
    this.boot = queue.meta.boot
    this.hardState = queue.meta.hardState
    this.#engine = engine
    this.#first = first
    this.log = log
    this.#queue = queue
    this.#staged = new StagedSnapshot(engine, first, queue, staging)
    this.#generationCleaner = new GenerationCleaner(engine, first, limits.batchBytesMax)
    this.applied = state.applied
    this.appliedSubmitted = state.applied.index
    this.#stateHash = new StateHash(state.stateHash)
    this.#generation = queue.meta.generation
    this.#prefix = rowPrefix(this.#generation)
  }

  /** Reads all rows, before `done` is called or in the background. Called once, before any other method. */
  load(readsFirst: boolean, done: WriteCallback): void {
    const begun = (): void => {
      this.#generationCleaner.readAhead(this.#queue.meta.dead)
      done(undefined)
    }
    const { index } = this.applied
    if (!readsFirst) {
      this.#loader.readInBackground(this.#generation, index)
      begun()
      return
    }
    this.#loader.readFirst(this.#generation, index, this.#stateHash.value, (error) => {
      if (error !== undefined) return done(error)
      this.areRowsProven = true
      begun()
    })
  }

  get stateHash(): bigint {
    return this.#entryInParts?.before.stateHash ?? this.#stateHash.value
  }
  get hashOfChanges(): bigint | undefined {
    return this.#entryInParts && this.#stateHash.value
  }
  get dirty(): boolean {
    return this.applied.index > this.appliedSubmitted
  }
  get overlayBytes(): number {
    return this.#overlay.bytes
  }
  get rowBytesInFlight(): number {
    return this.#overlay.submittedBytes
  }
  get hasGarbage(): boolean {
    return this.#staged.hasAbandoned || this.#queue.meta.dead.length > 0
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Rows

  get(key: Uint8Array): Uint8Array | undefined {
    this.#check()
    return this.#first.guard(() => {
      const hash = hashOfKey(key)
      const stored = this.#stored(key, hash)
      // Memory has the changes of an entry in parts already.
      if (this.#entryInParts === undefined) this.#compare(key, hash, stored)
      return stored === undefined ? undefined : openRow(key, stored)
    })
  }

  /** Throws unless a row that was read is the one that memory knows. Rows that are written once are not known there. */
  #compare(key: Uint8Array, hash: number, stored: Uint8Array | undefined): void {
    if (this.#index.isWrittenOnce(key)) return
    const known = this.#index.known(key, hash)
    if (known === undefined) return
    const isSame =
      known === 'absent'
        ? stored === undefined
        : stored !== undefined &&
          known.mix === (hashAt(stored, stored.length - 8) | 0) &&
          known.crc === (hashAt(stored, stored.length - 4) | 0)
    if (!isSame)
      throw new CorruptionError(
        `the row with key 0x${Buffer.from(key).toString('hex')} is ${stored === undefined ? 'gone' : 'another one than memory knows'}`,
      )
  }

  keyMetadata(key: Uint8Array): Uint8Array | 'absent' | undefined {
    this.#check()
    const before = this.#entryInParts === undefined ? 'unchanged' : this.#entryInParts.keyMetadataBefore(key)
    return before === 'unchanged' ? this.#keyMetadataNow(key, hashOfKey(key)) : before
  }

  #keyMetadataNow(key: Uint8Array, hash: number): Uint8Array | 'absent' | undefined {
    const known = this.#index.known(key, hash)
    if (known === undefined) return this.#index.knowsAllKeyMetadata ? 'absent' : undefined
    return known === 'absent' ? known : known.bytes
  }

  get knowsAllKeyMetadata(): boolean {
    return this.#index.knowsAllKeyMetadata
  }

  keepKeyMetadata(key: Uint8Array): boolean {
    this.#check()
    return this.#index.keepKeyMetadata(key)
  }

  putKeyMetadata(key: Uint8Array, metadata: Uint8Array | undefined): void {
    this.#index.putKeyMetadata(key, metadata)
  }

  get emptyRanges(): EmptyRanges {
    return this.#index.emptyRanges
  }

  rowBefore(key: Uint8Array, headOnly: boolean): RowRead | undefined {
    this.#check()
    const hash = hashOfKey(key)
    try {
      const isWrittenOnce = this.#index.isWrittenOnce(key)
      if (!isWrittenOnce) {
        const known = this.#index.known(key, hash)
        if (known === 'absent') return undefined
        const isInMemoryOnly = this.#index.isInMemoryOnly(key)
        if (known !== undefined && (headOnly || isInMemoryOnly)) return known
        if (isInMemoryOnly && this.#index.knowsAllKeyMetadata) return undefined
        if (isInMemoryOnly)
          throw new StorageInvariantError('an entry was to be applied whose keys are not in memory')
      }
      const stored = this.#storedNow(key, hash)
      // The row is opened first, because only checked rows may be remembered.
      const bytes = stored === undefined ? undefined : openRow(key, stored)
      this.#compare(key, hash, stored)
      if (!isWrittenOnce) this.#index.remember(key, hash, stored)
      return stored === undefined || bytes === undefined ? undefined : found(bytes, stored)
    } catch (thrown) {
      throw this.#first.fail(thrown)
    }
  }

  /** A stored row as the entry that is being applied sees it. */
  #storedNow(key: Uint8Array, hash: number): Uint8Array | undefined {
    const changed = this.#entryInParts?.get(key, hash)
    return changed === undefined ? this.#stored(key, hash) : changed.stored
  }

  #stored(key: Uint8Array, hash: number): Uint8Array | undefined {
    const overlaid = this.#overlay.get(key, hash)
    return overlaid === undefined ? this.#engine.get(prefixed(this.#prefix, key)) : overlaid.stored
  }

  begin(index: LogIndex, room: Room, inParts = false): void {
    this.#check()
    if (this.#isInstalling)
      throw new StorageInvariantError(`index ${index} was to be applied while a snapshot is being installed`)
    if (index <= this.applied.index)
      throw new StorageInvariantError(`index ${index} was to be applied after ${this.applied.index}`)
    if (this.#entryInParts !== undefined)
      throw new StorageInvariantError(`index ${index} was to be applied while another entry is`)
    this.#index.beginEntry(index)
    if (inParts) {
      this.#entryInParts = new EntryInParts(this.#state(), this.#engine.batch())
      return
    }
    if (room.items > 0) this.#overlay.makeRoom(room, this.#state)
    this.#isApplying = true
  }

  prepare(rowsMax: number): boolean {
    return this.#first.guard(() => this.#entryInParts?.prepare(rowsMax) ?? false)
  }

  change(change: RowWrite): StoredRowHash {
    this.#first.check()
    try {
      return this.#change(change)
    } catch (thrown) {
      throw this.#first.fail(thrown)
    }
  }

  end(record: AppliedRecord): void {
    this.#index.endEntry()
    this.#isApplying = false
    const parts = this.#entryInParts
    if (parts !== undefined) {
      if (parts.prepare(1)) throw new StorageInvariantError('an entry was to end before its batch was made')
      const state = { applied: record, stateHash: this.#stateHash.value }
      this.#overlay.add(parts.layer(state), this.#state)
      this.#entryInParts = undefined
    }
    this.applied = record
  }

  #change({ key, value, rest, before }: RowWrite): StoredRowHash {
    const hash = hashOfKey(key)
    if (this.#index.isInMemoryOnly(key)) {
      this.#entryInParts?.keepKeyMetadata(key, this.#keyMetadataNow(key, hash))
      this.#index.put(key, hash, value)
      return NO_HASH
    }
    const row = new Row(this.#prefix, key, hash, value, rest)
    const old = before === undefined ? this.#hashBefore(key, hash) : (before ?? undefined)
    if (old !== undefined) this.#stateHash.subtract(old)
    if (!row.isDeleted) this.#stateHash.add(row)
    if (this.#observers.size > 0) this.#tellObservers(key, old, row)
    if (!this.#index.isWrittenOnce(key)) this.#index.changed(key, row, old)
    if (this.#entryInParts === undefined) this.#overlay.put(row)
    else this.#entryInParts.put(row)
    return row
  }

  #tellObservers(key: Uint8Array, old: StoredRowHash | undefined, { isDeleted, mix, crc }: Row): void {
    // The old row is valid only now: its memory is used again.
    const before = old && { mix: old.mix, crc: old.crc }
    const after = isDeleted ? undefined : { mix, crc }
    for (const observer of this.#observers) observer.changed(key, before, after)
  }

  /** The hash of a row before a change. */
  #hashBefore(key: Uint8Array, hash: number): StoredRowHash | undefined {
    const known = this.#index.known(key, hash)
    if (known !== undefined) return known === 'absent' ? undefined : known
    const stored = this.#storedNow(key, hash)
    if (stored === undefined) return undefined
    openRow(key, stored)
    return hashOfStored(stored)
  }

  damaged(what: string): Error {
    return this.#first.fail(new CorruptionError(what))
  }

  scan(range: Range): RowScan {
    return this.#scan(range)
  }

  scanAll(): RowScan {
    return this.#scan({ ...ALL_ROWS, reverse: false }, new RowSum())
  }

  #scan(range: Range, sum?: RowSum): RowScan {
    this.#check()
    return this.#first.guard(() => {
      const { gte, lt, reverse, keysOnly = false } = range
      const state = this.#state()
      const prefix = this.#prefix
      const layers = this.#overlay.freeze(() => state)
      const engineRange = { gte: prefixed(prefix, gte), lt: prefixed(prefix, lt), reverse, keysOnly }
      const opened: OverlayScan = new OverlayScan(
        state,
        this.#engine.scan(engineRange),
        layers,
        prefix,
        range,
        this.#first,
        this.#scheduler,
        () => this.#scans.delete(opened),
        sum,
      )
      this.#scans.add(opened)
      return opened
    })
  }

  get openScans(): number {
    return this.#scans.size
  }

  endOldScans(): void {
    for (const scan of [...this.#scans]) scan.endIfOld()
  }

  observe(observer: RowObserver): () => void {
    this.#observers.add(observer)
    return () => void this.#observers.delete(observer)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Batches

  write(batch: StorageBatch, done: WriteCallback): void {
    this.#check()
    if (this.#isWriting) throw new StorageInvariantError('a batch is being written already')
    const { hardState, writes } = batch
    this.#assertNothingForgotten(hardState)
    this.#isWriting = true
    this.#scheduler.begin()
    this.#first.guard(() => {
      this.#staged.abandonUpTo(this.applied.index)
      const snapshot = writes.findLast((write) => write.snapshot !== undefined)?.snapshot
      const rows = snapshot === undefined ? this.#submitRows(hardState.commit) : this.#overlay.submitAll()
      this.rowsLeft = rows.left
      const pending = this.#engine.batch(rows.batch)
      const install = snapshot && this.#takeInstalledSnapshot(snapshot, pending)
      for (const row of rows.rows) putRow(pending, row)
      const state = install ?? (this.dirty ? rows.state : undefined)
      this.appliedSubmitted = state?.applied.index ?? this.appliedSubmitted
      const log = this.#changeLog(batch, this.appliedSubmitted, pending)
      const swept = this.#generationCleaner.sweep(pending)
      const fill = (before: Meta, sequence: number): Meta => {
        const meta = this.#staged.recordAbandoned(before, pending)
        if (state !== undefined) pending.put(APPLIED_KEY, encodeAppliedRecord(state, sequence))
        return {
          ...afterGenerations(meta, install?.generation, swept),
          hardState,
          logStart: log.logStart,
          logEnd: log.logEnd,
          appliedAt: state === undefined ? meta.appliedAt : sequence,
        }
      }
      this.#queue.submit(pending, fill, (error) => {
        this.#isWriting = false
        if (error !== undefined) return done(error)
        log.stored()
        rows.stored()
        if (install !== undefined) this.#switchTo(install)
        this.#generationCleaner.readAhead(this.#queue.meta.dead)
        done(undefined)
        this.#scheduler.end()
      })
    })
  }

  /** Rows for one batch, as many as it may hold. They come from entries that are committed in this log. */
  #submitRows(commit: LogIndex): Submission {
    const { bytes, items } = this.#room
    return this.#overlay.submit(
      { bytes: bytes - this.#generationCleaner.bytes, items },
      commit,
      this.#state(),
    )
  }

  /** The newest state that others may see. */
  readonly #state = (): AppliedState => {
    if (this.#entryInParts !== undefined) return this.#entryInParts.before
    // Apply has thrown. Half an entry must not become durable.
    if (this.#isApplying)
      throw new StorageInvariantError(
        `rows were to be taken while an entry after ${this.applied.index} is applied`,
      )
    return { applied: this.applied, stateHash: this.#stateHash.value }
  }

  /** `applied`: the applied index that is durable with this batch. */
  #changeLog(
    { writes, hardState, compactLogTo = asIndex(0) }: StorageBatch,
    applied: LogIndex,
    pending: EngineBatch,
  ): LogChange {
    const to = asIndex(Math.min(compactLogTo, applied))
    const change = this.log.change(writes, to, this.#queue.meta.hardState.commit, pending)
    const { index } = change.logEnd
    if (applied > index || hardState.commit > index)
      throw new StorageInvariantError(
        `applied ${applied} or commit ${hardState.commit} beyond the end of the log, ${index}`,
      )
    return change
  }

  /** Term, vote and commit never go back (paper figure 2). */
  #assertNothingForgotten({ term, vote, commit }: HardState): void {
    const before = this.#queue.meta.hardState
    const revoted = term === before.term && before.vote !== undefined && vote !== before.vote
    if (term < before.term || revoted || commit < before.commit)
      throw new StorageInvariantError(
        `hard state {term ${term}, vote ${vote}, commit ${commit}} after {term ${before.term}, vote ${before.vote}, commit ${before.commit}}`,
      )
  }

  /** Takes the rows of a received snapshot. They become the state with this batch. */
  #takeInstalledSnapshot(snapshot: NonNullable<Write['snapshot']>, batch: EngineBatch): StagingRecord {
    const staging = this.#staged.takeComplete(snapshot.snapshotId, batch)
    this.#isInstalling = true
    const { index, term } = staging.applied
    if (snapshot.meta.index !== index || snapshot.meta.term !== term || index <= this.applied.index)
      throw new StorageInvariantError(
        `snapshot ${snapshot.snapshotId} of index ${index} was to be installed as ${snapshot.meta.index}, over ${this.applied.index}`,
      )
    return staging
  }

  #switchTo(staging: StagingRecord): void {
    this.#isInstalling = false
    // The snapshot has the changes of an entry that was being applied.
    this.#entryInParts?.abandon()
    this.#entryInParts = undefined
    this.areRowsProven = false
    this.#loader.readInBackground(staging.generation, staging.applied.index)
    this.applied = staging.applied
    this.#stateHash = new StateHash(staging.stateHash)
    this.#generation = staging.generation
    this.#prefix = rowPrefix(this.#generation)
    for (const observer of this.#observers) observer.replaced()
  }

  // -------------------------------------------------------------------------------------------------------------------
  // Snapshots

  snapshotSource(): SnapshotSource {
    this.#sources++
    return new ScanSource(`${this.identity.replicaId}-${this.boot}-${this.#sources}`, this.scanAll())
  }

  snapshotSink(
    id: string,
    from: ReplicaId,
    meta: SnapshotSource['meta'],
    done: (error: Error | undefined, sink: SnapshotSink | undefined) => void,
  ): void {
    this.#check()
    this.#staged.begin(id, from, meta, done)
  }

  // -------------------------------------------------------------------------------------------------------------------
  // The end

  whenFailed(listener: (error: Error) => void): void {
    this.#first.whenFailed(listener)
  }

  compactDatabase(done: WriteCallback, isRoom?: () => boolean): void {
    this.#check()
    this.#staged.abandonIncomplete()
    this.#engine.compactDatabase(
      (error) => done(error === undefined ? undefined : this.#first.fail(error)),
      isRoom,
    )
  }

  quarantine(why: string): void {
    this.#engine.quarantine(why)
  }

  close(done: WriteCallback): void {
    this.#isClosed = true
    if (this.#first.error !== undefined) {
      done(this.#first.error)
      return
    }
    // Their readers must stop: from now on each call throws.
    for (const scan of [...this.#scans]) scan.end(new StorageClosedError())
    this.#queue.whenIdle(() => {
      if (this.#first.error !== undefined) return done(this.#first.error)
      this.#loader.close()
      this.#generationCleaner.close()
      this.#engine.close(done)
    })
  }

  #check(): void {
    this.#first.check()
    if (this.#isClosed) throw new StorageClosedError()
  }
}

/** The hash of rows that are in memory only. */
const NO_HASH: StoredRowHash = { mix: 0, crc: 0 }

const found = (bytes: Uint8Array, stored: Uint8Array): RowRead => ({
  bytes,
  length: bytes.length,
  ...hashOfStored(stored),
})

/** Meta after `swept` has become empty and, with `installed`, the rows of another generation have become the state. */
function afterGenerations(meta: Meta, installed: number | undefined, swept: number | undefined): Meta {
  const dead = meta.dead.filter((generation) => generation !== swept)
  if (installed === undefined) return { ...meta, dead }
  return { ...meta, generation: installed, dead: [...dead, meta.generation] }
}
