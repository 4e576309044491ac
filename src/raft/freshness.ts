// A proven upper bound on the staleness of the applied state (RAFT-22).
//
// A confirmed contact means: everything committed before this process's time `at` has an index ≤ `readIndex`. Once that
// index is applied here, the state lacks nothing older than `at`. This holds on a clock that does not stand still
// (`leader-lease.ts` says when a clock does). Contacts wait until their index is applied. Two are enough: the oldest
// guarantees progress, and the newest keeps the bound tight.

import type { ConfirmedContact, LogIndex, MonotonicMs } from './types.ts'

/**
 * Offset between the stamps of two processes of one replica, whose clocks may both begin near zero. It is longer than
 * the lifetime of a process (two years), and leaves a precision of 1/256 ms.
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

  /** Time before which everything committed is in the applied state. */
  get freshAt(): MonotonicMs | undefined {
    return this.#freshAt
  }

  /** The current time for the leader to echo, unique among the processes of this replica. */
  stamp(now: MonotonicMs): MonotonicMs {
    return this.#epoch + Math.floor(now * STEPS_PER_MS) / STEPS_PER_MS
  }

  /**
   * Takes a confirmed contact from the leader. A late echo for an earlier process proves nothing by this process's
   * clock, so it is ignored.
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
