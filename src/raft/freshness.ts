// How stale the applied state is at most (design §5): proven, not guessed.
//
// A confirmed contact says: whatever was committed before my time `at` has an index ≤ `readIndex`. Once that is applied here, the state
// lacks nothing that is older than `at`, on a clock that does not stand still (`leases.ts` says when one does). Contacts wait for their index; the first and the newest are enough to neither starve nor lag.

import type { ConfirmedContact, LogIndex, MonotonicMs } from './types.ts'

export class Freshness {
  readonly #processStart: MonotonicMs
  #freshAt: MonotonicMs | undefined
  #first: ConfirmedContact | undefined
  #newest: ConfirmedContact | undefined

  constructor(processStart: MonotonicMs) {
    this.#processStart = processStart
  }

  /** The state holds everything committed before this time. */
  get freshAt(): MonotonicMs | undefined {
    return this.#freshAt
  }

  /** A time from before this process began is an echo of the process before it, on a clock that may not be this one. */
  offer(contact: ConfirmedContact, applied: LogIndex): void {
    if (contact.at < this.#processStart) return
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
