// Leader leases (thesis §6.4.1) as a replicated setting. The promise of all replicas and the trust of the leader are
// two sides:
//
//   promise  while the setting is on, no vote and no campaign within `durationMs` of contact with a leader
//   trust    the leader takes itself to lead for `durationMs / (1 + driftMax)` after a round began that a quorum has echoed *after it had
//            applied the setting*
//
// All of it rests on clocks that run at the same speed within `driftMax` and never stand still. A monotonic clock goes
// on while a process is stopped, but not while its machine is suspended: a leader that comes back from that may serve a
// read under a lease that is over.
//
// A setting that is in the log but not applied yet counts against us on both sides: the longer promise, the shorter
// trust.

import type { LeaseSetting, LogIndex, MonotonicMs } from './types.ts'

interface PendingSetting {
  readonly index: LogIndex
  readonly setting: LeaseSetting
}

export class Leases {
  #applied: LeaseSetting
  /** Whoever has applied this much has applied the setting. */
  #since: LogIndex
  #pending: PendingSetting[] = []

  constructor(applied: LeaseSetting, since: LogIndex) {
    this.#applied = applied
    this.#since = since
  }

  get applied(): LeaseSetting {
    return this.#applied
  }
  get since(): LogIndex {
    return this.#since
  }

  /** Settings in the log that are not applied. */
  get unapplied(): number {
    return this.#pending.length
  }

  appended(index: LogIndex, setting: LeaseSetting): void {
    this.#pending.push({ index, setting })
  }

  truncatedFrom(index: LogIndex): void {
    this.#pending = this.#pending.filter((pending) => pending.index < index)
  }

  /** Returns whether another setting holds now. */
  appliedTo(index: LogIndex): boolean {
    let changed = false
    for (let next = this.#pending[0]; next !== undefined && next.index <= index; next = this.#pending[0]) {
      this.#applied = next.setting
      this.#since = next.index
      this.#pending.shift()
      changed = true
    }
    return changed
  }

  /** A snapshot took the place of what was applied; when the setting was made is not told, but not later. */
  restored(applied: LeaseSetting, index: LogIndex): void {
    this.#applied = applied
    this.#since = index
    this.#pending = this.#pending.filter((pending) => pending.index > index)
  }

  /** How long this replica promises to respect a leader it has heard; 0: no promise. */
  get promiseMs(): MonotonicMs {
    let promise = this.#applied.on ? this.#applied.durationMs : 0
    for (const { setting } of this.#pending) if (setting.on) promise = Math.max(promise, setting.durationMs)
    return promise
  }

  /** How long a leader may trust a round, before drift; 0: not at all. "Off" counts from the moment it is appended. */
  get trustMs(): MonotonicMs {
    let trust = this.#applied.on ? this.#applied.durationMs : 0
    for (const { setting } of this.#pending) trust = Math.min(trust, setting.on ? setting.durationMs : 0)
    return trust
  }
}
