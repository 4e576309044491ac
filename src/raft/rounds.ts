// Rounds of confirming that a leader still leads (thesis §6.4). Each round has a number of its own, never used twice in
// a term; it rides on heartbeats and appends, and every answer of that term echoes it. When a quorum has echoed a
// round, the leader led at some moment after the round began: reads that were waiting then are safe at the index noted
// then, and so is a bound on staleness.

import type { LogIndex, MonotonicMs, ReplicaId } from './types.ts'

/** Who asked for a read index. */
export type Reader =
  | { readonly kind: 'local'; readonly id: number }
  | { readonly kind: 'remote'; readonly from: ReplicaId; readonly request: number }

export interface Round {
  readonly number: number
  readonly startedAt: MonotonicMs
  /** Commit index when the round began. Undefined if the leader did not know of all that is committed then. */
  readonly readIndex: LogIndex | undefined
  readonly readers: readonly Reader[]
}

export class Rounds {
  #newest = 0
  #open: Round[] = []

  get newest(): number {
    return this.#newest
  }
  /** Rounds without a quorum yet, oldest first. */
  get open(): readonly Round[] {
    return this.#open
  }

  begin(startedAt: MonotonicMs, readIndex: LogIndex | undefined, readers: readonly Reader[]): Round {
    const round = { number: ++this.#newest, startedAt, readIndex, readers }
    this.#open.push(round)
    return round
  }

  /** A quorum has echoed everything up to `number`. Returns the rounds that this confirms. */
  confirm(number: number): readonly Round[] {
    const waits = this.#open.findIndex((round) => round.number > number)
    return this.#open.splice(0, waits === -1 ? this.#open.length : waits)
  }
}
