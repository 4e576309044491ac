// A snapshot that is being received. Its rows go into a separate generation, which is not read until a `Write` names
// the snapshot. What has arrived survives a restart, so an interrupted transfer continues where it was, for the same
// snapshot of the same sender. There is at most one at a time.

import { asIndex, asTerm, type ReplicaId } from '../raft/types.ts'
import { asError } from '../system/errors.ts'
import { joinParts, readChunk } from './chunk.ts'
import type { Engine, EngineBatch } from './engine.ts'
import { StorageInvariantError } from './errors.ts'
import { hashOfKey } from './key-hash.ts'
import { rowPrefix, STAGING_KEY } from './keys.ts'
import { encodeStaging, type Meta, type StagingRecord } from './records.ts'
import { putRow, Row, StateHash } from './rows.ts'
import type { StickyError } from './sticky-error.ts'
import type { SnapshotSink, SnapshotSource, WriteCallback } from './types.ts'
import type { WriteQueue } from './write-queue.ts'

export class StagedSnapshot {
  readonly #engine: Engine
  readonly #first: StickyError
  readonly #queue: WriteQueue
  #staging: StagingRecord | undefined
  /** Generations of transfers that were given up. The next batch records them as dead. */
  #abandoned: number[] = []

  /** The next free generation. The stored number may be lower. */
  #nextGeneration: number

  /** `staging`: the record found at the start. */
  constructor(engine: Engine, first: StickyError, queue: WriteQueue, staging: StagingRecord | undefined) {
    this.#engine = engine
    this.#first = first
    this.#queue = queue
    this.#nextGeneration = queue.meta.nextGeneration
    // The rows of a dead generation are being deleted, so its record is ignored.
    if (staging !== undefined && !queue.meta.dead.includes(staging.generation)) this.#staging = staging
  }

  get hasAbandoned(): boolean {
    return this.#abandoned.length > 0
  }

  /** Records in a batch what was given up since the last one. */
  recordAbandoned(meta: Meta, batch: EngineBatch): Meta {
    if (this.#abandoned.length === 0) return meta
    const dead = [...meta.dead, ...this.#abandoned]
    this.#abandoned = []
    // The record of a transfer that is given up must go when its generation becomes dead. Otherwise, once the rows are
    // deleted and the generation forgotten, it would look like an open transfer. The record of a newer transfer is put
    // after this.
    batch.delete(STAGING_KEY)
    // Generations that were given up may not have been stored yet. None of them is ever used again.
    return { ...meta, dead, nextGeneration: this.#nextGeneration }
  }

  /** Returns the complete snapshot of this id. The batch that installs it removes it here. */
  takeComplete(id: string, batch: EngineBatch): StagingRecord {
    const staging = this.#staging
    if (staging?.id !== id || !staging.complete)
      throw new StorageInvariantError(`snapshot ${id} was to be installed, but does not lie here complete`)
    batch.delete(STAGING_KEY)
    this.#staging = undefined
    return staging
  }

  /** Gives up the current transfer, or a complete snapshot that was not installed, unless it ends after `index`. */
  abandonUpTo(index: number): void {
    if (this.#staging === undefined || this.#staging.applied.index > index) return
    this.#abandoned.push(this.#staging.generation)
    this.#staging = undefined
  }

  /** Gives up a transfer that is not complete. */
  abandonIncomplete(): void {
    if (this.#staging?.complete === false) this.abandonUpTo(Number.POSITIVE_INFINITY)
  }

  begin(
    id: string,
    from: ReplicaId,
    meta: SnapshotSource['meta'],
    done: (error: Error | undefined, sink: SnapshotSink | undefined) => void,
  ): void {
    const known = this.#staging
    if (known?.id === id && known.from === from) {
      done(undefined, new Sink(this, known))
      return
    }
    this.abandonUpTo(Number.POSITIVE_INFINITY)
    const generation = this.#nextGeneration++
    const { applied, stateHash } = meta
    const staging: StagingRecord = {
      id,
      from,
      generation,
      nextChunk: 0,
      received: 0n,
      complete: false,
      stateHash,
      applied: { index: asIndex(meta.index), term: asTerm(meta.term), raft: applied.raft, kv: applied.kv },
    }
    this.#staging = staging
    this.#submit(staging, [], (error) => {
      done(error, error === undefined ? new Sink(this, staging) : undefined)
    })
  }

  /**
   * Stores the rows of a chunk, or the completion, together with the new position of the transfer. `before` must be the
   * newest state.
   */
  advance(before: StagingRecord, after: StagingRecord, rows: readonly Row[], done: WriteCallback): void {
    if (this.#staging !== before) {
      done(
        this.whyGone(before) ??
          new Error(`the transfer of snapshot ${before.id} has gone on without this part`),
      )
      return
    }
    if (this.#first.error !== undefined) {
      done(this.#first.error)
      return
    }
    this.#staging = after
    // Another transfer may have replaced it.
    this.#submit(after, rows, (error) => done(error ?? this.whyGone(after)))
  }

  #submit(staging: StagingRecord, rows: readonly Row[], done: WriteCallback): void {
    const batch = this.#engine.batch()
    const fill = (before: Meta): Meta => {
      const meta = this.recordAbandoned(before, batch)
      // If it was given up while this waited, its rows are being deleted.
      if (!meta.dead.includes(staging.generation)) {
        for (const row of rows) putRow(batch, row)
        batch.put(STAGING_KEY, encodeStaging(staging))
      }
      return { ...meta, nextGeneration: this.#nextGeneration }
    }
    this.#queue.submit(batch, fill, done)
  }

  /** undefined: what has arrived of this snapshot is still here. */
  whyGone({ id, generation }: StagingRecord): Error | undefined {
    if (this.#staging?.generation === generation) return undefined
    return new Error(`the transfer of snapshot ${id} has been given up here`)
  }

  abandonIf(staging: StagingRecord): void {
    if (this.#staging === staging) this.abandonUpTo(Number.POSITIVE_INFINITY)
  }
}

class Sink implements SnapshotSink {
  readonly #staged: StagedSnapshot
  readonly #prefix: Uint8Array
  #staging: StagingRecord
  /** Parts of the next rows. They are stored when all have arrived; after a break they come again. */
  #parts: Uint8Array[] = []

  constructor(staged: StagedSnapshot, staging: StagingRecord) {
    this.#staged = staged
    this.#staging = staging
    this.#prefix = rowPrefix(staging.generation)
  }

  get nextChunk(): number {
    return this.#staging.nextChunk
  }

  write(number: number, chunk: Uint8Array, done: WriteCallback): void {
    const before = this.#staging
    try {
      const expected = before.nextChunk + this.#parts.length
      if (number !== expected || before.complete)
        throw new RangeError(`chunk ${number} of snapshot ${before.id} instead of ${expected}`)
      const read = readChunk(before.id, number, chunk)
      if ('left' in read) this.#parts.push(read.bytes)
      if ('left' in read && read.left > 0) {
        done(this.#staged.whyGone(before))
        return
      }
      const pairs = 'left' in read ? joinParts(before.id, this.#parts.splice(0)) : read
      const received = new StateHash(before.received)
      const rows = pairs.map(({ key, value }) => {
        const row = new Row(this.#prefix, key, hashOfKey(key), value)
        received.add(row)
        return row
      })
      this.#staging = { ...before, nextChunk: number + 1, received: received.value }
      this.#staged.advance(before, this.#staging, rows, done)
    } catch (thrown) {
      done(asError(thrown))
    }
  }

  finish(done: WriteCallback): void {
    const before = this.#staging
    if (before.complete) {
      // It may not be durable yet: the first call of `finish` may still wait for the disk.
      this.#staged.advance(before, before, [], done)
    } else if (before.received !== before.stateHash) {
      this.abort()
      done(new Error(`snapshot ${before.id} arrived with other rows than it was sent with`))
    } else {
      this.#staging = { ...before, complete: true }
      this.#staged.advance(before, this.#staging, [], done)
    }
  }

  abort(): void {
    this.#staged.abandonIf(this.#staging)
  }
}
