// Leader leases (thesis §6.4.1) as a replicated setting. One rule binds all replicas, and one the leader:
//
//   promise  while the setting is on, no vote and no campaign within `durationMs` of contact with a leader
//   trust    the leader assumes that it leads for `durationMs / (1 + driftMax)` after a round began that a quorum has
//            echoed *after it had applied the setting*
//
// Both require clocks that run at the same speed within `driftMax` and never stand still. A monotonic clock continues
// while a process is stopped, but not while its machine is suspended. After a suspension a leader may serve a read
// under an expired lease.
//
// A setting that is in the log but not applied makes both rules stricter: the longer promise and the shorter trust
// count.

import type { LeaderLeaseSetting, LogIndex, MonotonicMs } from './types.ts'

interface PendingSetting {
  readonly index: LogIndex
  readonly setting: LeaderLeaseSetting
}

export class LeaderLeaseSettings {
  #applied: LeaderLeaseSetting
  /** Index of the entry that made the setting, or a later one after a snapshot. */
  #since: LogIndex
  #pending: PendingSetting[] = []

  constructor(applied: LeaderLeaseSetting, since: LogIndex) {
    this.#applied = applied
    this.#since = since
  }

  get applied(): LeaderLeaseSetting {
    return this.#applied
  }
  get since(): LogIndex {
    return this.#since
  }

  /** Number of settings in the log that are not applied. */
  get unapplied(): number {
    return this.#pending.length
  }

  appended(index: LogIndex, setting: LeaderLeaseSetting): void {
    this.#pending.push({ index, setting })
  }

  truncatedFrom(index: LogIndex): void {
    this.#pending = this.#pending.filter((pending) => pending.index < index)
  }

  /** Applies the settings up to `index`. Returns whether there was one. */
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

  /** Takes the setting of a snapshot. Its own index is unknown, but at most `index`. */
  restored(applied: LeaderLeaseSetting, index: LogIndex): void {
    this.#applied = applied
    this.#since = index
    this.#pending = this.#pending.filter((pending) => pending.index > index)
  }

  /** Duration of the promise after contact with a leader; 0: no promise. */
  get promiseMs(): MonotonicMs {
    let promise = this.#applied.on ? this.#applied.durationMs : 0
    for (const { setting } of this.#pending) if (setting.on) promise = Math.max(promise, setting.durationMs)
    return promise
  }

  /** Time for which a leader may trust a round, before drift; 0: none. "Off" takes effect when it is appended. */
  get trustMs(): MonotonicMs {
    let trust = this.#applied.on ? this.#applied.durationMs : 0
    for (const { setting } of this.#pending) trust = Math.min(trust, setting.on ? setting.durationMs : 0)
    return trust
  }
}

/** Limit on the rounds that can extend a lease and are not confirmed yet. */
export const LEADER_LEASE_ROUNDS_MAX = 1_000

/** The lease of one leader in one term. */
export class LeaderLease {
  /** Start of the newest confirmed round. */
  #since: MonotonicMs = Number.NEGATIVE_INFINITY
  /** Rounds that are not confirmed yet, oldest first. */
  #rounds: { readonly number: number; readonly startedAt: MonotonicMs }[] = []
  #ended = false

  get openRounds(): number {
    return this.#rounds.length
  }

  /**
   * Records a round, unless it began a moment after the last recorded one, whose confirmation extends the lease as
   * well.
   */
  began(number: number, startedAt: MonotonicMs, durationMs: number): void {
    const last = this.#rounds.at(-1)
    if (last !== undefined && startedAt - last.startedAt < durationMs / LEADER_LEASE_ROUNDS_MAX) return
    this.#rounds.push({ number, startedAt })
  }

  /**
   * Extends the lease: a quorum that keeps the promise has echoed all rounds up to `number`. Rounds older than the
   * duration of a lease are dropped, because they could not extend it.
   */
  confirmed(number: number, now: MonotonicMs, durationMs: number): void {
    const tooOld = now - durationMs
    let done = 0
    for (const round of this.#rounds) {
      if (round.number <= number) this.#since = round.startedAt
      else if (round.startedAt > tooOld) break
      done++
    }
    this.#rounds.splice(0, done)
  }

  /** Starts over with a new setting, whose promise earlier responses do not include. */
  restart(): void {
    this.#since = Number.NEGATIVE_INFINITY
    this.#rounds = []
  }

  /**
   * Ends the lease for the rest of the term when a transfer begins. Voters grant its target a vote despite promises.
   */
  end(): void {
    this.#ended = true
  }

  holds(now: MonotonicMs, trustMs: number, driftMax: number): boolean {
    return !this.#ended && now < this.#since + trustMs / (1 + driftMax)
  }
}
