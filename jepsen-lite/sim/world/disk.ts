// The disk of one machine: the engine beneath the shipped store, with the faults of disks. It does what LevelDB does
// for the store: it is an ordered set of bytes that stores a batch whole or not at all, and the batch is durable when
// it says so. If the power goes during a batch, the batch is there afterwards, or not, or torn. When it is torn, a
// piece of its record lies at the end of the log, and opening drops it, as the shipped verification drops an incomplete
// end.

import { KeyIndex, type StoreLimits } from '../../../src/server/node/key-index/key-index.ts'
import type { Engine, EngineBatch, Scan, ScanRange } from '../../../src/storage/engine.ts'
import type { InitialState } from '../../../src/storage/first-state.ts'
import { formatEngine } from '../../../src/storage/first-state.ts'
import { fixKeyHash } from '../../../src/storage/key-hash.ts'
import { keyString } from '../../../src/storage/keys.ts'
import { openStore } from '../../../src/storage/store.ts'
import type { Identity, Storage, WriteCallback } from '../../../src/storage/types.ts'
import type { BatchEffect } from '../oracle/invariants.ts'
import { MemoryRows, type RowEdit } from './memory-rows.ts'

// The same schedule must make the same run, whatever process runs it.
fixKeyHash(1)

/** Decides about time, and is notified of every batch that has reached the disk, reported or not. */
interface DiskEvents {
  /** Calls `complete` later, never at once, and not if the process is gone by then. */
  later(what: 'write' | 'read', complete: () => void): void
  /** A batch begins. A process that dies at this moment throws here. */
  writing(): void
  /** The batch is durable and not reported yet. `label`: the one set when it was begun. */
  durable(label: BatchEffect | undefined): void
  /** A request was answered with an error. */
  failed(): void
}

/** Fate of a batch that is being written when the power fails. */
export type InFlight = 'lost' | 'kept' | 'torn'

export class SimDisk {
  identity: Identity | undefined
  /** Why no process may open it any more. */
  quarantined: string | undefined
  /** The next write fails. Its batch has reached the disk all the same, or not. */
  failNext: 'lost' | 'kept' | undefined
  full = false
  /** After this many more pages, one cannot be read. */
  failReadAfter: number | undefined
  /** Counts of the faults that took effect. */
  failedSyncs = 0
  refusedFull = 0
  failedReads = 0
  #rows = new MemoryRows()
  #sequence = 0
  #tornTail = false
  #engine: SimEngine | undefined

  /** Includes pairs of the log, and of generations that are replaced or being received. */
  get rowCount(): number {
    return this.#rows.count
  }

  /** Formats the disk. Everything on it is lost. */
  format(identity: Identity, initial: InitialState): void {
    this.crash('lost')
    this.#rows = new MemoryRows()
    this.#sequence = 0
    this.#tornTail = false
    const batch = new Batch()
    formatEngine(batch, initial)
    this.commit(batch)
    this.identity = identity
    this.quarantined = undefined
  }

  /** Opens the shipped store, recovered and checked, on this disk, or on what `under` puts between the two. */
  open(
    limits: StoreLimits,
    events: DiskEvents,
    done: (error: Error | undefined, storage: Storage | undefined) => void,
    under: (engine: Engine) => Engine = (engine) => engine,
    readsFirst = true,
  ): SimEngine | undefined {
    if (this.identity === undefined) throw new Error('the disk is not formatted')
    this.#tornTail = false
    const engine = new SimEngine(this, events)
    this.#engine = engine
    openStore(under(engine), this.identity, limits, KeyIndex.of(limits), done, readsFirst)
    return engine
  }

  /** The process is gone, with or without a loss of power. */
  crash(inFlight: InFlight): void {
    const label = this.#engine?.cut(inFlight)
    if (inFlight === 'torn' && label === 'torn') this.#tornTail = true
    this.#engine = undefined
  }

  get tornTail(): boolean {
    return this.#tornTail
  }

  takeFailedRead(): boolean {
    if (this.failReadAfter === undefined || this.failReadAfter-- > 0) return false
    this.failReadAfter = undefined
    this.failedReads++
    return true
  }

  /** A copy with separate bytes. */
  copy(): SimDisk {
    const copy = new SimDisk()
    copy.#rows = this.#rows.copy()
    copy.#sequence = this.#sequence
    copy.identity = this.identity
    copy.quarantined = this.quarantined
    return copy
  }

  /** Takes over the content of another disk. */
  become(other: SimDisk): void {
    this.crash('lost')
    const { rows, sequence } = other
    this.#rows = rows.copy()
    this.#sequence = sequence
    this.#tornTail = false
    this.quarantined = other.quarantined
  }

  holds(key: Uint8Array): boolean {
    return this.#rows.get(key) !== undefined
  }

  /** Flips one bit of one stored value; false when there is no value. `pick` and `where` may be any numbers. */
  flip(pick: number, where: number): boolean {
    return this.#rows.flip(pick, where)
  }

  // ---- the engine's side

  get rows(): MemoryRows {
    return this.#rows
  }
  get sequence(): number {
    return this.#sequence
  }

  commit(batch: Batch): void {
    this.#rows.edit(batch.list)
    this.#sequence += batch.operations
  }
}

class Batch implements EngineBatch {
  readonly list: RowEdit[] = []
  label: BatchEffect | undefined

  put(key: Uint8Array, value: Uint8Array): void {
    this.list.push([keyString(key), [key, value]])
  }
  delete(key: Uint8Array): void {
    this.list.push([keyString(key), undefined])
  }
  abandon(): void {}
  get operations(): number {
    return this.list.length
  }
}

export class SimEngine implements Engine {
  /** Attached to the batch that is begun next. */
  label: BatchEffect | undefined
  readonly #disk: SimDisk
  readonly #events: DiskEvents
  #inFlight: Batch | undefined
  #isOpen = true

  constructor(disk: SimDisk, events: DiskEvents) {
    this.#disk = disk
    this.#events = events
  }

  get sequence(): number {
    return this.#disk.sequence
  }
  get heldTo(): number {
    return this.#disk.sequence
  }
  get isWriting(): boolean {
    return this.#inFlight !== undefined
  }

  get quarantined(): string | undefined {
    return this.#disk.quarantined
  }
  quarantine(why: string): void {
    this.#disk.quarantined ??= why
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#disk.rows.get(key)
  }

  scan(range: ScanRange): Scan {
    const rows = this.#disk.rows.scan(range)
    return {
      next: (pairsMax, done) => {
        const page = rows.next(pairsMax)
        this.#later('read', () => {
          if (!this.#disk.takeFailedRead()) return done(undefined, page, page.length === 0)
          this.#events.failed()
          done(new Error('EIO: i/o error, read'), [], false)
        })
      },
      seek: (key) => rows.seek(key),
      finish: (done) => done(undefined),
      close: () => {},
    }
  }

  batch(begun?: EngineBatch): Batch {
    const { label } = this
    this.label = undefined
    const batch = begun instanceof Batch ? begun : new Batch()
    batch.label = label
    return batch
  }

  write(batch: EngineBatch, done: WriteCallback): void {
    if (!(batch instanceof Batch)) throw new TypeError('a batch of another engine')
    if (this.#inFlight !== undefined) throw new Error('two writes in flight')
    this.#inFlight = batch
    this.#later('write', () => this.#complete(batch, done))
    this.#events.writing()
  }

  #complete(batch: Batch, done: WriteCallback): void {
    const disk = this.#disk
    const { failNext } = disk
    this.#inFlight = undefined
    if (disk.full) {
      disk.refusedFull++
      this.#events.failed()
      done(new Error('ENOSPC: no space left on device'))
      return
    }
    if (failNext !== undefined) {
      disk.failNext = undefined
      disk.failedSyncs++
    }
    if (failNext !== 'lost') {
      disk.commit(batch)
      this.#events.durable(batch.label)
    }
    if (failNext !== undefined) this.#events.failed()
    done(failNext === undefined ? undefined : new Error('EIO: i/o error, fdatasync'))
  }

  /** Returns what happened to the batch in flight, if there was one. */
  cut(inFlight: InFlight): InFlight | undefined {
    this.#isOpen = false
    const batch = this.#inFlight
    this.#inFlight = undefined
    if (batch === undefined) return undefined
    if (inFlight === 'kept' && !this.#disk.full) {
      this.#disk.commit(batch)
      this.#events.durable(batch.label)
    }
    return inFlight
  }

  compactDatabase(done: WriteCallback): void {
    this.#later('read', () => done(undefined))
  }

  close(done: WriteCallback): void {
    this.#later('read', () => {
      this.#isOpen = false
      done(undefined)
    })
  }

  #later(what: 'write' | 'read', complete: () => void): void {
    this.#events.later(what, () => {
      if (this.#isOpen) complete()
    })
  }
}
