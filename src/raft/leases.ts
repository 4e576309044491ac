// Leader leases (thesis §6.4.1) as a replicated setting. The promise of all replicas and the trust of the leader are
// two sides:
//
//   promise  while the setting is on, no vote and no campaign within `durationMs` of contact with a leader
//   trust    the leader takes itself to lead for `durationMs / (1 + driftMax)` after a round began that a quorum has
//            echoed *after it had applied the setting*
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

/** The lease of one leader in one term. */
export class LeaderLease {
  /** When the newest round began that counts. */
  #since: MonotonicMs = Number.NEGATIVE_INFINITY
  /** Rounds that may come to count, the oldest first. */
  #rounds: { readonly number: number; readonly startedAt: MonotonicMs }[] = []
  #isOver = false

  get openRounds(): number {
    return this.#rounds.length
  }

  began(number: number, startedAt: MonotonicMs): void {
    this.#rounds.push({ number, startedAt })
  }

  /** A quorum that keeps the promise has echoed all rounds up to `number`. Older rounds than a lease never count. */
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

  /** Another setting is another promise: answers from before do not count for it. */
  restart(): void {
    this.#since = Number.NEGATIVE_INFINITY
    this.#rounds = []
  }

  /** For the rest of the term: a transfer has begun, and the vote requests of its target ignore promises. */
  end(): void {
    this.#isOver = true
  }

  holds(now: MonotonicMs, trustMs: number, driftMax: number): boolean {
    return !this.#isOver && now < this.#since + trustMs / (1 + driftMax)
  }
}
