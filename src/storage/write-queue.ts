// One write at a time, in the order given: batches of the driver, and chunks of a snapshot that is being received. Each
// ends with the meta record.

import type { Engine, EngineBatch } from './engine.ts'
import { META_KEY } from './keys.ts'
import { encodeMeta, type Meta } from './records.ts'
import type { StickyError } from './sticky-error.ts'
import type { WriteCallback } from './types.ts'

/**
 * Completes a batch when it is first in the queue. It may add to the batch, and returns meta for the end of it.
 * `sequence`: the sequence number at which the batch begins.
 */
type MetaUpdate = (meta: Meta, sequence: number) => Meta

interface Job {
  readonly batch: EngineBatch
  readonly updateMeta: MetaUpdate
  readonly done: WriteCallback
}

export class WriteQueue {
  readonly #engine: Engine
  readonly #first: StickyError
  readonly #waiting: Job[] = []
  #meta: Meta
  #isWriting = false
  #idle: (() => void) | undefined

  constructor(engine: Engine, first: StickyError, meta: Meta) {
    this.#engine = engine
    this.#first = first
    this.#meta = meta
  }

  /** Meta at the end of the newest batch that was begun. */
  get meta(): Meta {
    return this.#meta
  }

  submit(batch: EngineBatch, updateMeta: MetaUpdate, done: WriteCallback): void {
    this.#first.check()
    this.#waiting.push({ batch, updateMeta, done })
    this.#next()
  }

  /** Calls `then` once nothing is being written or waits. */
  whenIdle(then: () => void): void {
    if (!this.#isWriting) then()
    else this.#idle = then
  }

  #next(): void {
    if (this.#isWriting) return
    const job = this.#waiting.shift()
    if (job === undefined) {
      this.#idle?.()
      return
    }
    this.#isWriting = true
    this.#first.guard(() => this.#begin(job))
  }

  #begin({ batch, updateMeta, done }: Job): void {
    const { sequence } = this.#engine
    this.#meta = updateMeta(this.#meta, sequence)
    batch.put(META_KEY, encodeMeta(this.#meta, sequence + batch.operations + 1))
    this.#engine.write(batch, (error) => {
      this.#isWriting = false
      if (error !== undefined) this.#first.fail(error)
      done(this.#first.error)
      if (this.#first.error === undefined) this.#next()
      else this.#abandon()
    })
  }

  #abandon(): void {
    for (const job of this.#waiting.splice(0)) job.done(this.#first.error)
    this.#idle?.()
  }
}
