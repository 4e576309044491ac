// A proven upper bound on how stale the applied state is (RAFT-22).
//
// A confirmed contact means: everything committed before this process's time `at` has an index ≤ `readIndex`. Once that
// index is applied here, the state lacks nothing older than `at`. This holds on a clock that does not stand still
// (`leases.ts` says when a clock does). Contacts wait until their index is applied. It is enough to keep the first and
// the newest: the first makes progress certain, and the newest keeps the bound short.

import type { ConfirmedContact, LogIndex, MonotonicMs } from './types.ts'

/**
 * Distance between the clocks of two processes of one replica, which may both begin near zero. It is longer than a
 * process lives (two years), and leaves a precision of 1/256 ms.
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

  /** This moment, as the leader receives and echoes it. Another process of this replica makes no equal stamp. */
  stamp(now: MonotonicMs): MonotonicMs {
    return this.#epoch + Math.floor(now * STEPS_PER_MS) / STEPS_PER_MS
  }

  /**
   * An echo of a contact that was confirmed to an earlier process of this replica may still arrive. It says nothing
   * about the clock of this process, so it is ignored.
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
