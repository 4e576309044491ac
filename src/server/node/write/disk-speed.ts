// How much may wait for the disk, so that it waits for a stated time at most, whatever the disk's speed.
//
// The unit is a full batch, which is full in bytes or in entries. Each batch is a sample of the time that a full one
// needs, and the newest ones count most. A batch in flight counts as soon as it is slower than those before. Rows of
// applied entries wait for the same disk, so they count too.

import type { MonotonicMs } from '../../../raft/types.ts'
import type { BatchLimits, Room } from '../../../storage/types.ts'

/** A small batch counts as this part of a full one. A sync takes as long for few bytes as for some more. */
const PART_MIN = 1 / 16
/** Weight of a batch, relative to the next one. */
const DECAY = 0.7

export class DiskSpeed {
  readonly #limits: BatchLimits
  readonly #waitMsMax: number
  /** Weighted sums over the batches so far: their durations, and their sizes in full batches. */
  #ms = 0
  #parts = 0
  #inFlight: { readonly part: number; readonly began: MonotonicMs } | undefined

  /** `waitMsMax`: how long the newest entry may wait. */
  constructor(limits: BatchLimits, waitMsMax: number) {
    this.#limits = limits
    this.#waitMsMax = waitMsMax
  }

  /** A batch of this size has begun. */
  began(size: Room, now: MonotonicMs): void {
    this.#inFlight = { part: Math.max(PART_MIN, this.#batches(size)), began: now }
  }

  /** Notes that a batch is durable. */
  ended(now: MonotonicMs): void {
    if (this.#inFlight === undefined) return
    const { part, began } = this.#inFlight
    this.#ms = DECAY * this.#ms + now - began
    this.#parts = DECAY * this.#parts + part
    this.#inFlight = undefined
  }

  /** Bytes and entries that the disk stores in `waitMsMax`. */
  room(now: MonotonicMs): Room {
    const { batchBytesMax, batchItemsMax } = this.#limits
    const fullBatchMs = this.#fullBatchMs(now)
    const batches = fullBatchMs === 0 ? Number.POSITIVE_INFINITY : this.#waitMsMax / fullBatchMs
    return { bytes: batches * batchBytesMax, items: batches * batchItemsMax }
  }

  #batches({ bytes, items }: Room): number {
    const { batchBytesMax, batchItemsMax } = this.#limits
    return Math.max(bytes / batchBytesMax, items / batchItemsMax)
  }

  #fullBatchMs(now: MonotonicMs): number {
    const measured = this.#parts === 0 ? 0 : this.#ms / this.#parts
    if (this.#inFlight === undefined) return measured
    const { part, began } = this.#inFlight
    return Math.max(measured, (DECAY * this.#ms + now - began) / (DECAY * this.#parts + part))
  }
}
