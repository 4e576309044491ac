// How stale the applied state is at most (RAFT-22): proven, not guessed.
//
// A confirmed contact says: whatever was committed before my time `at` has an index ≤ `readIndex`. Once that is applied
// here, the state lacks nothing that is older than `at`, on a clock that does not stand still (`leases.ts` says when
// one does). Contacts wait for their index; the first and the newest are enough to neither starve nor lag.

import type { ConfirmedContact, LogIndex, MonotonicMs } from './types.ts'

/**
 * Of the clocks of a replica's processes, which may all begin near zero: apart by more than any of them lives (two
 * years), and exact to 1/256 ms.
 */
const EPOCH_MS = 2 ** 36
const EPOCHS = 2 ** 8
const STEPS_PER_MS = 2 ** 8

export class Freshness {
  readonly #processStart: MonotonicMs
  readonly #epoch: MonotonicMs
  #freshAt: MonotonicMs | undefined
  #first: ConfirmedContact | undefined
  #newest: ConfirmedContact | undefined

  constructor(processStart: MonotonicMs, boot: number) {
    this.#processStart = processStart
    this.#epoch = (boot % EPOCHS) * EPOCH_MS
  }

  /** The state holds everything committed before this time. */
  get freshAt(): MonotonicMs | undefined {
    return this.#freshAt
  }

  /** This moment, as the leader is told it and echoes it: no other process of this replica tells the same. */
  stamp(now: MonotonicMs): MonotonicMs {
    return this.#epoch + Math.floor(now * STEPS_PER_MS) / STEPS_PER_MS
  }

  /**
   * What a leader has confirmed to a process before this one may still be on its way, and says nothing about the clock
   * of this one.
   */
  echoed({ at: stamp, readIndex }: ConfirmedContact, now: MonotonicMs, applied: LogIndex): void {
    const at = stamp - this.#epoch
    if (at >= this.#processStart && at <= now) this.offer({ at, readIndex }, applied)
  }

  offer(contact: ConfirmedContact, applied: LogIndex): void {
    if (this.#first === undefined) this.#first = contact
    else if (contact.at > (this.#newest ?? this.#first).at) this.#newest = contact
    this.applied(applied)
  }

  applied(index: LogIndex): void {
    while (this.#first !== undefined && this.#first.readIndex <= index) {
      if (this.#freshAt === undefined || this.#first.at > this.#freshAt) this.#freshAt = this.#first.at
      this.#first = this.#newest
      this.#newest = undefined
    }
  }
}
